"""The catalog on disk: bars, ticks and their provenance, written whole or not at all."""

"""The catalog on disk: bars, ticks and their provenance; every write happens completely or not at all."""

"""Plans: which features are computed, from which streams, in batch and live."""

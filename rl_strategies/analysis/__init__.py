"""The figures of a run: trades, ratios, intervals and baselines."""

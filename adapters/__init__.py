"""The outside world: vendors' bytes to tables and NautilusTrader objects; knows nothing of the rest of the project."""

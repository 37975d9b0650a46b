"""The training market: NautilusTrader's bar execution, repeated exactly."""

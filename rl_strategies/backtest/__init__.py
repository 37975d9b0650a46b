"""NautilusTrader's backtest engine, set up as the training simulator expects it."""

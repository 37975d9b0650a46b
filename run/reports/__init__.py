"""What a person reads after a run: one page, one picture, and the tables behind them."""

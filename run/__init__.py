"""The command line `rl-intraday`, one room for each thing a user does: data, features, train, backtest, trade."""

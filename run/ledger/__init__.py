"""`rl-intraday ledger`, and the one point at which every command records what it tries."""

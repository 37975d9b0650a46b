"""Close positions and cancel orders at the broker without the trading node: bounded, within a scope."""

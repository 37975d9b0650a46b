"""The simulator: NautilusTrader's bar execution repeated exactly, compiled, over many accounts at a time."""

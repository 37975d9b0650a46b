"""Interactive Brokers, beside NautilusTrader's own adapter: history, checks, emergency flatten, simulated gateway."""

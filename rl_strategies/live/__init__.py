"""Trading at a real broker: the live strategy, its market data, orders, journal and replay."""

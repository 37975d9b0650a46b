"""Interactive Brokers: what the house needs beside NautilusTrader's own adapter."""

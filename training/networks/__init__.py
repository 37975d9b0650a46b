"""Neural networks: compiled layers for the CPU."""

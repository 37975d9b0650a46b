"""Learning algorithms and their configuration."""

"""Environments over the simulator and over the real engine."""

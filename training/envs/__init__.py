"""Environments for Gymnasium and stable-baselines3, over the simulator or the real engine, and rewards."""

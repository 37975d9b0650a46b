"""Learning algorithms over stable-baselines3, and their configuration (`training.algorithms.config`, without torch)."""

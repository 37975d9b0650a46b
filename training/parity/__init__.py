"""Proof that the simulator and the real engine agree on every fill, observation, reward and balance."""

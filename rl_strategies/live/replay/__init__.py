"""A journaled session compared with a replay of it."""

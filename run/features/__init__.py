"""Verbs around features: list, build, check."""

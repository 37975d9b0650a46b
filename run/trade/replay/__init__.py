"""Verbs on past sessions: replay, calibrate."""

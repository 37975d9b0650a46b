"""Verbs around training: train, resume, runs, lr-bump."""

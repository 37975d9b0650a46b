"""Verbs that look back on a session: replay, calibrate."""

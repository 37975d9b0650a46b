"""Verbs around market data: import, list, check, rolls, export."""

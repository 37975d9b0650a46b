"""Verbs that trade: paper, live, gateway."""

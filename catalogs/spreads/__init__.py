"""Spreads by instrument and time of day: their table, and how they are measured from quotes or estimated from bars."""

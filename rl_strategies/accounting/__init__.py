"""Positions, fills, cash and commission in integer ticks and cents."""

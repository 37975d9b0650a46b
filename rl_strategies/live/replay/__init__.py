"""Compares a journaled session with a replay and a backtest of its decisions."""

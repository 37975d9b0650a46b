"""Costs measured from live executions."""

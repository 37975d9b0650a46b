"""Monitoring of a live session: console, log, health, telemetry."""

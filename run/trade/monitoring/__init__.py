"""What watches a live session: console, log, health, telemetry."""

"""Risk: limits that review every target, sizing of entries, and the monitor and halts of live sessions."""

"""How to reach the broker: presets and their schema."""

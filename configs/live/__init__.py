"""Live configurations: presets and their schema."""

"""The simulated broker: orders, fills, positions, and what it refuses."""

"""What is traded: names, specifications, contract months and bar types."""

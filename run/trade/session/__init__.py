"""A live session before it starts: plan, contract, folder, metadata."""

"""The decision core: bars and fills in, observations and reviewed targets out."""

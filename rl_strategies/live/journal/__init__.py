"""The journal of a live session, and restarting from it."""

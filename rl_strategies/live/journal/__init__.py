"""The journal of a live session, its checkpoint, and how a session is resumed from both."""

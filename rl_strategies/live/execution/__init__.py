"""Orders and fills of a live session, and their reconciliation with the broker."""

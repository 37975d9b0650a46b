"""Market data of a live session: bars and context streams, each row once and in order."""

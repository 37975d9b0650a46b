"""The guard: a process beside a session that closes the session's own position where the session no longer can."""

"""What a live session asks of the broker, and how long it waits for answers."""

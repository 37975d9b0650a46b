"""What a live session requests from the broker, and how long it waits for answers."""

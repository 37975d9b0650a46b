"""Live configurations that the program writes."""

"""What this project is measured against, written for the same task."""

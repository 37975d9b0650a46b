"""The proof that simulator and engine agree."""

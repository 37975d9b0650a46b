"""Reports of a run: one HTML page, one picture, and CSV and JSON files with the same figures."""

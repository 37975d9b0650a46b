"""Cleaning of raw bars: repairs, gaps, suspicious prints, and a report that counts each of them."""

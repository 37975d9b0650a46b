"""Raw bars made sound: cleaning, gaps, suspicious prints, and the report of every repair."""

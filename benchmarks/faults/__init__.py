"""What the benchmark `live_faults` is made of: a hosted session, its harms, and the audit after each."""

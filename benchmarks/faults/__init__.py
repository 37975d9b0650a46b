"""Parts of the benchmark `live_faults`: a hosted session, its harms, invariants, and the audit after each harm."""

"""The selection ledger: a record, which only grows, of everything that was tried.

``entries`` (one line, and how lines hold together), ``ledger`` (read, check, append), ``merge`` (several machines).
"""

"""Vendors, files and brokers: bytes become tables and NautilusTrader objects. Imports nothing else of the project."""

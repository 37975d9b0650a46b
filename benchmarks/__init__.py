"""Benchmarks: every published figure, one module each, run by ``python -m benchmarks NAME --json``."""

"""Checks that every feature passes: causality, batch equals live."""

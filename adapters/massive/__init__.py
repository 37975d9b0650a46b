"""Massive (formerly Polygon): minute bars, reference data and corporate actions of US stocks."""

from adapters.massive.client import ACTION_SCHEMA, MassiveClient

__all__ = ["ACTION_SCHEMA", "MassiveClient"]

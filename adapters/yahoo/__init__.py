"""Yahoo Finance: one-minute bars of the last days and daily index values, without a key."""

from adapters.yahoo.client import MINUTE_DAYS, YahooClient

__all__ = ["MINUTE_DAYS", "YahooClient"]

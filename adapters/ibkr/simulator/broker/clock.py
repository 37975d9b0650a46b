"""Times as TWS writes them."""

from datetime import UTC, datetime


def time_text(ts_ns: int) -> str:
    """Time as TWS writes it, in UTC.

    Examples
    --------
    >>> time_text(1_767_623_400_000_000_000)
    '20260105 14:30:00 UTC'
    """
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).strftime("%Y%m%d %H:%M:%S UTC")

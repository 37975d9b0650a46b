"""Lines of a live session for a person: fills, and changes of state."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

QUIET_STATES = {"latency", "bar", "order", "begun"}
COLOURS = {
    "risk": "bold yellow", "protection": "bold red", "connection": "yellow", "broker": "yellow", "context": "yellow",
}  # fmt: skip


def console_line(table: str, row: Mapping[str, Any]) -> Text | None:
    """A row of the telemetry as a line; None if it is not worth printing.

    Examples
    --------
    >>> row = {"ts_ns": 0, "instrument_id": "MESH5.XCME", "units": -1.0, "price": 6000.25}
    >>> str(console_line("positions", row))
    '00:00:00 MESH5.XCME -1 at 6000.25'
    """
    when = (f"{datetime.fromtimestamp(row['ts_ns'] / 1e9, UTC):%H:%M:%S} ", "dim")
    if table == "positions":
        return Text.assemble(when, f"{row['instrument_id']} {row['units']:+g} at {row['price']:.10g}")
    if table == "trades":
        colour = "green" if row["net_usd"] > 0 else "red"
        ended = f"{row['side']} {row['units']:g} ended by {row['reason']}: "
        return Text.assemble(when, ended, (f"{row['net_usd']:+,.2f} USD", colour))
    if table == "states" and row["kind"] not in QUIET_STATES:
        colour = COLOURS.get(row["kind"], "cyan")
        return Text.assemble(when, (row["kind"], colour), f" {row['state']} {row['reason']}".rstrip())
    return None

"""A live session in lines for a person: what was traded, and what changed around it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape

QUIET_STATES = {"latency", "bar", "order", "begun"}
COLOURS = {
    "risk": "bold yellow", "protection": "bold red", "connection": "yellow", "broker": "yellow", "context": "yellow",
}  # fmt: skip


def narrate(table: str, row: Mapping[str, Any]) -> str:
    """A row of the telemetry as a line with rich's markup, empty where it is nothing to read.

    Examples
    --------
    >>> row = {"ts_ns": 0, "instrument_id": "MESH5.XCME", "units": -1.0, "price": 6000.25}
    >>> narrate("positions", row)
    '[dim]00:00:00[/] MESH5.XCME -1 at 6000.25'
    """
    when = f"[dim]{datetime.fromtimestamp(row['ts_ns'] / 1e9, UTC):%H:%M:%S}[/]"
    if table == "positions":
        return f"{when} {row['instrument_id']} {row['units']:+g} at {row['price']:g}"
    if table == "trades":
        colour = "green" if row["net_usd"] > 0 else "red"
        net = f"[{colour}]{row['net_usd']:+,.2f} USD[/]"
        return f"{when} {row['side']} {row['units']:g} ended by {row['reason']}: {net}"
    if table == "states" and row["kind"] not in QUIET_STATES:
        colour = COLOURS.get(row["kind"], "cyan")
        return f"{when} [{colour}]{row['kind']}[/] {row['state']} {escape(row['reason'])}".rstrip()
    return ""

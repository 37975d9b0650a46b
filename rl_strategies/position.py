"""The state of one position, changed by fills alone, and what the policy sees of it.

Simulator and strategy keep the same fields and call the same kernels, so that one cannot drift from the other.
"""

import numpy as np

from catalogs.compiled import kernel

POSITION_FIELDS = [
    ("units", np.int64),  # signed; 0 is flat
    ("age_bars", np.int64),  # bars closed since the entry's bar
    ("entries", np.int64),  # entries from flat in this session
    ("average_price", np.float64),  # of the open position, as the engine averages it
    ("stop_ticks", np.int64),  # resting stop loss, 0 none
    ("target_ticks", np.int64),  # resting take profit, 0 none
]
POSITION = np.dtype((np.record, POSITION_FIELDS))


@kernel
def apply_fill(position, units, price):  # type: ignore[no-untyped-def]
    """Change ``position`` by a fill of signed ``units`` at ``price``; average price as NautilusTrader computes it."""
    held = position.units
    if held == 0:
        position.average_price = price
        position.age_bars = 0
        position.entries += 1
    elif (held > 0) == (units > 0):
        cost = position.average_price * abs(held) + price * abs(units)
        position.average_price = cost / (abs(held) + abs(units))
    position.units = held + units


@kernel
def side_of_units(units):  # type: ignore[no-untyped-def]
    """-1, 0 or 1."""
    return (1 if units > 0 else 0) - (1 if units < 0 else 0)


@kernel
def session_time_left(minutes_since_open, minutes_to_close, flatten_minutes):  # type: ignore[no-untyped-def]
    """Share of the session, 0..1, until positions must be flat."""
    length = minutes_since_open + minutes_to_close
    return max(0.0, (minutes_to_close - flatten_minutes) / (length - flatten_minutes))

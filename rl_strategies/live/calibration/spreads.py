"""The spread that live orders paid, by instrument and time of day: twice the slippage of market orders and stops."""

from collections.abc import Mapping, Sequence

import numpy as np

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from catalogs.spreads.estimates import NS_PER_MINUTE, Observations, SpreadBucket, spreads_by_time
from catalogs.spreads.table import spread_key
from rl_strategies.live.calibration.calibration import SLIPPING, slippage_ticks
from rl_strategies.live.calibration.execution_log import ExecutionLog


def paid_spreads(
    logs: Sequence[ExecutionLog], specs: Mapping[str, InstrumentSpec], minutes: int
) -> dict[str, list[SpreadBucket]]:
    """Spread by time of day for every instrument of the logs, by its key in a table of spreads.

    Parameters
    ----------
    logs : sequence of ExecutionLog
    specs : mapping of str to InstrumentSpec
        By identifier.
    minutes : int

    Raises
    ------
    InputError
        If an instrument has fewer than thirty filled market orders and stops in sessions.
    """
    seen: dict[str, list[tuple[int, float, float]]] = {}
    for log in logs:
        for order in log.orders:
            ticks = slippage_ticks(order, log.bars) if order.fills and order.row.kind in SLIPPING else None
            if ticks is not None:
                spec, filled = specs[order.row.instrument_id], order.fills[0]
                seen.setdefault(spread_key(spec), []).append(
                    (_minute(spec, filled.ts_ns), 2 * ticks, float(filled.price_ticks))
                )
    if not seen:
        raise InputError("no market order or stop was filled whose slippage is known")
    found = {}
    for key, rows in seen.items():
        minute, spread, price = (np.array(column) for column in zip(*rows, strict=True))
        inside = minute >= 0
        observed = Observations(minute[inside], spread[inside], price[inside])
        found[key] = spreads_by_time(observed, lambda ticks, _: max(0.0, float(ticks.mean())), minutes, key, 0.0)
    return found


def _minute(spec: InstrumentSpec, ts_ns: int) -> int:
    session = int(spec.sessions.locate(np.array([ts_ns]))[0])
    return -1 if session < 0 else int((ts_ns - spec.sessions.open_ns[session]) // NS_PER_MINUTE)

"""The record of an account over some days of a market, from its fills; reports are made of it."""

from collections.abc import Sequence

import numpy as np

from rl_strategies.accounting.account import Traded, build_record
from rl_strategies.accounting.record import Fill, RunRecord
from training.simulator.market import TrainingMarket


def market_record(
    market: TrainingMarket,
    first_day: np.datetime64,
    last_day: np.datetime64,
    fills: Sequence[Sequence[Fill]],
    refusals: dict[str, int],
) -> RunRecord:
    """Account path from the starting balance over the trading days from ``first_day`` to ``last_day``.

    Parameters
    ----------
    market : TrainingMarket
    first_day, last_day : datetime64[D]
    fills : sequence of sequence of Fill
        Fills of these days for each instrument, in order of execution.
    refusals : dict of str to int
    """
    traded = []
    for spec, bars, own in zip(market.instruments, market.series, fills, strict=True):
        calendar = spec.sessions
        days = calendar.session_date[calendar.locate(bars.ts_ns)]
        first, stop = np.searchsorted(days, first_day), np.searchsorted(days, last_day, side="right")
        traded.append(Traded(spec, bars.slice(int(first), int(stop)), days[first:stop], tuple(own)))
    return build_record(traded, market.execution.starting_cents, refusals)

"""Readings of a live session for its risk monitor."""

import asyncio
from collections.abc import Sequence
from datetime import date

import numpy as np

from rl_strategies.decision.core import DecisionCore
from rl_strategies.live.broker.latency import LatencyMeter
from rl_strategies.live.broker.link import NS
from rl_strategies.live.data.market_data import MarketDataFeeds
from rl_strategies.live.instrument import LiveInstrument
from rl_strategies.live.services import LiveServices
from rl_strategies.risk.monitor import Vitals

CLOCK_EVERY_S, CLOCK_FIRST_S = 30.0, 0.37  # the first answers, of different fractions of a second, narrow the offset
CLOCK_FIRST = 8
CLOCK_ANSWER_S = 3.0


class VitalsReader:
    """Reads a session.

    Parameters
    ----------
    core : DecisionCore
    services : LiveServices
    traded : sequence of LiveInstrument
    market_data : MarketDataFeeds
    latency : LatencyMeter
    """

    def __init__(
        self,
        core: DecisionCore,
        services: LiveServices,
        traded: Sequence[LiveInstrument],
        market_data: MarketDataFeeds,
        latency: LatencyMeter,
    ) -> None:
        self._core, self._traded, self._market_data, self._latency = core, traded, market_data, latency
        self._link, self._timeouts = services.link, services.timeouts
        self._requested_ns = self._requests = 0

    async def compare_clocks(self) -> None:
        """Wait shortly for the broker's time: with an unknown drift the session would begin in reduce_only."""
        self._link.request_time()
        waited_s = 0.0
        while self._link.clock_drift_s is None and waited_s < CLOCK_ANSWER_S:
            await asyncio.sleep(self._timeouts.poll_s)
            waited_s += self._timeouts.poll_s

    def read(self, now_ns: int) -> Vitals:
        """Readings at ``now_ns`` of this machine's clock."""
        on_wall = self._timeouts.clock == "wall"
        every_s = CLOCK_FIRST_S if self._requests < CLOCK_FIRST else CLOCK_EVERY_S
        if on_wall and now_ns - self._requested_ns > every_s * NS:
            self._requested_ns = now_ns
            self._requests += 1
            self._link.request_time()
        day, flat = self._core.session_date, [each.is_flat for each in self._traded]
        return Vitals(
            ts_ns=now_ns,
            session=None if np.isnat(day) else date.fromisoformat(str(day)),
            equity_usd=self._core.mark(),
            gross_exposure_usd=sum(each.notional_usd for each in self._traded),
            is_flat=None if None in flat else all(flat),
            rejects=sum(each.rejects for each in self._traded),
            decision_latency_s=self._latency.last_s,
            clock_drift_s=self._link.clock_drift_s if on_wall else 0.0,
            data_age_s=self._market_data.age_s(),
        )

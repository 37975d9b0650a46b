"""What a live session shows its risk monitor."""

import asyncio
from datetime import date

import numpy as np

from rl_strategies.decision.core import DecisionCore
from rl_strategies.live.broker.latency import LatencyMeter
from rl_strategies.live.broker.link import NS, BrokerLink
from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.data.market_data import MarketDataFeeds
from rl_strategies.live.execution.live_execution import LiveExecution
from rl_strategies.live.execution.reconciler import Reconciler
from rl_strategies.risk.monitor import Vitals

CLOCK_EVERY_S = 30.0
CLOCK_ANSWER_S = 3.0


class VitalsReader:
    """Reads a session of one instrument.

    Parameters
    ----------
    core : DecisionCore
    desk : LiveExecution
    inputs : MarketDataFeeds
    watch : Reconciler
    latency : LatencyMeter
    link : BrokerLink
    patience : Timeouts

    Attributes
    ----------
    rejects : int
        Orders that were refused.
    """

    def __init__(
        self,
        core: DecisionCore,
        desk: LiveExecution,
        inputs: MarketDataFeeds,
        watch: Reconciler,
        latency: LatencyMeter,
        link: BrokerLink,
        patience: Timeouts,
    ) -> None:
        self._core, self._desk, self._inputs, self._watch = core, desk, inputs, watch
        self._latency, self._link, self._patience = latency, link, patience
        self._asked_ns = 0
        self.rejects = 0

    async def compare_clocks(self) -> None:
        """Wait a little for the broker's time: a drift that is not known would begin the session in reduce_only."""
        self._link.ask_time()
        waited_s = 0.0
        while self._link.clock_drift_s is None and waited_s < CLOCK_ANSWER_S:
            await asyncio.sleep(self._patience.watch_s)
            waited_s += self._patience.watch_s

    def read(self, now_ns: int) -> Vitals:
        """The session at ``now_ns`` of this machine's clock."""
        on_wall = self._patience.clock == "wall"
        if on_wall and now_ns - self._asked_ns > CLOCK_EVERY_S * NS:
            self._asked_ns = now_ns
            self._link.ask_time()
        (instrument,) = self._core.instruments
        day, spec = self._core.session_date, instrument.instrument
        price = instrument.close_ticks * self._desk.tick_size
        is_calm = self._watch.known and not self._desk.is_in_flight()
        return Vitals(
            ts_ns=now_ns,
            session=None if np.isnat(day) else date.fromisoformat(str(day)),
            equity_usd=self._core.mark(),
            gross_exposure_usd=abs(instrument.units) * price * float(spec.multiplier),
            is_flat=self._watch.is_flat if is_calm else None,
            rejects=self.rejects,
            decision_latency_s=self._latency.last_s,
            clock_drift_s=self._link.clock_drift_s if on_wall else 0.0,
            data_age_s=self._inputs.age_s(),
        )

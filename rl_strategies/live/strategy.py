"""`RLStrategy` at a real broker: the same decisions, behind guards for everything that a broker does to a session.

Bars come through `BarFeed`, the broker's own word through `Reconciler`. Every row is in the journal before anything
follows from it. While the broker's position is unknown nothing is decided; whoever may not open may still close.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.events import OrderAccepted, OrderCanceled, OrderFilled, OrderRejected
from numpy.typing import NDArray

from rl_strategies.decision.actions import FLAT
from rl_strategies.decision.core import DecisionCore, Review
from rl_strategies.decision.instrument import InstrumentCore
from rl_strategies.decision.observation import MASK_OUTPUTS
from rl_strategies.live.broker.latency import LatencyMeter
from rl_strategies.live.broker.link import NS
from rl_strategies.live.data.bar_feed import BarFeed
from rl_strategies.live.data.market_data import MarketDataFeeds
from rl_strategies.live.execution.live_execution import LiveExecution
from rl_strategies.live.execution.reconciler import Reconciler
from rl_strategies.live.journal.rebuild import RUIN, UNSEEN, ReplayedJournal
from rl_strategies.live.journal.session_journal import BarSource, FillRow, OrderRow
from rl_strategies.live.services import LiveServices
from rl_strategies.live.session_telemetry import SessionTelemetry
from rl_strategies.live.vitals import VitalsReader
from rl_strategies.policy.policies import OnnxPolicy
from rl_strategies.risk.monitor import Transition
from rl_strategies.strategy import RLStrategy, RLStrategyConfig

log = logging.getLogger(__name__)


class LiveStrategy(RLStrategy):
    """One instrument, live, with the context that its policy reads.

    Parameters
    ----------
    config : RLStrategyConfig
    core : DecisionCore
    policy : OnnxPolicy
    parts : LiveServices

    Attributes
    ----------
    desk : LiveExecution
    inputs : MarketDataFeeds
    watch : Reconciler
    monitor : RiskMonitor
    latency : LatencyMeter
    task : asyncio.Task or None
        Looks around; ends only with an error.
    is_ready : bool
        Whether features are warm and bars are subscribed to.
    decisions : int
    """

    policy: OnnxPolicy

    def __init__(self, config: RLStrategyConfig, core: DecisionCore, policy: OnnxPolicy, parts: LiveServices) -> None:
        self._parts = parts
        self._link, self._journal, self._patience = parts.link, parts.journal, parts.patience
        self.monitor = parts.monitor
        self.task: asyncio.Task[None] | None = None
        self.is_ready = False
        self.decisions = 0
        self.last_decision_ns = 0
        self._ending: Literal["", "flatten", "hold"] = ""
        self._resumes = False
        self._due: list[tuple[int, Callable[[Any], None]]] = []
        (self._bar_type,), (self._instrument,) = config.bar_types, core.instruments
        self.inputs = MarketDataFeeds(core, parts, self._bar_type, self, self._wall_ns)
        super().__init__(config, core, policy, self.inputs.rows)
        spec = self._instrument.instrument
        self._name, self._tick_raw = spec.instrument_id, int(spec.tick_raw)
        mask = len(MASK_OUTPUTS) if core.trading.mask_actions else 0
        self._mask_place = slice(len(core.observation_names) - mask, None)
        self.latency = LatencyMeter(parts.link)
        self._telemetry = SessionTelemetry(parts.publish, spec)
        self.watch = Reconciler(parts.link, self.desk, parts.patience, self, self._wall_ns, parts.flatten_command)
        self._vitals = VitalsReader(core, self.desk, self.inputs, self.watch, self.latency, parts.link, parts.patience)

    def _open_desk(self, k: int, instrument: InstrumentCore) -> LiveExecution:
        return LiveExecution(self, k, instrument, self._parts.order_tags)

    @property
    def desk(self) -> LiveExecution:
        """The instrument's desk."""
        desk = self._desks[0]
        assert isinstance(desk, LiveExecution)
        return desk

    @property
    def feed(self) -> BarFeed:
        """Of the traded bars."""
        return self.inputs.traded

    def _wall_ns(self) -> int:
        return int(self.clock.timestamp_ns())

    def resume(self, relived: ReplayedJournal) -> None:
        """Go on with a session whose core and policy have been brought to where it stopped; before the node starts."""
        if relived.foreign is None:
            return  # it never began: whatever the account holds is not its own
        self._resumes = True
        self.desk.disown(relived.foreign)
        self.desk.relearn(relived.events)
        self.decisions = relived.decisions
        self.inputs.continue_after()
        self._session_is_traded = relived.is_traded
        if relived.is_traded and self.core.flat_ns(0) > self._instrument.last_ns:
            self._alert("flatten", self.core.flat_ns(0), self.desk.end_session)

    def on_start(self) -> None:
        """Begin in the background: history and the broker's word come first."""
        self.desk.open(self._bar_type.instrument_id)
        self.task = asyncio.get_running_loop().create_task(self._live())

    def on_stop(self) -> None:
        """End; what is held stays protected at the broker."""
        if self.task is not None and not self.task.done():
            self.task.cancel()
        self.inputs.stop()
        self.say("session", "trading", "stopped")

    async def _live(self) -> None:
        await self._begin()
        while True:
            await asyncio.sleep(self._patience.watch_s)
            await self._look_around()

    async def _begin(self) -> None:
        if self._resumes:
            self.watch.note_connection()
        else:
            await self.watch.claim()
        await self.inputs.warm_up()
        await self._vitals.compare_clocks()
        while self._resumes and not await self.watch.catch_up():
            await asyncio.sleep(self._patience.watch_s)
        for bar_type in self.inputs.feeds:
            self.subscribe_bars(bar_type)
        self.is_ready = True
        self.say("session", "starting", "trading", f"{self._instrument.bars_seen} bars of history")

    async def _look_around(self) -> None:
        self.inputs.look_around()
        self.watch.note_connection()
        self._run_due()
        for feed in self.inputs.feeds.values():
            if self.watch.is_connected and feed.is_silent():
                await self._subscribe_again(feed.bar_type)
        await self.watch.ask()
        if (latency_ns := self.latency.read()) is not None:
            self.say("latency", "", "", "bar to wire", latency_ns=latency_ns)
        vitals = self._vitals.read(self._wall_ns())
        self._heed(self.monitor.observe(vitals))
        self._telemetry.vitals(vitals, self.monitor.usage())
        self._enforce()
        self._journal.flush()

    async def _subscribe_again(self, bar_type: BarType) -> None:
        quiet = f"{bar_type.instrument_id}: no bar for {self._patience.silence_s:g} s"
        self.say("bars", "subscribed", "subscribed", f"{quiet}: asked again")
        self.unsubscribe_bars(bar_type)
        # The data engine drops both commands where they come together: it finds somebody listening still.
        await asyncio.sleep(self._patience.watch_s)
        self.subscribe_bars(bar_type)

    # Bars ---------------------------------------------------------------------------------------------------------

    def on_bar(self, bar: Bar) -> None:
        """Let its feed judge a bar of the broker."""
        if self.is_ready:
            self.inputs.on_bar(bar)

    def push(self, bar: Bar, source: BarSource) -> None:
        """Take in a closed bar; called by the feed."""
        if self._has_context:
            self._take_context(bar)  # now, that the journal has the rows in the order in which the core sees them
        self._journal.bar(self._name, bar, self._tick_raw, source)
        self._take_in(bar)

    def consider(self, ts_ns: int) -> None:
        """Decide on the bar taken in last; called by the feed."""
        if self._session_is_traded and not self.core.is_ruined:
            self._decide(ts_ns)  # the context of the bar's time has been waited for
        self._journal.flush()
        self._run_due()

    def skip(self, ts_ns: int, reason: str) -> None:
        """Leave the bar taken in last undecided, and write down why."""
        self.count(reason)
        self._journal.state(ts_ns, "decision", "", "skipped", reason)
        self._journal.flush()

    def warn(self, message: str) -> None:
        """Tell whoever watches of something that is wrong."""
        self._telemetry.warning(self._wall_ns(), message)

    @property
    def settled_ns(self) -> int:
        """Close of the last bar that everything has followed from; 0 while something is under way."""
        return 0 if self.desk.is_in_flight() else self.inputs.settled_ns

    def _begin_session(self, day: np.datetime64, ts_ns: int) -> None:
        self._due.clear()
        super()._begin_session(day, ts_ns)
        self._journal.state(ts_ns, "day", "", str(day), "traded" if self._session_is_traded else "not traded")

    def _alert(self, name: str, ts_ns: int, callback: Callable[[Any], None]) -> None:
        # Not the node's timer: it knows only this machine's clock, and a replayed market has its own.
        self._due.append((ts_ns, callback))

    def _run_due(self) -> None:
        if not self.is_ready:
            return
        now_ns = self.feed.now_ns()
        due = [callback for ts_ns, callback in self._due if ts_ns <= now_ns]
        self._due = [(ts_ns, callback) for ts_ns, callback in self._due if ts_ns > now_ns]
        for callback in due:
            callback(None)

    # Decisions ----------------------------------------------------------------------------------------------------

    def _decide(self, ts_ns: int) -> None:
        problem = self._why_not_decide() or self._why_unseen(ts_ns)
        if problem:
            self.skip(ts_ns, problem)
            return
        super()._decide(ts_ns)

    def _why_not_decide(self) -> str:
        if not self._link.is_connected():
            return "disconnected"
        if not self.watch.known:
            return "unknown_position"
        if self.monitor.level in ("flatten", "halted"):
            return f"risk_{self.monitor.level}"
        return "ending" if self._ending else ""

    def _why_unseen(self, ts_ns: int) -> str:
        # Without `fill` a feature whose context is missing is not a number, and no policy is asked about that.
        if self.inputs.context is None or ts_ns >= self.core.last_flat_ns or self.desk.is_in_flight():
            return ""
        return "" if np.isfinite(self.core.look(ts_ns)).all() else UNSEEN

    def may_open(self) -> bool:
        """Whether anything may be opened now."""
        return not self._why_not_decide() and self.monitor.level == "normal"

    def _remember(
        self, ts_ns: int, observation: NDArray[np.float32], actions: list[int], answers: list[Review]
    ) -> None:
        super()._remember(ts_ns, observation, actions, answers)
        self.decisions += 1
        self.last_decision_ns = ts_ns
        masks = observation[self._mask_place] if self.core.trading.mask_actions else np.zeros(0, np.float32)
        reviews = [(self._name, action - FLAT, answer) for action, answer in zip(actions, answers, strict=True)]
        self._journal.decision(ts_ns, observation, self.policy.snapshot(), self.policy.logits, masks, reviews)
        self._journal.flush()

    def _carry_out(self, answers: list[Review]) -> None:
        (answer,) = answers
        if answer.side not in (0, self._instrument.side) and not self.may_open():
            self.count(f"risk_{self.monitor.level}")
            self._journal.state(self._instrument.last_ns, "permit", "", "reduced", self.monitor.state.reason)
            answer = answer._replace(side=0)
        super()._carry_out([answer])
        self._keep()
        cash = float(self.core.account.balance_cents) / 100
        self._telemetry.decision(
            self._instrument.last_ns, answer, self.policy.logits, self.latency.last_s, self.core.mark(), cash
        )

    def _end_in_ruin(self) -> None:
        self._journal.state(self._instrument.last_ns, RUIN, "", "", f"equity {self.core.mark():.2f} USD")
        super()._end_in_ruin()

    # Orders -------------------------------------------------------------------------------------------------------

    def enter_reversed(self, desk: LiveExecution, answer: Review) -> None:
        """Enter the new side of a flip, now that the old one is gone, if that is still allowed."""
        if self.may_open():
            desk.enter(answer)
        else:
            self.count("reversal_not_permitted")

    def record_order(self, row: OrderRow) -> None:
        """Keep an order before it is sent."""
        self.watch.note_move()
        self.latency.note_order(row, self.inputs.arrived_ns)
        self._journal.order(row)
        self._journal.flush()

    def record_fill(self, instrument_id: str, row: FillRow) -> None:
        """Keep an execution before anything follows from it."""
        self.watch.note_move()
        self._journal.fill(instrument_id, row)
        self._journal.flush()

    def on_order_event(self, event: Any) -> None:
        """Notice that something moved."""
        self.watch.note_move()

    def withdraw(self, client_order_id: str) -> None:
        """Take an order back that the broker has not answered; called by the desk."""
        self._link.withdraw(client_order_id)

    def on_order_canceled(self, event: OrderCanceled) -> None:
        """Let the desk go on."""
        self.desk.on_canceled()

    def on_order_accepted(self, event: OrderAccepted) -> None:
        """Journal when the broker took it, for `rl_strategies.live.calibration.calibration`."""
        if not event.reconciliation:
            self.desk.on_accepted(event.client_order_id)
            name = event.client_order_id.value
            self._journal.state(self._wall_ns(), "order", "", "accepted", client_order_id=name)

    def on_order_filled(self, event: OrderFilled) -> None:
        """Take in an execution; one that NautilusTrader inferred is looked up at the broker instead."""
        if event.reconciliation:
            self.watch.want_executions()
            return
        super().on_order_filled(event)

    def on_order_rejected(self, event: OrderRejected) -> None:
        """Count it; an order called rejected because nobody answered may have been filled all the same."""
        self._vitals.rejects += 1
        self.watch.want_executions()
        self.say("order", "", "rejected", f"{event.client_order_id.value}: {event.reason}")
        super().on_order_rejected(event)

    def after_fill(self) -> None:
        """Keep and publish what an execution changed."""
        self._telemetry.fill(self.desk.fills, self._instrument.units)
        self._keep()

    def _enforce(self) -> None:
        """Close what may not be held any longer, as often as it takes."""
        may_send = self.watch.is_connected and self._instrument.units != 0 and not self.desk.is_in_flight()
        if not may_send or self.monitor.level == "halted":
            return
        flat_ns = self.core.flat_ns(0)
        if self.monitor.level == "flatten":
            self.desk.close_position("risk_halt")
        elif self._ending == "flatten" or (flat_ns and self.feed.now_ns() > flat_ns):
            self.desk.close_position("end_of_session")

    # Risk ---------------------------------------------------------------------------------------------------------

    def halt(self, reason: str) -> None:
        """Send nothing more until a person has looked."""
        self._heed(self.monitor.halt(reason))

    def _heed(self, transitions: Sequence[Transition]) -> None:
        for change in transitions:
            self.say("risk", change.from_level, change.to_level, change.reason)
            self._telemetry.risk(change)

    # Books --------------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        self._journal.flush()
        self._parts.checkpoint.write(self.core, self.policy, self._journal.rows)

    def say(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        """Journal, log and publish a change of state."""
        ts_ns = self._wall_ns()
        self._journal.state(ts_ns, what, old, new, reason, **more)
        self._journal.flush()
        log.info("%s: %s -> %s %s", what, old or "-", new or "-", reason)
        self._telemetry.state(ts_ns, what, new, reason)

    async def wind_down(self, flatten: bool, timeout_s: float = 30.0) -> bool:
        """End in order: decide nothing more and, where asked, close everything. Returns whether that is done.

        Parameters
        ----------
        flatten : bool
            Else the position is held with its barriers at the broker.
        timeout_s : float
        """
        self._ending = "flatten" if flatten else "hold"
        self.say("session", "trading", "ending", self._ending)
        if not flatten:
            return True
        until_ns = self._wall_ns() + int(timeout_s * NS)
        while self._wall_ns() < until_ns:
            is_calm = self.watch.known and not self.desk.is_in_flight()
            if self._instrument.units == 0 and is_calm and self.watch.is_flat:
                return True
            await asyncio.sleep(self._patience.watch_s)
        return False

"""`RLStrategy` at a real broker: the same decisions, guarded against what a broker and a connection do to a session.

Bars come through `BarFeed`; orders and fills from the broker's own messages; the `Reconciler` compares both with
the broker. A row is in the journal before anything is opened by it. Nothing is decided while the broker's position is
unknown, and a session that may not open positions may still close them.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.events import OrderAccepted, OrderDenied, OrderFilled, OrderRejected
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.decision.actions import FLAT
from rl_strategies.decision.core import DecisionCore, Review
from rl_strategies.decision.observation import MASK_OUTPUTS
from rl_strategies.live.broker.latency import LatencyMeter
from rl_strategies.live.data.bar_feed import BarFeed
from rl_strategies.live.data.market_data import MarketDataFeeds
from rl_strategies.live.execution.live_execution import LiveExecution
from rl_strategies.live.execution.own_orders import OwnOrder
from rl_strategies.live.execution.reconciler import Reconciler
from rl_strategies.live.journal.rebuild import FOREIGN, RUIN, UNSEEN, ReplayedJournal, restore_state
from rl_strategies.live.journal.session_journal import BarSource, OrderRow
from rl_strategies.live.protection import Protection
from rl_strategies.live.services import LiveServices
from rl_strategies.live.session_events import SessionEvents
from rl_strategies.live.session_telemetry import SessionTelemetry
from rl_strategies.live.vitals import VitalsReader
from rl_strategies.policy.policies import OnnxPolicy
from rl_strategies.strategy import RLStrategy, RLStrategyConfig

ENDS = {"refused": "rejected", "never_sent": "never sent", "gone": "gone"}  # in the journal
BEHIND_S = 0.02  # from an order until it is certainly on the wire


class LiveStrategy(RLStrategy):
    """Trades one instrument live, with the context that its policy reads.

    Parameters
    ----------
    config : RLStrategyConfig
    core : DecisionCore
    policy : OnnxPolicy
    services : LiveServices

    Attributes
    ----------
    execution : LiveExecution
    market_data : MarketDataFeeds
    reconciler : Reconciler
    protection : Protection
    events : SessionEvents
    monitor : RiskMonitor
    latency : LatencyMeter
    task : asyncio.Task or None
        Starts the session, then checks it again and again; ends only with an error.
    is_ready : bool
        Whether features are warm and bars are subscribed to.
    decisions : int
        Number of decisions so far.
    last_decision_ns : int
        Close of the bar that was decided on last; 0 before the first decision.
    problem : str
        Why nothing is opened though the broker agrees; empty where nothing is the matter.
    """

    policy: OnnxPolicy

    def __init__(
        self, config: RLStrategyConfig, core: DecisionCore, policy: OnnxPolicy, services: LiveServices
    ) -> None:
        self._services = services
        self._link, self._journal, self._timeouts = services.link, services.journal, services.timeouts
        self.monitor = services.monitor
        self.task: asyncio.Task[None] | None = None
        self.is_ready = False
        self.decisions = 0
        self.last_decision_ns = 0
        self.problem = ""
        self._resumes = False
        self._is_checkpoint_due = False
        self._disk_problem = self._warned = ""
        self._due: list[tuple[int, Callable[[Any], None]]] = []
        (self._bar_type,), (self._instrument,) = config.bar_types, core.instruments
        spec = self._instrument.instrument
        self._name, self._tick_raw = spec.instrument_id, int(spec.tick_raw)
        mask = len(MASK_OUTPUTS) if core.trading.mask_actions else 0
        self._mask_place = slice(len(core.observation_names) - mask, None)
        self._telemetry = SessionTelemetry(services.publish, spec)
        self.events = SessionEvents(services.journal, self._telemetry, self._wall_ns)
        self.latency = LatencyMeter(services.link)
        self.market_data = MarketDataFeeds(core, services, self._bar_type, self, self.events, self._wall_ns)
        super().__init__(config, core, policy, self.market_data.context_feed)
        self.reconciler = Reconciler(services, self.execution, self.events, self.halt, self._wall_ns)
        self.protection = Protection(
            core, services, self.execution, self.reconciler, self.events, self._wall_ns, self.feed.now_ns
        )
        self._vitals = VitalsReader(core, services, self.execution, self.market_data, self.reconciler, self.latency)

    def _new_execution(self, k: int) -> LiveExecution:
        return LiveExecution(self, self.core, k, self._services)

    @property
    def execution(self) -> LiveExecution:
        """Orders and fills of the instrument."""
        (execution,) = self._executions
        assert isinstance(execution, LiveExecution)
        return execution

    @property
    def feed(self) -> BarFeed:
        """Feed of the traded bars."""
        return self.market_data.traded

    def _wall_ns(self) -> int:
        return int(self.clock.timestamp_ns())

    def resume(self, replayed: ReplayedJournal) -> None:
        """Continue a session where its journal ends; called before the node starts."""
        restore_state(self.core, self.policy, replayed.state)
        if replayed.foreign is None:
            return  # it never began to trade: whatever the account holds is not its own
        self._resumes = self.protection.has_begun = True
        self.execution.ignore_fills(replayed.foreign, replayed.foreign_units)
        self.execution.restore(replayed.events)
        self.decisions = replayed.decisions
        self.market_data.continue_after()
        self._session_is_traded = replayed.is_traded
        if replayed.is_traded and self.core.flat_ns(0) > self._instrument.last_ns:
            self._alert("flatten", self.core.flat_ns(0), self.execution.end_session)

    def on_start(self) -> None:
        """Start in the background: the broker's word and protection first, then history."""
        self.execution.open(self._bar_type.instrument_id)
        self._link.listen(self._name, self.execution)
        self.task = asyncio.get_running_loop().create_task(self._run())

    def on_stop(self) -> None:
        """Stop; a position stays protected by its barriers at the broker."""
        self._write_checkpoint()
        if self.task is not None and not self.task.done():
            self.task.cancel()
        self.protection.stop()
        self.market_data.stop()
        self.events.report("session", "trading", "stopped")

    async def _run(self) -> None:
        if self._resumes:
            self.reconciler.check_connection()
        else:
            await self.reconciler.claim()
        self.protection.start()
        await self._begin()
        while True:
            await asyncio.sleep(self._timeouts.poll_s)
            await self._poll()

    async def _begin(self) -> None:
        await self.market_data.warm_up()
        await self._vitals.compare_clocks()
        for bar_type in self.market_data.feeds:
            self.subscribe_bars(bar_type)
        self.is_ready = True
        self.events.report("session", "starting", "trading", f"{self._instrument.bars_seen} bars of history")

    async def _poll(self) -> None:
        self._raise_failure()
        self.market_data.poll()
        self._run_due()
        for feed in self.market_data.feeds.values():
            if self.reconciler.is_connected and feed.is_silent():
                await self._subscribe_again(feed.bar_type)
        if (latency_ns := self.latency.read()) is not None:
            self.events.report("latency", "", "", "bar to wire", latency_ns=latency_ns)
        vitals = self._vitals.read(self._wall_ns())
        self.events.report_risk(self.monitor.observe(vitals))
        self._telemetry.vitals(vitals, self.monitor.usage())
        self._journal.flush()
        self._note_problem()

    def _raise_failure(self) -> None:
        failure, self.protection.failure = self.protection.failure or self._link.failure, None
        if failure is not None:
            raise failure

    def _note_problem(self) -> None:
        if self._is_checkpoint_due:
            self._write_checkpoint()
        problem = self._journal.problem or self._disk_problem
        if self.execution.is_foreign_active:
            problem = problem or f"others trade {self._name} ({self.execution.foreign_units:+d}): reduce-only"
        if problem != self.problem:
            self.problem = problem
            self.events.report("permit", "", "reduce_only" if problem else "normal", problem)
            if problem:
                self.events.warn(problem)

    async def _subscribe_again(self, bar_type: BarType) -> None:
        reason = f"{bar_type.instrument_id}: no bar for {self._timeouts.silence_s:g} s: subscribed again"
        self.events.report("bars", "subscribed", "subscribed", reason)
        self.unsubscribe_bars(bar_type)
        # Without a pause the data engine drops both commands: it still sees a subscriber.
        await asyncio.sleep(self._timeouts.poll_s)
        self.subscribe_bars(bar_type)

    def on_bar(self, bar: Bar) -> None:
        """Pass a bar of the broker to its feed, which judges it."""
        if self.is_ready:
            self.market_data.on_bar(bar)

    def push(self, bar: Bar, source: BarSource) -> None:
        """Process a closed bar; called by the feed."""
        if self._has_context:
            self._take_context(bar)  # first, so that the journal's rows are in the core's order
        self._journal.bar(self._name, bar, self._tick_raw, source)
        self._process_bar(bar)

    def consider(self, ts_ns: int) -> None:
        """Decide on the bar pushed last; called by the feed."""
        if self._session_is_traded and not self.core.is_ruined:
            self._decide(ts_ns)  # the feed has waited for the context of the bar's time
        self._journal.flush()
        self._run_due()

    def skip(self, ts_ns: int, reason: str) -> None:
        """Do not decide on the bar pushed last, and journal the reason."""
        self.count(reason)
        self._journal.state(ts_ns, "decision", "", "skipped", reason)
        self._journal.flush()

    @property
    def settled_ns(self) -> int:
        """Close of the last bar that is completely processed; 0 while something is under way."""
        return 0 if self.execution.is_in_flight() else self.market_data.settled_ns

    def _begin_session(self, day: np.datetime64, ts_ns: int) -> None:
        self._due.clear()
        super()._begin_session(day, ts_ns)
        self._journal.state(ts_ns, "day", "", str(day), "traded" if self._session_is_traded else "not traded")

    def _alert(self, name: str, ts_ns: int, callback: Callable[[Any], None]) -> None:
        # Not the node's timer, which knows only this machine's clock: a replayed market has its own.
        self._due.append((ts_ns, callback))

    def _run_due(self) -> None:
        if not self.is_ready:
            return
        now_ns = self.feed.now_ns()
        due = [callback for ts_ns, callback in self._due if ts_ns <= now_ns]
        self._due = [(ts_ns, callback) for ts_ns, callback in self._due if ts_ns > now_ns]
        for callback in due:
            callback(None)

    def _decide(self, ts_ns: int) -> None:
        problem = self._why_not_decide() or self._why_unseen(ts_ns)
        if problem:
            self.skip(ts_ns, problem)
            return
        super()._decide(ts_ns)

    def _why_not_decide(self) -> str:
        if not self._link.is_connected():
            return "disconnected"
        if not self.reconciler.known:
            return "unknown_position"
        if self.monitor.level in ("flatten", "halted"):
            return f"risk_{self.monitor.level}"
        return "ending" if self.protection.ending else ""

    def _why_unseen(self, ts_ns: int) -> str:
        # A feature without `fill` is NaN while its context is missing; the policy must not see that.
        if self.market_data.context is None or ts_ns >= self.core.last_flat_ns or self.execution.is_in_flight():
            return ""
        return "" if np.isfinite(self.core.look(ts_ns)).all() else UNSEEN

    def may_open(self) -> bool:
        """Whether a position may be opened now."""
        is_blocked = self._journal.problem or self._disk_problem or self.execution.is_foreign_active
        return not self._why_not_decide() and self.monitor.level == "normal" and not is_blocked

    def _record(self, ts_ns: int, observation: NDArray[np.float32], actions: list[int], reviews: list[Review]) -> None:
        super()._record(ts_ns, observation, actions, reviews)
        self.decisions += 1
        self.last_decision_ns = ts_ns
        masks = observation[self._mask_place] if self.core.trading.mask_actions else np.zeros(0, np.float32)
        rows = [(self._name, action - FLAT, review) for action, review in zip(actions, reviews, strict=True)]
        # On disk with the order that follows from it, or at the end of the step.
        self._journal.decision(ts_ns, observation, self.policy.snapshot(), self.policy.logits, masks, rows)

    def _execute(self, reviews: list[Review]) -> None:
        (review,) = reviews
        if review.side not in (0, self._instrument.side) and not self.may_open():
            self.count(f"risk_{self.monitor.level}")
            reason = self.problem or self.monitor.state.reason
            self._journal.state(self._instrument.last_ns, "permit", "", "reduced", reason)
            review = review._replace(side=0)
        super()._execute([review])
        self._after_orders(partial(self._publish_decision, review, self.policy.logits.copy()))

    def _after_orders(self, then: Callable[[], None]) -> None:
        """Do what need not precede the orders once they are on the wire: NautilusTrader sends them in later steps."""
        self._is_checkpoint_due = True
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no loop: nothing is on its way
            self._finish(then)
        else:
            loop.call_later(BEHIND_S, self._finish, then)

    def _finish(self, then: Callable[[], None]) -> None:
        then()
        if self._is_checkpoint_due:
            self._write_checkpoint()

    def _publish_decision(self, review: Review, logits: NDArray[np.float32]) -> None:
        cash = float(self.core.account.balance_cents) / 100
        self._telemetry.decision(self._instrument.last_ns, review, logits, self.latency.last_s, self.core.mark(), cash)

    def _end_in_ruin(self) -> None:
        self._journal.state(self._instrument.last_ns, RUIN, "", "", f"equity {self.core.mark():.2f} USD")
        super()._end_in_ruin()

    def on_order(self, row: OrderRow) -> None:
        """Start to measure the latency of an order; called by the execution."""
        self.latency.note_order(row, self.market_data.arrived_ns)

    def on_fill(self, is_new: bool) -> None:
        """Publish and checkpoint what a fill changed; called by the execution."""
        if is_new:
            self._telemetry.fill(self.execution.fills, self._instrument.units)
        self._after_orders(lambda: None)

    def on_end(self, order: OwnOrder, text: str) -> None:
        """Report an order that the broker refused or does not know, or that was never sent; called by the execution.

        Refused entries alone count as rejects: a session's own attempts to close must not halt it.
        """
        self._vitals.rejects += order.over == "refused" and order.row.role == "entry"
        self.reconciler.request_fills()
        self.events.report("order", "", ENDS[order.over], f"{order.name}: {text}")

    def on_foreign(self, trade_id: str, units: int, held: int) -> None:
        """Report that others traded the contract, from when on nothing is opened; called by the execution."""
        reduces = int(self.execution.is_foreign_active)
        self.events.report(FOREIGN, "", str(held), trade_id, units=units, reduces=reduces)
        self._note_problem()

    def on_amended(self, row: OrderRow) -> None:
        """Report that a barrier is changed at the broker; called by the execution."""
        self.events.report("barrier", "", row.role, f"{row.client_order_id}: {row.units} at {row.trigger_ticks} ticks")

    def request_fills(self) -> None:
        """Ask the broker for executions and orders soon; called by the execution."""
        self.reconciler.request_fills()

    def warn(self, message: str) -> None:
        """Alert a person; called by the execution."""
        if message != self._warned:
            self._warned = message
            self.events.report("protection", "", "lost", message)
            self.events.warn(message)

    def on_order_filled(self, event: OrderFilled) -> None:
        """Nothing: fills are learnt from the broker's own messages, which NautilusTrader holds back or guesses."""

    def on_order_accepted(self, event: OrderAccepted) -> None:
        """Journal when the broker accepted it, for `rl_strategies.live.calibration.calibration`."""
        if not event.reconciliation:
            name = event.client_order_id.value
            self._journal.state(self._wall_ns(), "order", "", "accepted", client_order_id=name)

    def on_order_rejected(self, event: OrderRejected) -> None:
        """Note an order that NautilusTrader kept back; the broker's own refusals are heard from the broker."""
        self.execution.on_never_sent(event.client_order_id.value, event.reason)

    def on_order_denied(self, event: OrderDenied) -> None:
        """As `on_order_rejected`."""
        self.execution.on_never_sent(event.client_order_id.value, event.reason)

    def halt(self, reason: str) -> None:
        """Open nothing until a person has cleared the halt, and leave the market."""
        self.events.report_risk(self.monitor.halt(reason))

    def _write_checkpoint(self) -> None:
        self._is_checkpoint_due = False
        self._journal.flush()
        if self._journal.problem:
            return
        try:
            self._services.checkpoint.write(self.core, self.policy, self._journal.rows)
            self._disk_problem = ""
        except InputError as error:
            self._disk_problem = str(error)

"""`RLStrategy` at a real broker: the same decisions, guarded against what a broker and a connection do to a session.

Bars come through `MarketDataFeeds`; orders and fills from the broker's own messages; every `LiveInstrument` compares
both with the broker. What the instruments share is decided here: limits, journal, the end. A row is in the journal
before anything is opened by it. Nothing is decided while a position at the broker is unknown, and a session that may
not open positions may still close them.
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
from rl_strategies.live.execution.reconciler import Reconciler
from rl_strategies.live.instrument import LiveInstrument
from rl_strategies.live.journal.not_taken import IN_FLIGHT, DecisionsNotTaken
from rl_strategies.live.journal.rebuild import RUIN, UNSEEN, ReplayedJournal, restore_state
from rl_strategies.live.journal.session_journal import BarSource, OrderRow
from rl_strategies.live.protection import Protection
from rl_strategies.live.services import LiveServices
from rl_strategies.live.session_events import SessionEvents
from rl_strategies.live.session_telemetry import SessionTelemetry
from rl_strategies.live.vitals import VitalsReader
from rl_strategies.policy.policies import OnnxPolicy
from rl_strategies.strategy import RLStrategy, RLStrategyConfig

BEHIND_S = 0.02  # from an order until it is certainly on the wire


class LiveStrategy(RLStrategy):
    """Trades one or more instruments of one account live, with the context that their policy reads.

    Parameters
    ----------
    config : RLStrategyConfig
    core : DecisionCore
    policy : OnnxPolicy
    services : LiveServices

    Attributes
    ----------
    traded : list of LiveInstrument
        In the policy's order.
    market_data : MarketDataFeeds
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
    not_taken : DecisionsNotTaken
        Decisions that a backtest would have taken.
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
        self.not_taken = DecisionsNotTaken()
        self.last_decision_ns = 0
        self.problem = ""
        self._resumes = False
        self._is_checkpoint_due = False
        self._disk_problem = ""
        self._due: list[tuple[int, Callable[[Any], None]]] = []
        mask = len(MASK_OUTPUTS) * len(core.instruments) if core.trading.mask_actions else 0
        self._mask_place = slice(len(core.observation_names) - mask, None)
        self._telemetry = SessionTelemetry(services.publish)
        has_several = len(core.instruments) > 1
        self.events = SessionEvents(services.journal, self._telemetry, self._wall_ns, has_several)
        self.latency = LatencyMeter(services.link)
        self.market_data = MarketDataFeeds(core, services, config.bar_types, self, self.events, self._wall_ns)
        self.traded: list[LiveInstrument] = []
        super().__init__(config, core, policy, self.market_data.context_feed)
        now_ns = self.market_data.now_ns
        self.protection = Protection(core, services, self.traded, self.events, self._wall_ns, now_ns)
        self._vitals = VitalsReader(core, services, self.traded, self.market_data, self.latency)

    def _new_execution(self, k: int) -> LiveExecution:
        self.traded.append(LiveInstrument(self, self.core, k, self._services, self.events))
        return self.traded[-1].execution

    @property
    def execution(self) -> LiveExecution:
        """Orders and fills of the first instrument."""
        return self.traded[0].execution

    @property
    def reconciler(self) -> Reconciler:
        """Comparison of the first instrument with the broker."""
        return self.traded[0].reconciler

    @property
    def feed(self) -> BarFeed:
        """Feed of the first instrument's bars."""
        return self.market_data.traded[0]

    def _wall_ns(self) -> int:
        return int(self.clock.timestamp_ns())

    def resume(self, replayed: ReplayedJournal) -> None:
        """Continue a session where its journal ends; called before the node starts."""
        restore_state(self.core, self.policy, replayed.state)
        if not replayed.has_begun:
            return  # it never began to trade: whatever the account holds is not its own
        self._resumes = self.protection.has_begun = True
        for each in self.traded:
            each.resume(replayed)
        self.decisions, self.not_taken = replayed.decisions, replayed.not_taken
        self.market_data.continue_after()
        self._session_is_traded = replayed.is_traded
        last_ns = max(instrument.last_ns for instrument in self.core.instruments)
        for k, each in enumerate(self.traded):
            if replayed.is_traded and self.core.flat_ns(k) > last_ns:
                self._alert(f"flatten-{k:04d}", self.core.flat_ns(k), each.execution.end_session)

    def on_start(self) -> None:
        """Start in the background: the broker's word and protection first, then history."""
        for each, bar_type in zip(self.traded, self.config.bar_types, strict=True):
            each.open(bar_type.instrument_id)
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
        for each in self.traded:
            if self._resumes:
                each.reconciler.check_connection()
            else:
                await each.reconciler.claim()
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
        seen = sum(instrument.bars_seen for instrument in self.core.instruments)
        self.events.report("session", "starting", "trading", f"{seen} bars of history")

    async def _poll(self) -> None:
        self._raise_failure()
        self.market_data.poll()
        self._run_due()
        for feed in self.market_data.feeds.values():
            if self._link.is_connected() and feed.is_silent():
                await self._subscribe_again(feed.bar_type)
        while (latency_ns := self.latency.read()) is not None:
            self.events.report("latency", "", "", "bar to wire", latency_ns=latency_ns)
        vitals = self._vitals.read(self._wall_ns())
        self.events.report_risk(self.monitor.observe(vitals))
        self._telemetry.vitals(vitals, self.monitor.usage())
        self._journal.flush()
        self.note_problem()

    def _raise_failure(self) -> None:
        failure, self.protection.failure = self.protection.failure or self._link.failure, None
        if failure is not None:
            raise failure

    def note_problem(self) -> None:
        """Look again why nothing may be opened; called by an instrument too."""
        if self._is_checkpoint_due:
            self._write_checkpoint()
        problem = self._journal.problem or self._disk_problem
        problem = problem or "; ".join(each.problem for each in self.traded if each.problem)
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
        k = 0 if self._is_alone else self._index[bar.bar_type.instrument_id]
        instrument = self.core.instruments[k].instrument
        self._journal.bar(instrument.instrument_id, bar, int(instrument.tick_raw), source)
        self._process_bar(bar)
        is_traded = self._session_is_traded and not self.core.is_ruined and source != "warm-up"
        self.not_taken.on_bar(bar.ts_event, is_due=is_traded and bar.ts_event < self.core.last_flat_ns)

    def consider(self, ts_ns: int) -> None:
        """Decide on the bar pushed last; called by the feed."""
        if self._session_is_traded and not self.core.is_ruined:
            self._decide(ts_ns)  # the feed has waited for the context of the bar's time
        self.not_taken.on_decision(ts_ns)
        self._journal.flush()
        self._run_due()

    def skip(self, ts_ns: int, reason: str) -> None:
        """Do not decide on the bar pushed last, and journal the reason."""
        self.count(reason)
        self.not_taken.on_skip(ts_ns, reason)
        self._journal.state(ts_ns, "decision", "", "skipped", reason)
        self._journal.flush()

    @property
    def settled_ns(self) -> int:
        """Close of the last bar that is completely processed; 0 while something is under way."""
        is_in_flight = any(execution.is_in_flight() for execution in self._executions)
        return 0 if is_in_flight else self.market_data.settled_ns

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
        now_ns = self.market_data.now_ns()
        due = [callback for ts_ns, callback in self._due if ts_ns <= now_ns]
        self._due = [(ts_ns, callback) for ts_ns, callback in self._due if ts_ns > now_ns]
        for callback in due:
            callback(None)

    def _decide(self, ts_ns: int) -> None:
        problem = self._why_not_decide() or self._why_unseen(ts_ns)
        if problem:
            self.skip(ts_ns, problem)
            return
        if any(execution.is_in_flight() for execution in self._executions):
            self.not_taken.on_skip(ts_ns, IN_FLIGHT)
        super()._decide(ts_ns)

    def _why_not_decide(self) -> str:
        if not self._link.is_connected():
            return "disconnected"
        if not all(each.reconciler.known for each in self.traded):
            return "unknown_position"
        if self.monitor.level in ("flatten", "halted"):
            return f"risk_{self.monitor.level}"
        return "ending" if self.protection.ending else ""

    def _why_unseen(self, ts_ns: int) -> str:
        # A feature without `fill` is NaN while its context is missing; the policy must not see that.
        if self.market_data.context is None or ts_ns >= self.core.last_flat_ns:
            return ""
        if any(execution.is_in_flight() for execution in self._executions):
            return ""
        return "" if np.isfinite(self.core.look(ts_ns)).all() else UNSEEN

    def may_open(self) -> bool:
        """Whether positions may be opened now; an instrument may have a reason of its own why not."""
        is_blocked = self._journal.problem or self._disk_problem
        return not self._why_not_decide() and self.monitor.level == "normal" and not is_blocked

    def _record(self, ts_ns: int, observation: NDArray[np.float32], actions: list[int], reviews: list[Review]) -> None:
        super()._record(ts_ns, observation, actions, reviews)
        self.decisions += 1
        self.last_decision_ns = ts_ns
        masks = observation[self._mask_place] if self.core.trading.mask_actions else np.zeros(0, np.float32)
        decided = zip(self.traded, actions, reviews, strict=True)
        rows = [(each.name, action - FLAT, review) for each, action, review in decided]
        # On disk with the order that follows from it, or at the end of the step.
        self._journal.decision(ts_ns, observation, self.policy.snapshot(), self.policy.logits, masks, rows)

    def _execute(self, reviews: list[Review]) -> None:
        permitted = [each.permitted(review) for each, review in zip(self.traded, reviews, strict=True)]
        super()._execute(permitted)
        self._after_orders(partial(self._publish_decision, permitted, self.policy.logits))

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

    def _publish_decision(self, reviews: list[Review], logits: NDArray[np.float32]) -> None:
        ts_ns, latency_s = self.last_decision_ns, self.latency.last_s
        for each, review, scores in zip(self.traded, reviews, logits.reshape(len(reviews), -1), strict=True):
            each.publish_decision(ts_ns, review, scores, latency_s)
        self._telemetry.equity(ts_ns, self.core.mark(), float(self.core.account.balance_cents) / 100)

    def _end_in_ruin(self) -> None:
        last_ns = max(instrument.last_ns for instrument in self.core.instruments)
        self._journal.state(last_ns, RUIN, "", "", f"equity {self.core.mark():.2f} USD")
        super()._end_in_ruin()

    def note_order(self, row: OrderRow) -> None:
        """Start to measure the latency of an order; called by its instrument."""
        self.latency.note_order(row, self.market_data.arrived_ns)

    def note_change(self) -> None:
        """Checkpoint what a fill changed; called by its instrument."""
        self._after_orders(lambda: None)

    def on_order_filled(self, event: OrderFilled) -> None:
        """Nothing: fills are learnt from the broker's own messages, which NautilusTrader holds back or guesses."""

    def on_order_accepted(self, event: OrderAccepted) -> None:
        """Journal when the broker accepted it, for `rl_strategies.live.calibration.calibration`."""
        if not event.reconciliation:
            name = event.client_order_id.value
            self._journal.state(self._wall_ns(), "order", "", "accepted", client_order_id=name)

    def on_order_rejected(self, event: OrderRejected) -> None:
        """Note an order that NautilusTrader kept back; the broker's own refusals are heard from the broker."""
        for each in self.traded:
            each.execution.on_never_sent(event.client_order_id.value, event.reason)

    def on_order_denied(self, event: OrderDenied) -> None:
        """As `on_order_rejected`."""
        for each in self.traded:
            each.execution.on_never_sent(event.client_order_id.value, event.reason)

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

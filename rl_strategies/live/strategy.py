"""`RLStrategy` at a real broker: the same decisions, behind guards for everything that a broker does to a session.

Bars are judged before they are believed, gaps are filled from history before the next decision, every row is on disk
before anything follows from it, and what the broker holds is asked again and again. While that is unknown nothing is
opened; what is held without protection is closed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from nautilus_trader.model.data import Bar
from nautilus_trader.model.events import OrderFilled, OrderRejected
from numpy.typing import NDArray

from catalogs.bar_types import bar_length_ns
from rl_strategies.actions import FLAT
from rl_strategies.decision import DecisionCore, Review
from rl_strategies.instrument_core import InstrumentCore
from rl_strategies.live.bar_gate import BarGate, ClosedBar
from rl_strategies.live.checkpoint import Checkpoint
from rl_strategies.live.conditions import NS, BrokerLink, Execution, Patience, Truth
from rl_strategies.live.desk import Executed, LiveDesk
from rl_strategies.live.rebuild import RUIN, Relived
from rl_strategies.live.reconcile import Comparison, compare
from rl_strategies.live.session_journal import BarSource, FillRow, OrderRow, SessionJournal
from rl_strategies.observation import MASK_OUTPUTS
from rl_strategies.policy import OnnxPolicy
from rl_strategies.risk.monitor import RiskMonitor, Transition, Vitals
from rl_strategies.strategy import RLStrategy, RLStrategyConfig

SETTLE_S = 1.0  # what two looks at the broker must agree on before it is acted upon
DAY_NS = 86_400 * NS
LONGEST_HISTORY_DAYS = 40


class NotOursError(RuntimeError):
    """The account holds what this session did not buy; one line that says what to do."""


class BlindError(RuntimeError):
    """The session cannot see enough to trade: no history, or not enough of it."""


@dataclass
class LiveParts:
    """What a live session is made of beside the policy.

    Attributes
    ----------
    link : BrokerLink
    journal : SessionJournal
    checkpoint : Checkpoint
        Takes the whole state after every decision and every fill.
    monitor : RiskMonitor
    patience : Patience
    regular_hours : bool
        Whether bars are those of regular trading hours.
    order_tags : callable
        From an order's group to what the broker is told beside the order.
    publish : callable
        Telemetry: table and row; must not block.
    """

    link: BrokerLink
    journal: SessionJournal
    checkpoint: Checkpoint
    monitor: RiskMonitor
    patience: Patience
    regular_hours: bool
    order_tags: Callable[[str], list[str]]
    publish: Callable[[str, Mapping[str, Any]], None] = field(default=lambda table, row: None)


class LiveStrategy(RLStrategy):
    """One instrument, live.

    Parameters
    ----------
    config : RLStrategyConfig
    core : DecisionCore
    policy : OnnxPolicy
    parts : LiveParts

    Attributes
    ----------
    task : asyncio.Task or None
        The watch; ends only with an error.
    is_ready : bool
        Whether features are warm, the broker agrees and bars are subscribed to.
    known : bool
        Whether the broker's position and orders are what the session believes.
    latencies_ns : list of int
        From a bar's arrival to its first order on the wire.
    """

    policy: OnnxPolicy

    def __init__(self, config: RLStrategyConfig, core: DecisionCore, policy: OnnxPolicy, parts: LiveParts) -> None:
        self._parts = parts
        self._link, self._journal, self._patience = parts.link, parts.journal, parts.patience
        self.monitor = parts.monitor
        self.task: asyncio.Task[None] | None = None
        self.is_ready = False
        self.known = False
        self.is_winding_down = False
        self.latencies_ns: list[int] = []
        self.decisions = 0
        self.resumes = False
        super().__init__(config, core, policy)
        (instrument,) = core.instruments
        self._instrument = instrument
        self._name = instrument.instrument.instrument_id
        self._tick_raw = int(instrument.instrument.tick_raw)
        (self._bar_type,) = config.bar_types
        self._bar_ns = bar_length_ns(str(self._bar_type))
        self.gate = BarGate(self._bar_ns, self._tick_raw, self._patience.max_age_periods)
        mask = len(MASK_OUTPUTS) if core.trading.mask_actions else 0
        self._mask_place = slice(len(core.observation_names) - mask, None)
        self._due: list[tuple[int, Callable[[Any], None]]] = []
        self._waiting_bars: list[ClosedBar] = []
        self._backfill: asyncio.Task[None] | None = None
        self._arrived_ns = 0
        self._market_ns = 0
        self._considered_ns = 0
        self._heard_ns = 0
        self._events = 0
        self._rejects = 0
        self._asked_ns = 0
        self._asked_time_ns = 0
        self._suspects: dict[str, int] = {}
        self._wants_executions = False
        self._is_connected = False
        self._latency_s = 0.0
        self._broker_is_flat: bool | None = None
        self._unmeasured: OrderRow | None = None

    def _open_desk(self, k: int, instrument: InstrumentCore) -> LiveDesk:
        return LiveDesk(self, k, instrument, self._parts.order_tags)

    @property
    def desk(self) -> LiveDesk:
        """The instrument's desk."""
        desk = self._desks[0]
        assert isinstance(desk, LiveDesk)
        return desk

    # --- start -------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Begin in the background: history and the broker's word come first."""
        self.desk.open(self._bar_type.instrument_id)
        self.task = asyncio.get_running_loop().create_task(self._live())

    def on_stop(self) -> None:
        """End the watch; what is held stays protected at the broker."""
        for task in (self.task, self._backfill):
            if task is not None and not task.done():
                task.cancel()
        self.say("session", "trading", "stopped")
        self._journal.close()

    def resume(self, relived: Relived) -> None:
        """Go on with a session whose core and policy have been brought to where it stopped; before the node starts."""
        self.resumes = True
        self.desk.relearn(relived.events)
        self.decisions = relived.decisions
        self.gate.last_ns = self._market_ns = self._instrument.last_ns
        self._session_is_traded = relived.is_traded
        if relived.is_traded and self.core.flat_ns(0) > self.gate.last_ns:
            self._alert("flatten", self.core.flat_ns(0), self.desk.end_session)

    async def _live(self) -> None:
        await self._begin()
        while True:
            await asyncio.sleep(self._patience.watch_s)
            await self._look_around()

    async def _begin(self) -> None:
        truth = await self._first_truth()
        if not self.resumes and (truth.units or truth.orders):
            raise NotOursError(
                f"the account must hold no {self._name} that this session did not buy, held {truth.units} with "
                f"{len(truth.orders)} orders: run `rl-intraday flatten`, or close them by hand"
            )
        await self._warm_up()
        while self.resumes and not await self._catch_up():
            await asyncio.sleep(self._patience.watch_s)
        self.subscribe_bars(self._bar_type)
        self.is_ready = True
        self._heard_ns = self.clock.timestamp_ns()
        self.say("session", "starting", "trading", f"{self._instrument.bars_seen} bars of history")

    async def _first_truth(self) -> Truth:
        while True:
            truth = await self._link.truth()
            if truth is not None:
                self._is_connected = True
                self.known = not self.resumes and truth.units == 0
                return truth
            await asyncio.sleep(self._patience.watch_s)

    async def _warm_up(self) -> None:
        """Push history: after a restart what came since, else whole sessions, as a backtest warms up."""
        now_ns = self.clock.timestamp_ns()
        days = 1
        bars: list[Bar] = []
        while True:
            bars = await self._history(now_ns, days)
            first = self._first_to_push(bars)
            if first is not None:
                break
            if days >= LONGEST_HISTORY_DAYS:
                raise BlindError(
                    f"history must reach back {self.core.plan.warmup} bars, had {len(bars)} in {days} days"
                )
            days = min(2 * days + 1, LONGEST_HISTORY_DAYS)
        for bar in bars[first:]:
            self._push(bar, "backfill" if self.resumes else "warm-up")
        self._journal.flush()

    def _first_to_push(self, bars: Sequence[Bar]) -> int | None:
        closes = np.array([bar.ts_event for bar in bars], np.int64)
        if self.gate.last_ns:
            known = int(np.searchsorted(closes, self.gate.last_ns, side="right"))
            return known if known else None
        if not len(closes):
            return None
        calendar = self._instrument.calendar
        session = int(calendar.locate(closes[-1:])[0])
        is_running = closes[-1] < calendar.close_ns[session]
        traded_from = (
            int(np.searchsorted(closes, calendar.open_ns[session], side="right")) if is_running else len(closes)
        )
        row = traded_from - self.core.plan.warmup
        if row < 0:
            return None
        row = min(row, len(closes) - 1)
        open_ns = calendar.open_ns[int(calendar.locate(closes[row : row + 1])[0])]
        start = int(np.searchsorted(closes, open_ns, side="right"))
        # The oldest session that came may have been cut off.
        return start if start > 0 or self.core.plan.warmup == 0 else None

    async def _history(self, end_ns: int, days: int) -> list[Bar]:
        found = await self._link.bars(self._bar_type, end_ns, days, self._parts.regular_hours)
        judged = [self.gate.judge(bar, end_ns) for bar in found]
        closed = {each.bar.ts_event: each.bar for each in judged if each.verdict not in ("corrupt", "unfinished")}
        times = np.array(sorted(closed), np.int64)
        inside = self._instrument.calendar.locate(times) >= 0
        return [closed[int(ts)] for ts in times[inside]]

    # --- bars --------------------------------------------------------------------------------------------------

    def on_bar(self, bar: Bar) -> None:
        """Judge a bar; take it in and decide, or fetch what is missing before it."""
        if not self.is_ready:
            return
        self._arrived_ns = self.clock.timestamp_ns()
        judged = self.gate.judge(bar, self._now_ns(bar.ts_event + self._bar_ns))
        verdict = judged.verdict
        if verdict in ("next", "gap", "stale"):
            self._heard_ns = self._arrived_ns
        if verdict == "next" and self._backfill is None and self._link.has_data():
            self._push(judged.bar, "live")
            self._consider_unless_over(judged.bar.ts_event)
        elif verdict in ("next", "gap", "stale") and self._link.has_data():
            self._waiting_bars.append(judged)
            if self._backfill is None:
                self._backfill = asyncio.get_running_loop().create_task(self._fill_gap())
        else:
            reason = verdict if self._link.has_data() else "no trusted market data"
            self.say("bar", "", "refused", reason, open_ns=bar.ts_event)

    @property
    def settled_ns(self) -> int:
        """Close of the last bar that everything has followed from; 0 while something is under way."""
        is_busy = self._backfill is not None or self.desk.is_in_flight()
        return 0 if is_busy else self._considered_ns

    async def _fill_gap(self) -> None:
        """Push what lies between the last bar and those that wait, then decide on the newest if it is news."""
        try:
            while self._waiting_bars:
                newest = self._waiting_bars[-1]
                missing = await self._between(self.gate.last_ns, newest.bar.ts_event)
                if missing is None:
                    self.say("bars", "", "missing", "history did not answer; nothing is decided until it does")
                    await asyncio.sleep(SETTLE_S)
                    continue
                waited = {each.bar.ts_event: each.bar for each in self._waiting_bars}
                found = {bar.ts_event: bar for bar in missing} | waited
                self._waiting_bars.clear()
                for ts_ns in sorted(ts for ts in found if ts > self.gate.last_ns):
                    self._push(found[ts_ns], "live" if ts_ns == newest.bar.ts_event else "backfill")
                is_news = newest.verdict != "stale" and newest.bar.ts_event == self.gate.last_ns
                if is_news and not self._waiting_bars:
                    self._consider_unless_over(newest.bar.ts_event)
        finally:
            self._backfill = None

    async def _between(self, last_ns: int, end_ns: int) -> list[Bar] | None:
        days = 1
        while days <= LONGEST_HISTORY_DAYS:
            bars = await self._history(end_ns, days)
            if not bars:
                return None  # an empty answer is a failed request, not an empty market
            if bars[0].ts_event <= last_ns:
                return [bar for bar in bars if last_ns < bar.ts_event <= end_ns]
            days = 2 * days + 1
        return None

    def _push(self, bar: Bar, source: BarSource) -> None:
        self._journal.bar(self._name, bar, self._tick_raw, source)
        self.gate.last_ns = bar.ts_event
        self._market_ns = max(self._market_ns, bar.ts_event)
        self._take_in(bar)

    def _consider_unless_over(self, ts_ns: int) -> None:
        if self._session_is_traded and not self.core.is_ruined:
            self._consider(ts_ns)
        self._journal.flush()
        self._run_due()
        self._considered_ns = ts_ns

    def _begin_session(self, day: np.datetime64, ts_ns: int) -> None:
        self._due.clear()
        super()._begin_session(day, ts_ns)
        traded = "traded" if self._session_is_traded else "not traded"
        self._journal.state(ts_ns, "day", "", str(day), traded)

    def _alert(self, name: str, ts_ns: int, callback: Callable[[Any], None]) -> None:
        # Not the node's timer: it knows only this machine's clock, and a simulated market has its own.
        self._due.append((ts_ns, callback))

    def _run_due(self) -> None:
        now_ns = self._now_ns()
        due = [callback for ts_ns, callback in self._due if ts_ns <= now_ns]
        self._due = [(ts_ns, callback) for ts_ns, callback in self._due if ts_ns > now_ns]
        if self.is_ready:
            for callback in due:
                callback(None)

    def _now_ns(self, at_least_ns: int = 0) -> int:
        if self._patience.clock == "bars":
            return max(self._market_ns, at_least_ns)
        return int(self.clock.timestamp_ns())

    # --- decisions ---------------------------------------------------------------------------------------------

    def _decide(self, ts_ns: int) -> None:
        problem = self._why_not_decide()
        if problem:
            self.count(problem)
            self._journal.state(ts_ns, "decision", "", "skipped", problem)
            return
        super()._decide(ts_ns)

    def _why_not_decide(self) -> str:
        if not self._link.is_connected():
            return "disconnected"
        if not self.known:
            return "unknown_position"
        if self.monitor.level in ("flatten", "halted"):
            return f"risk_{self.monitor.level}"
        return "winding_down" if self.is_winding_down else ""

    def may_open(self) -> bool:
        """Whether anything may be opened now."""
        return not self._why_not_decide() and self.monitor.level == "normal"

    def _remember(
        self, ts_ns: int, observation: NDArray[np.float32], actions: list[int], answers: list[Review]
    ) -> None:
        super()._remember(ts_ns, observation, actions, answers)
        self.decisions += 1
        reviews = [
            (core.instrument.instrument_id, action - FLAT, answer)
            for core, action, answer in zip(self.core.instruments, actions, answers, strict=True)
        ]
        masks = observation[self._mask_place] if self.core.trading.mask_actions else np.zeros(0, np.float32)
        self._journal.decision(ts_ns, observation, self.policy.snapshot(), self.policy.logits, masks, reviews)
        self._journal.flush()

    def _carry_out(self, answers: list[Review]) -> None:
        (answer,) = answers
        held = self._instrument.side
        if answer.side not in (0, held) and not self.may_open():
            self.count(f"risk_{self.monitor.level}")
            self._journal.state(self._instrument.last_ns, "permit", "", "reduced", self.monitor.state.reason)
            answer = answer._replace(side=0)
        super()._carry_out([answer])
        self._keep()
        self._publish_decision(answer)

    def _end_in_ruin(self) -> None:
        self._journal.state(self._instrument.last_ns, RUIN, "", "", f"equity {self.core.mark():.2f} USD")
        super()._end_in_ruin()

    def pursue_reversal(self, desk: LiveDesk, answer: Review) -> None:
        """Enter the new side of a flip, now that the old one is gone, if that is still allowed."""
        if self.may_open():
            desk.enter(answer)
        else:
            self.count("reversal_not_permitted")

    # --- orders ------------------------------------------------------------------------------------------------

    def record_order(self, row: OrderRow) -> None:
        """Keep an order before it is sent."""
        self._events += 1
        self._unmeasured = self._unmeasured or row
        self._journal.order(row)
        self._journal.flush()

    def record_fill(self, instrument_id: str, row: FillRow) -> None:
        """Keep an execution before anything follows from it."""
        self._events += 1
        self._journal.fill(instrument_id, row)
        self._journal.flush()

    def on_order_filled(self, event: OrderFilled) -> None:
        """Take in an execution; one that NautilusTrader inferred is looked up at the broker instead."""
        if event.reconciliation:
            self._wants_executions = True
            return
        super().on_order_filled(event)
        self._after_fill()

    def on_order_rejected(self, event: OrderRejected) -> None:
        """Count it; a rejection nobody explains may be an order that was filled all the same."""
        self._events += 1
        self._rejects += 1
        self._wants_executions = True
        self.say("order", "", "rejected", event.reason, client_order_id=event.client_order_id.value)
        super().on_order_rejected(event)

    def on_order_event(self, event: Any) -> None:
        """Notice that something moved, so that an answer of the broker asked before it is not believed."""
        self._events += 1

    def _after_fill(self) -> None:
        fill = self.desk.fills[-1] if self.desk.fills else None
        if fill is not None:
            price = fill.price_ticks * float(self._instrument.instrument.tick_size)
            row = {"instrument_id": self._name, "units": float(self._instrument.units), "price": price}
            self._parts.publish("positions", {"ts_ns": fill.ts_ns, **row})
        self._keep()

    def _keep(self) -> None:
        self._journal.flush()
        self._parts.checkpoint.write(self.core, self.policy, self._journal.rows)

    # --- the watch ---------------------------------------------------------------------------------------------

    async def _look_around(self) -> None:
        if self._backfill is not None and self._backfill.done():
            self._backfill.result()  # an error in it is an error of the session
        self._note_connection()
        self._run_due()
        self._break_silence()
        await self._ask_broker()
        self._measure_latency()
        self._heed(self.monitor.observe(self.vitals()))
        self._enforce()
        self._journal.flush()

    def _note_connection(self) -> None:
        is_connected = self._link.is_connected()
        if is_connected != self._is_connected:
            old, new = ("up", "down") if self._is_connected else ("down", "up")
            self._is_connected = is_connected
            self.say("connection", old, new)
            self._doubt("the connection was lost")
            self._wants_executions = True
            self._asked_ns = 0

    def _doubt(self, reason: str) -> None:
        if self.known:
            self.known = False
            self.say("broker", "known", "unknown", reason)

    def _break_silence(self) -> None:
        now_ns = self.clock.timestamp_ns()
        if self._is_connected and now_ns - self._heard_ns > self._patience.silence_s * NS and self._is_open():
            self._heard_ns = now_ns
            self.say("bars", "subscribed", "subscribed", f"no bar for {self._patience.silence_s:g} s: asked again")
            self.unsubscribe_bars(self._bar_type)
            self.subscribe_bars(self._bar_type)

    def _is_open(self) -> bool:
        due_ns = self._now_ns() if self._patience.clock == "wall" else self.gate.last_ns + 1
        return bool(self._instrument.calendar.locate(np.array([due_ns], np.int64))[0] >= 0)

    async def _ask_broker(self) -> None:
        now_ns = self.clock.timestamp_ns()
        wait_s = self._patience.truth_s if self.known and not self._wants_executions else self._patience.watch_s
        if not self._is_connected or now_ns - self._asked_ns < wait_s * NS or self.desk.is_in_flight():
            return
        self._asked_ns = now_ns
        if self._wants_executions and not await self._catch_up():
            return
        before = self._events
        truth = await self._link.truth()
        if truth is None:
            self._doubt("the broker did not say what it holds")
        elif before == self._events and not self.desk.is_in_flight():
            self._broker_is_flat = truth.units == 0 and not truth.orders
            self._judge(
                compare(truth, self._instrument.units, self.desk.orders, self.desk.groups, self.desk.wants_stop)
            )

    async def _catch_up(self) -> bool:
        """Take in executions that nobody told of; False where the broker did not answer."""
        executions = await self._link.executions()
        if executions is None:
            self._doubt("the broker did not say what it executed")
            return False
        self._wants_executions = False
        for execution in executions:
            if self.desk.take(self._executed(execution), late=True):
                self.say("fill", "", "found", f"{execution.units:+d} executed while nobody listened")
                self._after_fill()
        return True

    def _executed(self, told: Execution) -> Executed:
        spec = self._instrument.instrument
        ticks = round(told.price / float(spec.tick_size))
        return Executed(told.trade_id, told.order_ref, told.ts_ns, told.units, ticks, round(told.commission_usd * 100))

    def _judge(self, found: Comparison) -> None:
        now_ns = self.clock.timestamp_ns()
        kind = found.difference
        if kind is None:
            self._suspects.clear()
            if not self.known:
                self.known = True
                self.say("broker", "unknown", "known", "position and orders agree")
            return
        self._doubt(found.said)
        since_ns = self._suspects.setdefault(kind, now_ns)
        self._suspects = {kind: since_ns}
        seconds = (now_ns - since_ns) / NS
        if kind == "position":
            self._wants_executions = True
            if seconds > self._patience.resolve_s:
                self._give_up(found.said)
        elif seconds >= SETTLE_S and kind == "naked":
            self._suspects.clear()
            self.say("protection", "", "lost", found.said)
            self.desk.close_position("protection_lost")
        elif seconds >= SETTLE_S:
            self._suspects.clear()
            self.say("orders", "", "cancelled", found.said)
            for order in found.orphans:
                self._link.cancel(order)

    def _give_up(self, said: str) -> None:
        # Only a person can say what happened; nothing is sent on a position that is not understood.
        self._heed(self.monitor.halt(f"{said} for {self._patience.resolve_s:g} s; run `rl-intraday flatten`"))

    def _enforce(self) -> None:
        may_send = self._is_connected and self._instrument.units != 0 and not self.desk.is_in_flight()
        if not may_send or self.monitor.level == "halted":
            return
        if self.monitor.level == "flatten" or self.is_winding_down:
            self.desk.close_position("risk_halt" if self.monitor.level == "flatten" else "end_of_session")
        elif self.core.flat_ns(0) and self._now_ns() > self.core.flat_ns(0):
            self.desk.close_position("end_of_session")

    def _heed(self, transitions: Sequence[Transition]) -> None:
        for change in transitions:
            self._journal.state(change.ts_ns, "risk", change.from_level, change.to_level, change.reason)
            row = {"kind": "risk", "state": change.to_level, "reason": change.reason}
            self._parts.publish("states", {"ts_ns": change.ts_ns, **row})
            self._parts.publish("alerts", {"ts_ns": change.ts_ns, "level": change.to_level, "message": change.reason})
            self.log.warning(f"risk: {change.from_level} -> {change.to_level}: {change.reason}")

    def vitals(self) -> Vitals:
        """What the monitor is shown."""
        now_ns = self.clock.timestamp_ns()
        on_wall = self._patience.clock == "wall"
        if on_wall and now_ns - self._asked_time_ns > 30 * NS:
            self._asked_time_ns = now_ns
            self._link.ask_time()
        day = self.core.session_date
        instrument = self._instrument
        spec = instrument.instrument
        price = instrument.close_ticks * float(spec.tick_size)
        return Vitals(
            ts_ns=now_ns,
            session=date.fromisoformat(str(day)) if not np.isnat(day) else None,
            equity_usd=self.core.mark() if self.is_ready else None,
            gross_exposure_usd=abs(instrument.units) * price * float(spec.multiplier),
            is_flat=self._broker_is_flat if self.known and not self.desk.is_in_flight() else None,
            rejects=self._rejects,
            decision_latency_s=self._latency_s,
            clock_drift_s=self._link.clock_drift_s if on_wall else 0.0,
            data_age_s=self._data_age_s() if on_wall else 0.0,
        )

    def _data_age_s(self) -> float:
        if not self._is_open():
            return 0.0
        session = int(self._instrument.calendar.locate(np.array([self._now_ns()], np.int64))[0])
        since_ns = max(self.gate.last_ns, int(self._instrument.calendar.open_ns[session])) + self._bar_ns
        return max(0.0, (self._now_ns() - since_ns) / NS)

    def _measure_latency(self) -> None:
        row, self._unmeasured = self._unmeasured, None
        wire_ns = self._link.wire_ns(row.client_order_id) if row is not None else None
        if row is None or wire_ns is None or row.role != "entry":
            return
        latency_ns = wire_ns - self._arrived_ns
        if latency_ns > 0:
            self.latencies_ns.append(latency_ns)
            self._latency_s = latency_ns / NS
            self.say("latency", "", "", "bar to wire", latency_ns=latency_ns)

    def _publish_decision(self, answer: Review) -> None:
        ts_ns = self._instrument.last_ns
        logits = self.policy.logits.astype(np.float64).ravel()
        odds = np.exp(logits - logits.max())
        self._parts.publish(
            "decisions",
            {
                "ts_ns": ts_ns,
                "instrument_id": self._name,
                "target": answer.side,
                "review": answer.reason,
                "probabilities": (odds / odds.sum()).tolist(),
                "latency_us": self._latency_s * 1e6,
            },
        )
        equity = self.core.mark()
        cash = float(self.core.account.balance_cents) / 100
        self._parts.publish("equity", {"ts_ns": ts_ns, "equity_usd": equity, "cash_usd": cash, "drawdown": 0.0})

    def say(self, what: str, old: str = "", new: str = "", reason: str = "", **more: Any) -> None:
        """Journal, log and publish a change of state."""
        ts_ns = self.clock.timestamp_ns()
        self._journal.state(ts_ns, what, old, new, reason, **more)
        self._journal.flush()
        self.log.info(f"{what}: {old or '-'} -> {new or '-'} {reason}")
        self._parts.publish("states", {"ts_ns": ts_ns, "kind": what, "state": new, "reason": reason})

    async def wind_down(self, flatten: bool, timeout_s: float = 30.0) -> bool:
        """End in order: decide nothing more and, where asked, close everything. Returns whether it is done.

        Parameters
        ----------
        flatten : bool
            Else the position is held with its barriers at the broker.
        timeout_s : float
        """
        self.is_winding_down = flatten
        self.say("session", "trading", "ending", "flatten" if flatten else "hold")
        until_ns = self.clock.timestamp_ns() + int(timeout_s * NS)
        while flatten and self.clock.timestamp_ns() < until_ns:
            if self._instrument.units == 0 and not self.desk.is_in_flight() and self._broker_is_flat and self.known:
                break
            await asyncio.sleep(self._patience.watch_s)
        self._keep()
        return not flatten or self._instrument.units == 0

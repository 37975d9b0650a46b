"""Run a live session: the TradingNode, its services, and how it ends.

A TradingNode does not end by itself when its start fails or its strategy dies; this does, with one line that says why
and an exit code for a supervisor.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import BarType

from adapters.ibkr.broker_link import BrokerLink
from adapters.ibkr.trading import build_node, order_tags, require_gateway
from catalogs.errors import InputError
from rl_strategies.decision.core import DecisionCore
from rl_strategies.live.data.bar_feed import BlindError
from rl_strategies.live.execution.reconciler import NotOursError
from rl_strategies.live.journal.checkpoint import Checkpoint
from rl_strategies.live.journal.journal import Journal
from rl_strategies.live.journal.rebuild import ReplayedJournal
from rl_strategies.live.journal.resume import ResumeError, replay_journal
from rl_strategies.live.journal.session_journal import SessionJournal
from rl_strategies.live.services import LiveServices
from rl_strategies.live.strategy import LiveStrategy
from rl_strategies.policy.policies import OnnxPolicy
from rl_strategies.risk.monitor import RiskMonitor
from rl_strategies.strategy import RLStrategyConfig
from run.console import report
from run.trade.guard.process import Guarded, guarded
from run.trade.memory import settle, tidy
from run.trade.monitoring.console import console_line
from run.trade.monitoring.health import Health, clock_problem
from run.trade.monitoring.heartbeat import BeatState
from run.trade.monitoring.telemetry_store import TelemetryStore
from run.trade.monitoring.watchdog import Supervision
from run.trade.node import node_config
from run.trade.session.contract_life import contract_over
from run.trade.session.plan import Outcome, SessionPlan, write_metadata

ENDED, FAILED, NOT_STARTED, HALTED, CONTRACT_OVER = 0, 1, 4, 5, 6
CHECKPOINT_FILE, TELEMETRY_FILE, LOG_FILE = "checkpoint.npz", "telemetry.db", "session.log"
TICK_S = 1.0
END_S = 1.0
UNREACHABLE_S = 60.0  # without a broker for so long, leaving the market is given up
log = logging.getLogger(__name__)


class LiveSession:
    """One run of a session in this process.

    Parameters
    ----------
    plan : SessionPlan

    Attributes
    ----------
    strategy : LiveStrategy
    link : BrokerLink
    """

    def __init__(self, plan: SessionPlan) -> None:
        self.plan = plan
        plan.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_metadata(plan)
        self._clock_said = ""
        self.link = BrokerLink(plan.account, *(spec.instrument_id for spec in plan.traded))
        url = plan.config.telemetry_url() or f"sqlite:///{plan.folder / TELEMETRY_FILE}"
        self._store = TelemetryStore(url, plan.day.isoformat())
        try:
            self.strategy = self._strategy()
        except ResumeError:
            self._store.close()
            raise

    def _strategy(self) -> LiveStrategy:
        plan = self.plan
        core, policy = plan.bundle.core(plan.traded, plan.config.capital_usd), plan.bundle.policy()
        journal, checkpoint = plan.home.journal(plan.day), Checkpoint(plan.folder / CHECKPOINT_FILE)
        replayed = _replay(journal, checkpoint, core, policy)
        self._journal = SessionJournal(Journal(journal, durable=False))
        strategy = LiveStrategy(_strategy_config(plan), core, policy, self._services(checkpoint))
        if replayed is not None:
            strategy.resume(replayed)
        return strategy

    def _services(self, checkpoint: Checkpoint) -> LiveServices:
        plan = self.plan
        return LiveServices(
            link=self.link,
            journal=self._journal,
            checkpoint=checkpoint,
            monitor=RiskMonitor(plan.config.monitor, plan.home.risk.read()),
            timeouts=plan.config.timeouts,
            order_tags=order_tags,
            publish=self._publish,
            flatten_command=plan.flatten_command,
            context=plan.context,
            catalog=plan.catalog,
        )

    def _publish(self, table: str, row: Mapping[str, Any]) -> None:
        self._store.publish(table, **row)
        if line := console_line(table, row):
            report(line)

    def run(self, meanwhile: Callable[[LiveStrategy], Coroutine[Any, Any, None]] | None = None) -> Outcome:
        """Trade until a signal, an error, a halt, or the end of ``meanwhile``.

        Parameters
        ----------
        meanwhile : callable, optional
            Runs beside the node while it trades; when it returns, the session is closed.
        """
        config = self.plan.config
        if said := self.plan.bundle.abstention:
            report(said, label="warning:", style="yellow")
        try:
            require_gateway(config.host, config.port, config.request_timeout_s)
            with guarded(self.plan) as outside:
                outcome = self._run_node(meanwhile, outside)
                outside.units = sum(map(abs, outcome.positions.values()))
                return outcome
        except ConnectionError as error:
            return self._outcome(NOT_STARTED, str(error))
        finally:
            self._close_books()

    def _run_node(
        self, meanwhile: Callable[[LiveStrategy], Coroutine[Any, Any, None]] | None, outside: Guarded
    ) -> Outcome:
        supervision = Supervision(self.plan.config.health)
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        node = TradingNode(node_config(self.plan), loop=loop)
        node.trader.add_strategy(self.strategy)
        try:
            build_node(node, self.link, attempts=3)
            if self.plan.account not in self.link.accounts():
                outside.dismiss()
                raise InputError(f"the gateway does not have the account in {self.plan.config.account_variable}")
            return loop.run_until_complete(self._trade(node, loop, supervision, outside, meanwhile))
        finally:
            supervision.close()
            node.dispose()

    def _close_books(self) -> None:
        self._journal.close()
        self._store.close()

    async def _trade(
        self,
        node: TradingNode,
        loop: asyncio.AbstractEventLoop,
        supervision: Supervision,
        outside: Guarded,
        meanwhile: Callable[[LiveStrategy], Coroutine[Any, Any, None]] | None,
    ) -> Outcome:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        running = loop.create_task(node.run_async())
        ticking = loop.create_task(self._tick(supervision, outside))
        try:
            problem = await self._wait_for_start(running, stop)
            if problem:
                return self._outcome(NOT_STARTED, await self._secured(problem))
            settle()
            return await self._until_over(running, stop, meanwhile)
        finally:
            ticking.cancel()
            await node.stop_async()
            await _end_all(loop)

    async def _wait_for_start(self, running: "asyncio.Task[None]", stop: asyncio.Event) -> str:
        start_s = self.plan.config.timeouts.start_s
        until = time.monotonic() + start_s
        strategy = self.strategy
        while not strategy.is_ready:
            if strategy.task is not None and strategy.task.done():
                return _why(strategy.task)
            if running.done():
                return f"the trading node did not start: {_why(running) or 'see its log'}"
            if stop.is_set():
                return "stopped before it started"
            if time.monotonic() > until:
                return (
                    f"not started after {start_s:g} s: no account, positions or history from the gateway; "
                    "check Gateway and the log"
                )
            await asyncio.sleep(0.05)
        return ""

    async def _until_over(
        self,
        running: "asyncio.Task[None]",
        stop: asyncio.Event,
        meanwhile: Callable[[LiveStrategy], Coroutine[Any, Any, None]] | None,
    ) -> Outcome:
        strategy = self.strategy
        loop = asyncio.get_running_loop()
        beside = loop.create_task(meanwhile(strategy) if meanwhile else _until(stop))
        asked = loop.create_task(_until(stop))
        halted = loop.create_task(self._watch_risk())
        ended = loop.create_task(contract_over(self.plan, lambda: bool(self._positions())))
        assert strategy.task is not None
        tasks: list[asyncio.Task[Any]] = [running, beside, asked, halted, ended, strategy.task]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in (beside, asked, halted, ended):
            task.cancel()
        if strategy.task.done() or running.done():
            problem = _why(strategy.task) if strategy.task.done() else _why(running)
            return self._outcome(FAILED, await self._secured(problem or "the trading node ended by itself"))
        if strategy.monitor.level == "halted":
            return self._outcome(HALTED, await self._left(strategy.monitor.state.reason))
        if beside.done() and not beside.cancelled() and beside.exception() is not None:
            raise beside.exception()  # type: ignore[misc]
        over = ended.result() if ended.done() else ""
        flat = await strategy.protection.wind_down(bool(over) or self.plan.config.on_sigterm == "flatten")
        if not flat:
            return self._outcome(FAILED, f"position not closed in time: run `{self.plan.flatten_command}`")
        if over:
            return self._outcome(CONTRACT_OVER, f"{over}: start again")
        return self._outcome(ENDED, "stopped" if stop.is_set() else "over")

    async def _secured(self, reason: str) -> str:
        """The reason, once an open position has its stop at the broker or is closed."""
        strategy = self.strategy
        if await strategy.protection.protect(UNREACHABLE_S):
            return reason
        return f"{reason}; position NOT confirmed as protected: run `{self.plan.flatten_command}`"

    async def _left(self, reason: str) -> str:
        """The reason, once the session has left the market or that is given up."""
        strategy = self.strategy
        was_held = bool(self._positions())
        if await strategy.protection.leave(UNREACHABLE_S):
            return f"{reason}; position closed" if was_held else reason
        return f"{reason}; position NOT closed: run `{self.plan.flatten_command}`"

    async def _tick(self, supervision: Supervision, outside: Guarded) -> None:
        while True:
            health = self.health()
            supervision.tick(health)
            held = sum(abs(units) for units in health.position.values())
            state: BeatState = "trading" if health.state == "trading" else "starting"
            outside.tick(state, held, self._clock_drift_s)
            tidy()
            self._say_clock()
            await asyncio.sleep(TICK_S)

    @property
    def _clock_drift_s(self) -> float | None:
        """This machine's clock minus the broker's; a replayed market has a clock of its own."""
        return self.link.clock_drift_s if self.plan.config.timeouts.clock == "wall" else None

    def _say_clock(self) -> None:
        problem = clock_problem(self._clock_drift_s)
        if problem and not self._clock_said:
            report(f"{problem}; bars are judged by the broker's", label="clock:", style="yellow")
        self._clock_said = problem

    def health(self) -> Health:
        """The session as a supervisor sees it."""
        strategy = self.strategy
        is_confirmed = not strategy.is_ready or strategy.protection.is_known()
        problems = [] if is_confirmed else ["the broker's position is not confirmed"]
        if strategy.market_data.context is not None:
            problems += [f"context {name} is missing or too old" for name in strategy.market_data.context.missing]
        if strategy.problem:
            problems.append(strategy.problem)
        if not strategy.protection.is_protected():
            problems.append("unprotected: units are held without a stop at the broker")
        if clock := clock_problem(self._clock_drift_s):
            problems.append(clock)
        if self._store.health.problem:
            problems.append(self._store.health.problem)
        return Health(
            state="trading" if strategy.is_ready else "starting",
            connected=self.link.is_connected(),
            data_age_s=strategy.market_data.age_s(),
            last_decision_ns=strategy.last_decision_ns or None,
            position=self._positions(),
            risk_state=strategy.monitor.level,
            problems=tuple(problems),
        )

    def _positions(self) -> dict[str, int]:
        return {each.name: each.execution.units for each in self.strategy.traded if each.execution.units}

    async def _watch_risk(self) -> None:
        kept = self.strategy.monitor.state
        while self.strategy.monitor.level != "halted":
            await asyncio.sleep(self.plan.config.timeouts.poll_s)
            if self.strategy.monitor.state != kept:
                kept = self.strategy.monitor.state
                self.plan.home.risk.write(kept)
        self.plan.home.risk.write(self.strategy.monitor.state)

    def _outcome(self, exit_code: int, reason: str) -> Outcome:
        strategy, positions = self.strategy, self._positions()
        return Outcome(
            exit_code,
            reason,
            self.plan.folder,
            strategy.decisions,
            sum(len(each.execution.fills) for each in strategy.traded),
            sum(positions.values() if len(strategy.traded) == 1 else map(abs, positions.values())),
            [ns / 1000 for ns in strategy.latency.taken_ns],
            positions,
            strategy.not_taken.reasons,
        )


def _strategy_config(plan: SessionPlan) -> RLStrategyConfig:
    bar_types = tuple(map(BarType.from_str, plan.bar_types))
    # The journal has every order; spelling each out for the log would come before the order on the wire.
    return RLStrategyConfig(
        bar_types=bar_types,
        order_id_tag="001",
        external_order_claims=[bar_type.instrument_id for bar_type in bar_types],
        log_events=False,
        log_commands=False,
    )


def _replay(journal: Path, checkpoint: Checkpoint, core: DecisionCore, policy: OnnxPolicy) -> ReplayedJournal | None:
    try:
        return replay_journal(journal, checkpoint, core, policy)
    except InputError as error:
        raise ResumeError(str(error)) from error


async def _end_all(loop: asyncio.AbstractEventLoop) -> None:
    # NautilusTrader's client leaves the timers of its bars behind.
    left = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    _, left = await asyncio.wait(left, timeout=END_S) if left else (left, left)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


def _why(task: "asyncio.Task[Any]") -> str:
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    if error is None:
        return ""
    if isinstance(error, NotOursError | BlindError | InputError):
        return str(error)
    log.error("the session failed", exc_info=error)
    return f"{type(error).__name__}: {error}"

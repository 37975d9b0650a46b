"""A live session from bundle and configuration: the TradingNode, what surrounds it, and how it ends.

The node does not end by itself when its start fails or its strategy dies: this does, with a line that says why and an
exit code that a supervisor can read.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
from nautilus_trader.adapters.interactive_brokers.common import IB
from nautilus_trader.config import CacheConfig, DatabaseConfig, LoggingConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import BarType
from numpy.typing import NDArray

from adapters.ibkr.trading import BrokerContract, BrokerLink, build_node, client_configs, engine_config, order_tags
from catalogs.contract_months import MONTH_CODES
from catalogs.errors import InputError
from catalogs.instruments import InstrumentSpec, resolve
from catalogs.sessions import has_extended_hours
from configs import instruments_path
from configs.live.contract import BrokerContract as WantedContract
from configs.live.schema import LiveConfig
from rl_strategies.bundle import Bundle
from rl_strategies.journal import Journal
from rl_strategies.live.bar_feed import BlindError
from rl_strategies.live.checkpoint import Checkpoint
from rl_strategies.live.rebuild import MEMORY, Relived, session_state
from rl_strategies.live.resume import relive
from rl_strategies.live.session_journal import SessionJournal
from rl_strategies.live.strategy import LiveParts, LiveStrategy, NotOursError
from rl_strategies.risk.monitor import RiskMonitor
from rl_strategies.strategy import RLStrategyConfig, core_of
from run.order_limits import risk_engine_config
from run.session_home import SessionHome

ENDED, FAILED, NOT_STARTED, HALTED = 0, 1, 4, 5
IB_EXCHANGES = {"XCME": "CME", "EQUS": "SMART"}
ABOUT_FILE, CHECKPOINT_FILE = "session.json", "checkpoint.npz"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a session ended.

    Attributes
    ----------
    exit_code : int
        0 in order, 1 by an error, 4 it could not start, 5 halted: a person must look.
    reason : str
        One line.
    folder : Path
        Of the session.
    decisions, fills : int
    units : int
        What the session believes to hold at the end.
    latencies_us : list of float
        From a bar's arrival to its order on the wire.
    """

    exit_code: int
    reason: str
    folder: Path
    decisions: int
    fills: int
    units: int
    latencies_us: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class SessionPlan:
    """Everything that a session needs to know before it begins.

    Attributes
    ----------
    bundle : Bundle
    spec : InstrumentSpec
        What is traded; its terms are those of the bundle's instrument.
    config : LiveConfig
    account : str
    home : SessionHome
    day : date
        Trading day on which the session began; a restart on the same day goes on with it.
    """

    bundle: Bundle
    spec: InstrumentSpec
    config: LiveConfig
    account: str
    home: SessionHome
    day: date

    @property
    def bar_type(self) -> str:
        """Bars that are subscribed to."""
        return self.bundle.bar_type.replace(self.bundle.instrument.instrument_id, self.spec.instrument_id)

    @property
    def folder(self) -> Path:
        """Of this session."""
        return self.home.journal(self.day).parent


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
        _write_about(plan)
        self.link = BrokerLink(plan.account, plan.spec.instrument_id)
        self.strategy = self._strategy()

    def _strategy(self) -> LiveStrategy:
        plan = self.plan
        core = core_of(plan.bundle, plan.spec, plan.config.capital_usd)
        bar_type = BarType.from_str(plan.bar_type)
        config = RLStrategyConfig(
            bar_types=(bar_type,),
            order_id_tag="001",
            external_order_claims=[bar_type.instrument_id],
        )
        folder, checkpoint = plan.home.journal(plan.day), Checkpoint(plan.folder / CHECKPOINT_FILE)
        relived, state = self._relive(folder, checkpoint)
        parts = LiveParts(
            link=self.link,
            journal=SessionJournal(Journal(folder, durable=False)),
            checkpoint=checkpoint,
            monitor=RiskMonitor(plan.config.monitor, plan.home.risk.read()),
            patience=plan.config.patience,
            regular_hours=not has_extended_hours(plan.spec.calendar),
            order_tags=order_tags,
        )
        policy = plan.bundle.policy()
        strategy = LiveStrategy(config, core, policy, parts)
        if relived is not None:
            policy.restore(state.pop(MEMORY))
            core.restore(state)
            strategy.resume(relived)
        return strategy

    def _relive(self, journal: Path, checkpoint: Checkpoint) -> tuple[Relived | None, dict[str, NDArray[Any]]]:
        plan = self.plan
        core, policy = core_of(plan.bundle, plan.spec, plan.config.capital_usd), plan.bundle.policy()
        relived = relive(journal, checkpoint, core, policy)
        return relived, session_state(core, policy)

    def run(self, meanwhile: Callable[[LiveStrategy], Coroutine[Any, Any, None]] | None = None) -> Outcome:
        """Trade until a signal, an error, a halt, or until ``meanwhile`` is over.

        Parameters
        ----------
        meanwhile : callable, optional
            Runs beside the node once it trades; the session winds down when it returns.
        """
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        node = TradingNode(self._node_config(), loop=loop)
        node.trader.add_strategy(self.strategy)
        try:
            build_node(node, self.link, attempts=3)
        except ConnectionError as error:
            return self._outcome(NOT_STARTED, str(error))
        try:
            return loop.run_until_complete(self._trade(node, loop, meanwhile))
        finally:
            node.dispose()

    async def _trade(
        self,
        node: TradingNode,
        loop: asyncio.AbstractEventLoop,
        meanwhile: Callable[[LiveStrategy], Coroutine[Any, Any, None]] | None,
    ) -> Outcome:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        running = loop.create_task(node.run_async())
        try:
            problem = await self._wait_for_start(running, stop)
            if problem:
                return self._outcome(NOT_STARTED, problem)
            return await self._until_over(running, stop, meanwhile)
        finally:
            await node.stop_async()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    async def _wait_for_start(self, running: "asyncio.Task[None]", stop: asyncio.Event) -> str:
        patience_s = self.plan.config.patience.start_s
        until = time.monotonic() + patience_s
        strategy = self.strategy
        while not strategy.is_ready:
            if strategy.task is not None and strategy.task.done():
                return _why(strategy.task)
            if running.done():
                return f"the node must start, did not: {_why(running) or 'see its log'}"
            if stop.is_set():
                return "stopped before it began"
            if time.monotonic() > until:
                return (
                    f"the session must start within {patience_s:g} s, did not: the gateway answers "
                    "neither account, positions nor history; look at its window and at the log"
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
        assert strategy.task is not None
        tasks: list[asyncio.Task[Any]] = [running, beside, asked, halted, strategy.task]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in (beside, asked, halted):
            task.cancel()
        if strategy.task.done() or running.done():
            problem = _why(strategy.task) if strategy.task.done() else _why(running)
            return self._outcome(FAILED, problem or "the node ended by itself")
        if strategy.monitor.level == "halted":
            return self._outcome(HALTED, strategy.monitor.state.reason)
        if beside.done() and not beside.cancelled() and beside.exception() is not None:
            raise beside.exception()  # type: ignore[misc]
        flat = await strategy.wind_down(self.plan.config.on_sigterm == "flatten")
        if not flat:
            return self._outcome(FAILED, "the position could not be closed in time: run `rl-intraday flatten`")
        return self._outcome(ENDED, "stopped" if stop.is_set() else "over")

    async def _watch_risk(self) -> None:
        kept = self.strategy.monitor.state
        while self.strategy.monitor.level != "halted":
            await asyncio.sleep(self.plan.config.patience.watch_s)
            if self.strategy.monitor.state != kept:
                kept = self.strategy.monitor.state
                self.plan.home.risk.write(kept)
        self.plan.home.risk.write(self.strategy.monitor.state)

    def _node_config(self) -> TradingNodeConfig:
        plan = self.plan
        data, execution = client_configs(
            plan.config.host,
            plan.config.port,
            plan.config.trading_client_id,
            plan.account,
            broker_contract(plan.spec),
            regular_hours=not has_extended_hours(plan.spec.calendar),
            timeout_s=round(plan.config.request_timeout_s),
        )
        return TradingNodeConfig(
            trader_id="RL-001",
            logging=LoggingConfig(
                log_level="ERROR",
                log_level_file="INFO",
                log_directory=str(plan.folder),
                log_file_name="node",
                log_file_max_size=10_000_000,
                log_colors=False,
            ),
            exec_engine=engine_config(),
            risk_engine=risk_engine_config(plan.config.orders, [plan.spec.instrument_id]),
            cache=_cache_config(plan.config),
            data_clients={IB: data},
            exec_clients={IB: execution},
            timeout_connection=30.0,
            timeout_reconciliation=20.0,
            timeout_portfolio=20.0,
            timeout_disconnection=3.0,
            timeout_post_stop=1.0,
        )

    def _outcome(self, exit_code: int, reason: str) -> Outcome:
        strategy = self.strategy
        return Outcome(
            exit_code,
            reason,
            self.plan.folder,
            strategy.decisions,
            len(strategy.desk.fills),
            strategy.core.instruments[0].units,
            [ns / 1000 for ns in strategy.latency.taken_ns],
        )


def traded_spec(bundle: Bundle, contract: WantedContract, day: date) -> InstrumentSpec:
    """The catalog's instrument behind the broker's contract.

    Raises
    ------
    InputError
        If the contract's terms are not those of the instrument that the policy was trained on.
    """
    name = contract.symbol
    if contract.kind == "FUT":
        year, month = int(contract.expiry[:4]), int(contract.expiry[4:6])
        name += f"{MONTH_CODES[month - 1]}{year % 10}"
        day = date(year, month, 1)
    spec = resolve(name, instruments_path(), day)
    known = bundle.instrument
    for term in ("kind", "underlying", "tick_size", "multiplier", "calendar"):
        if getattr(spec, term) != getattr(known, term):
            raise InputError(
                f"contract {name}: {term} must be {getattr(known, term)} as in bundle {bundle.id}, "
                f"was {getattr(spec, term)}"
            )
    if spec.kind == "equity" and spec.instrument_id != known.instrument_id:
        raise InputError(f"contract must be the bundle's {known.instrument_id}, was {spec.instrument_id}")
    return spec


def broker_contract(spec: InstrumentSpec) -> BrokerContract:
    """The broker's name of an instrument of the catalog."""
    symbol, _, venue = spec.instrument_id.partition(".")
    if spec.kind == "equity":
        return BrokerContract(symbol, "STK", IB_EXCHANGES[venue], "", venue)
    expiry = datetime.fromtimestamp(spec.expiration_ns // 10**9, UTC).strftime("%Y%m")
    return BrokerContract(spec.underlying, "FUT", IB_EXCHANGES[venue], expiry, venue)


def _write_about(plan: SessionPlan) -> None:
    """Write beside the journal what the session was made of, for whoever goes through it again."""
    capital = plan.config.capital_usd
    about = {
        "bundle": str(plan.bundle.path.resolve()),
        "bundle_id": plan.bundle.id,
        "instrument_id": plan.spec.instrument_id,
        "bar_type": plan.bar_type,
        "capital_usd": None if capital is None else str(capital),
        "clock": plan.config.patience.clock,
    }
    (plan.folder / ABOUT_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(about)))


def _cache_config(config: LiveConfig) -> CacheConfig | None:
    redis = config.redis
    if redis is None:
        return None
    database = DatabaseConfig(
        type="redis",
        host=redis.host,
        port=redis.port,
        username=redis.username() or None,
        password=redis.password() or None,
    )
    return CacheConfig(database=database)


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

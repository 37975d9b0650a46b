"""The one NautilusTrader strategy: bar → observe → decide → review → order.

The same class trains (`training.envs.engine_env`), backtests in a BacktestNode and trades in a TradingNode; only the
policy behind ``policy.act`` differs.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.data import Bar, BarType, TradeTick
from nautilus_trader.model.events import OrderDenied, OrderFilled, OrderRejected
from nautilus_trader.trading.strategy import Strategy
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.accounting.record import Fill
from rl_strategies.bundle.bundle import load_bundle
from rl_strategies.decision.context_feed import ContextFeed, catalog_feed
from rl_strategies.decision.core import DecisionCore, Review
from rl_strategies.execution import OrderExecution
from rl_strategies.features import context_streams


class Decider(Protocol):
    """A policy as the strategy needs it; see `rl_strategies.policy.policies`."""

    def reset(self) -> None:
        """Forget everything seen; called at the start of every session."""

    def act(self, observation: NDArray[np.float32]) -> int | Sequence[int]:
        """Action for an observation, float32[n]: see `rl_strategies.decision.actions`; one per instrument."""


class RLStrategyConfig(StrategyConfig, frozen=True, kw_only=True):  # type: ignore[call-arg]
    """Configuration of `RLStrategy`.

    Attributes
    ----------
    bar_types : tuple of BarType
        Bars of the instruments, time-stamped at their close, in the policy's order.
    bundle_path : str or None
        Bundle with core and policy; None where both are passed to the constructor.
    volume_known : bool
        False where the catalog's volume is a placeholder; features then see NaN.
    trade_from_ns : int
        Sessions whose first bar closes earlier only warm up the features.
    grace_ns : int
        Time that a decision waits for missing bars, with several instruments or context without lag; nanoseconds.
    wait_for_open : bool
        Send orders on the instrument's next trade instead of at the close: a backtest with ``fill: next_open`` supplies
        one opening trade per bar. Never set when trading live.
    context_catalog : str or None
        Catalog with the daily values that the bundle's features read.
    record_observations : bool
        Keep every observation and action in memory, for comparisons.
    """

    bar_types: tuple[BarType, ...]
    bundle_path: str | None = None
    volume_known: bool = True
    trade_from_ns: int = 0
    grace_ns: int = 1
    wait_for_open: bool = False
    context_catalog: str | None = None
    record_observations: bool = False


class RLStrategy(Strategy):
    """Trades one or more instruments by a policy's target positions.

    Parameters
    ----------
    config : RLStrategyConfig
    core : DecisionCore, optional
        Required with ``policy`` where the configuration names no bundle.
    policy : Decider, optional
    context : ContextFeed, optional
        Required where the core's features read context.

    Raises
    ------
    catalogs.errors.InputError
        If the bundle is damaged or was made for other instruments or bar types.
    """

    def __init__(
        self,
        config: RLStrategyConfig,
        core: DecisionCore | None = None,
        policy: Decider | None = None,
        context: ContextFeed | None = None,
    ) -> None:
        super().__init__(config)
        if config.bundle_path is not None:
            bundle = load_bundle(Path(config.bundle_path))
            core = bundle.core()
            policy = bundle.policy()
            catalog = None if config.context_catalog is None else Path(config.context_catalog)
            context = catalog_feed(core, bundle.context, catalog)
        if core is None or policy is None:
            raise ValueError("RLStrategy needs a bundle_path, or a core and a policy")
        ids = tuple(str(bar_type.instrument_id) for bar_type in config.bar_types)
        known = tuple(leg.instrument.instrument_id for leg in core.instruments)
        if ids != known:
            raise InputError(f"bar_types must be of the policy's instruments {', '.join(known)}, was {', '.join(ids)}")
        for instrument in core.instruments:
            instrument.volume_known = config.volume_known
        self.core = core
        self.policy = policy
        self._context = ContextFeed(core) if context is None else context
        self.trade_from_ns = config.trade_from_ns
        self._index = {bar_type.instrument_id: k for k, bar_type in enumerate(config.bar_types)}
        self._has_context = bool(context_streams(core.plan))
        self._is_alone = len(config.bar_types) == 1 and not self._context.bar_types
        self._executions = [self._new_execution(k) for k in range(len(core.instruments))]
        self.on_reset()

    def _new_execution(self, k: int) -> OrderExecution:
        return OrderExecution(self, self.core, k)

    def on_reset(self) -> None:
        """Return to the state before the first bar."""
        self.core.reset()
        self._context.reset()
        self.policy.reset()
        for execution in self._executions:
            execution.reset()
        self.refusals: dict[str, int] = {}
        self.observations: list[NDArray[np.float32]] = []
        self.actions: list[list[int]] = []
        self._session_is_traded = False
        self._waits = self.core.waits
        self._decision_ns = 0

    @property
    def fills(self) -> list[list[Fill]]:
        """Fills so far, one list per instrument."""
        return [execution.fills for execution in self._executions]

    def on_start(self) -> None:
        """Subscribe to the bars."""
        for execution, bar_type in zip(self._executions, self.config.bar_types, strict=True):
            execution.open(bar_type.instrument_id)
            self.subscribe_bars(bar_type)
            if self.config.wait_for_open:
                self.subscribe_trade_ticks(bar_type.instrument_id)
        for followed in {BarType.from_str(name) for name in self._context.bar_types} - set(self.config.bar_types):
            self.subscribe_bars(followed)

    def on_bar(self, bar: Bar) -> None:
        """Process a bar; decide once all bars of its time have arrived."""
        if self.core.is_ruined:
            return
        is_traded = self._process_bar(bar)
        if is_traded and self._session_is_traded:
            self._decide_when_complete(bar.ts_event)

    def _process_bar(self, bar: Bar) -> bool:
        """Returns whether the bar is of a traded instrument."""
        ts_ns = bar.ts_event
        if self._has_context:
            self._take_context(bar)
        # Looking an instrument up takes a microsecond; a single one needs no lookup.
        k = 0 if self._is_alone else self._index.get(bar.bar_type.instrument_id)
        if k is None:
            return False
        day = self._executions[k].take_bar(bar)
        # The day is the same object throughout a session, and comparing two dates takes a microsecond.
        # A bar that a live session learns of too late may be of a day before.
        if day is not self.core.session_date and not day <= self.core.session_date:
            self._begin_session(day, ts_ns)
        return True

    def _take_context(self, bar: Bar) -> None:
        self._context.catch_up(bar.ts_event)
        if self._context.bar_types:
            prices = (bar.open.raw, bar.high.raw, bar.low.raw, bar.close.raw)
            self._context.take_bar(str(bar.bar_type), bar.ts_event, prices, int(bar.volume))

    def _decide_when_complete(self, ts_ns: int) -> None:
        if not self._waits:
            self._decide(ts_ns)
        elif ts_ns != self._decision_ns:
            self._decision_ns = ts_ns
            self._alert(f"decide-{ts_ns}", ts_ns + self.config.grace_ns, lambda event: self._decide(ts_ns))

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Send the orders that waited for this opening trade."""
        self._executions[self._index[tick.instrument_id]].on_open(tick)

    def on_stop(self) -> None:
        """Cancel all orders and close all positions."""
        for execution in self._executions:
            execution.close_position("end_of_session")

    def _begin_session(self, day: np.datetime64, ts_ns: int) -> None:
        self.policy.reset()
        self._context.refresh()
        core = self.core
        core.begin_session(day)
        self._session_is_traded = core.is_warm_at(ts_ns) and self.trade_from_ns <= ts_ns
        if self._session_is_traded:
            for k, execution in enumerate(self._executions):
                # A time alert closes the position, so that it is closed on time even if no bar arrives.
                if core.flat_ns(k) > ts_ns:
                    self._alert(f"flatten-{day}-{k:04d}", core.flat_ns(k), execution.end_session)

    def _alert(self, name: str, ts_ns: int, callback: Callable[[Any], None]) -> None:
        self.clock.set_time_alert_ns(f"{self.id}-{name}", ts_ns, callback)

    def _decide(self, ts_ns: int) -> None:
        core = self.core
        if ts_ns >= core.last_flat_ns:
            return
        for execution in self._executions:
            if execution.is_in_flight():
                self.count("order_in_flight")
                return
        observation = core.look(ts_ns)
        if core.is_ruined:
            self._end_in_ruin()
            return
        chosen = self.policy.act(observation)
        actions = [chosen] if isinstance(chosen, int) else [int(action) for action in chosen]
        reviews = core.review(actions)
        self._record(ts_ns, observation, actions, reviews)
        self._execute(reviews)

    def _record(self, ts_ns: int, observation: NDArray[np.float32], actions: list[int], reviews: list[Review]) -> None:
        if self.config.record_observations:
            self.observations.append(observation.copy())
            self.actions.append(actions)

    def _execute(self, reviews: list[Review]) -> None:
        for execution, review in zip(self._executions, reviews, strict=True):
            if review.is_refusal:
                self.count(review.reason)
            if self.config.wait_for_open:
                execution.execute_at_open(review)
            else:
                execution.execute(review)

    def _end_in_ruin(self) -> None:
        self._session_is_traded = False
        for execution in self._executions:
            execution.close_position("ruin")

    def on_order_filled(self, event: OrderFilled) -> None:
        """Pass a fill to the execution of its instrument."""
        self._executions[self._index[event.instrument_id]].on_filled(event)

    def on_order_rejected(self, event: OrderRejected) -> None:
        """Count a refusal; a position whose stop was refused is closed at once."""
        self._executions[self._index[event.instrument_id]].on_refused(event.client_order_id, event.reason)

    def on_order_denied(self, event: OrderDenied) -> None:
        """As `on_order_rejected`, for orders that NautilusTrader refused before they were sent."""
        self._executions[self._index[event.instrument_id]].on_refused(event.client_order_id, event.reason)

    def count(self, reason: str) -> None:
        """Count a refusal."""
        self.refusals[reason] = self.refusals.get(reason, 0) + 1

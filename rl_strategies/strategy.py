"""The one Nautilus Strategy: bar → observe → decide → review → order, the same class in every clock.

Training drives it through `training.engine_env`, a BacktestNode replays it, a TradingNode trades it. What differs is
who answers ``policy.act``.
"""

from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import OrderSide, OrderStatus, OrderType
from nautilus_trader.model.events import OrderDenied, OrderFilled, OrderRejected
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.trading.strategy import Strategy
from numpy.typing import NDArray

from catalogs.sessions import session_calendar
from rl_strategies.bundle import Bundle, load_bundle
from rl_strategies.decision import DecisionCore, Review
from rl_strategies.rules import ExecutionConfig, TradingConfig
from rl_strategies.telemetry import Fill, FillReason, OrderKind

_KINDS: dict[Any, OrderKind] = {
    OrderType.MARKET: "market",
    OrderType.STOP_MARKET: "stop",
    OrderType.LIMIT: "limit",
}


class Decider(Protocol):
    """What the strategy asks of a policy; `rl_strategies.policy` has more to offer."""

    def reset(self) -> None:
        """Forget everything seen; called at the start of every session."""

    def act(self, observation: NDArray[np.float32]) -> int:
        """Target for an observation, float32[n]: an action of `rl_strategies.actions`."""


class RLStrategyConfig(StrategyConfig, frozen=True, kw_only=True):  # type: ignore[call-arg]
    """Configuration of `RLStrategy`.

    Attributes
    ----------
    instrument_id : InstrumentId
    bar_type : BarType
        Bars of the instrument, time-stamped at their close.
    bundle_path : str or None
        Bundle that decides; None where core and policy are handed in.
    volume_known : bool
        False where the catalog's volume is a stand-in; features then see NaN.
    trade_from_ns : int
        Sessions whose first bar closes earlier only warm the features up.
    record_observations : bool
        Keep every observation and action in memory, for comparisons.
    """

    instrument_id: InstrumentId
    bar_type: BarType
    bundle_path: str | None = None
    volume_known: bool = True
    trade_from_ns: int = 0
    record_observations: bool = False


class RLStrategy(Strategy):
    """Trades one instrument by a policy's targets.

    Parameters
    ----------
    config : RLStrategyConfig
    core : DecisionCore, optional
        Given together with ``policy`` where there is no bundle.
    policy : Decider, optional

    Raises
    ------
    catalogs.errors.InputError
        If the bundle is damaged or was made for another instrument or bar type.
    """

    def __init__(
        self, config: RLStrategyConfig, core: DecisionCore | None = None, policy: Decider | None = None
    ) -> None:
        super().__init__(config)
        if config.bundle_path is not None:
            bundle = load_bundle(Path(config.bundle_path))
            core, policy = core_of(bundle), bundle.policy()
        if core is None or policy is None:
            raise ValueError("RLStrategy needs a bundle_path, or a core and a policy")
        core.volume_known = config.volume_known
        self.core = core
        self.policy = policy
        self.trade_from_ns = config.trade_from_ns
        self._tick_raw = int(core.instrument.tick_raw)
        self.on_reset()

    def on_reset(self) -> None:
        """Forget everything that happened, keep bundle and configuration."""
        self.core.reset()
        self.policy.reset()
        self.fills: list[Fill] = []
        self.refusals: dict[str, int] = {}
        self.observations: list[NDArray[np.float32]] = []
        self.actions: list[int] = []
        self._reasons: dict[ClientOrderId, FillReason] = {}
        self._entry_id: ClientOrderId | None = None
        self._stop_id: ClientOrderId | None = None
        self._session_is_traded = False

    def on_start(self) -> None:
        """Subscribe to the bars."""
        self._instrument = self.cache.instrument(self.config.instrument_id)
        if self._instrument is None:
            raise ValueError(f"the cache must hold {self.config.instrument_id}, found no such instrument")
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, bar: Bar) -> None:
        """One decision cycle on the close of ``bar``."""
        core, tick_raw = self.core, self._tick_raw
        core.on_bar(
            bar.ts_event,
            bar.open.raw // tick_raw,
            bar.high.raw // tick_raw,
            bar.low.raw // tick_raw,
            bar.close.raw // tick_raw,
            int(bar.volume),
        )
        if core.session_is_new:
            self._begin_session(bar.ts_event)
        if self._session_is_traded and bar.ts_event < core.flat_ns:
            self._decide()

    def on_stop(self) -> None:
        """Leave the market: nothing rests and nothing is held after the strategy stopped."""
        self._close_position("end_of_session")

    def _begin_session(self, ts_ns: int) -> None:
        self.policy.reset()
        flat_ns = self.core.flat_ns
        self._session_is_traded = self.core.is_warm and self.trade_from_ns <= ts_ns < flat_ns
        if self._session_is_traded:
            # An alert, not a bar, closes the session: it comes also when the market prints nothing more.
            name = f"{self.id}-flatten-{self.core.session}"
            self.clock.set_time_alert_ns(name, flat_ns, lambda event: self._close_position("end_of_session"))

    def _decide(self) -> None:
        if self._orders_in_flight():
            self._count("order_in_flight")
            return
        observation = self.core.observe()
        action = self.policy.act(observation)
        if self.config.record_observations:
            self.observations.append(observation.copy())
            self.actions.append(action)
        answer = self.core.review(action)
        if answer.is_refusal:
            self._count(answer.reason)
        self._pursue(answer)

    def _pursue(self, answer: Review) -> None:
        side = self.core.side
        if answer.side == side:
            return
        if side != 0:
            closing: FillReason = "reverse" if answer.side != 0 else "signal"
            self._close_position("time_limit" if answer.is_time_limit else closing)
        if answer.side != 0:
            order = self.order_factory.market(
                self.config.instrument_id,
                _order_side(answer.side),
                Quantity.from_int(self.core.trading.units),
            )
            self._entry_id = order.client_order_id
            self._submit(order, "entry")

    def _close_position(self, reason: FillReason) -> None:
        self.cancel_all_orders(self.config.instrument_id)
        self._entry_id = None
        units = int(self.core.position.units)
        if units != 0:
            order = self.order_factory.market(
                self.config.instrument_id,
                _order_side(-self.core.side),
                Quantity.from_int(abs(units)),
                reduce_only=True,
            )
            self._submit(order, reason)

    def _submit(self, order: Any, reason: FillReason) -> None:
        self._reasons[order.client_order_id] = reason
        self.submit_order(order)

    def _orders_in_flight(self) -> bool:
        # Unknown is not flat: an order that the venue has not answered, or a market order without its fill. A
        # barrier on its way out is no such doubt: it can only reduce.
        cache, instrument_id = self.cache, self.config.instrument_id
        waiting = cache.orders_inflight(None, instrument_id)
        if any(order.status == OrderStatus.SUBMITTED for order in waiting):
            return True
        return any(order.order_type == OrderType.MARKET for order in cache.orders_open(None, instrument_id))

    def on_order_filled(self, event: OrderFilled) -> None:
        """Move the position; lay the barriers around a complete entry; clear the market once flat."""
        core = self.core
        units = int(event.last_qty) if event.order_side == OrderSide.BUY else -int(event.last_qty)
        price_ticks = event.last_px.raw // self._tick_raw
        core.on_fill(units, price_ticks)
        order = self.cache.order(event.client_order_id)
        self.fills.append(
            Fill(
                event.ts_event,
                units,
                price_ticks,
                round(event.commission.as_decimal() * 100),
                _KINDS[event.order_type],
                self._trigger_ticks(order),
                self._reasons.get(event.client_order_id, "signal"),
            )
        )
        if event.client_order_id == self._entry_id and order.is_closed:
            self._entry_id = None
            self._lay_barriers(price_ticks)
        elif core.position.units == 0 and self.cache.orders_open_count(None, self.config.instrument_id):
            self.cancel_all_orders(self.config.instrument_id)

    def on_order_rejected(self, event: OrderRejected) -> None:
        """A stop that the venue refuses leaves a naked position: out of it at once."""
        self._on_refused(event.client_order_id, event.reason)

    def on_order_denied(self, event: OrderDenied) -> None:
        """As `on_order_rejected`, for orders that never left the house."""
        self._on_refused(event.client_order_id, event.reason)

    def _on_refused(self, client_order_id: ClientOrderId, reason: str) -> None:
        self._count(f"venue: {reason}")
        if client_order_id == self._stop_id:
            self._close_position("protection_lost")

    def _lay_barriers(self, entry_ticks: int) -> None:
        factory, instrument_id = self.order_factory, self.config.instrument_id
        exit_side = _order_side(-self.core.side)
        quantity = Quantity.from_int(abs(int(self.core.position.units)))
        stop = self.core.lay_barrier("stop", entry_ticks)
        target = self.core.lay_barrier("target", entry_ticks)
        if stop:
            order = factory.stop_market(instrument_id, exit_side, quantity, self._price(stop), reduce_only=True)
            self._stop_id = order.client_order_id
            self._submit(order, "stop_loss")
        if target:
            order = factory.limit(instrument_id, exit_side, quantity, self._price(target), reduce_only=True)
            self._submit(order, "take_profit")

    def _price(self, ticks: int) -> Price:
        return Price.from_raw(ticks * self._tick_raw, self._instrument.price_precision)

    def _trigger_ticks(self, order: Any) -> int:
        if order.order_type == OrderType.STOP_MARKET:
            return int(order.trigger_price.raw // self._tick_raw)
        return int(order.price.raw // self._tick_raw) if order.order_type == OrderType.LIMIT else 0

    def _count(self, reason: str) -> None:
        self.refusals[reason] = self.refusals.get(reason, 0) + 1


class _TradedAs(msgspec.Struct, frozen=True):
    trading: TradingConfig
    execution: ExecutionConfig


def core_of(bundle: Bundle) -> DecisionCore:
    """Decision core that a bundle fixes."""
    rules = msgspec.yaml.decode(bundle.experiment_yaml, type=_TradedAs)
    calendar = session_calendar(bundle.instrument.calendar)
    return DecisionCore(bundle.instrument, calendar, bundle.plan, rules.trading, rules.execution)


def _order_side(side: int) -> OrderSide:
    return OrderSide.BUY if side > 0 else OrderSide.SELL

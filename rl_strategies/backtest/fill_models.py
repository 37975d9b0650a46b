"""Slippage of simulated fills in NautilusTrader's engine: the same ticks as the training simulator.

The engine itself slips one tick, on every fill (`StreamFillModel`, for ``slippage_ticks``). For any other slippage a
fill model may answer with a book of its own, from which the engine then fills. `SlippageFillModel` asks the matching
engine for the fills it would make, which knows whether a stop was reached or gapped through, and gives them back worse.
A fill model is told neither its venue nor the time; `SlippageModule` brings both.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from nautilus_trader.backtest.config import FillModelConfig, ImportableFillModelConfig, SimulationModuleConfig
from nautilus_trader.backtest.models import FillModel
from nautilus_trader.backtest.modules import SimulationModule
from nautilus_trader.config import ImportableActorConfig
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.enums import BookType, OrderSide, OrderType
from nautilus_trader.model.objects import Price

from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.decision.rules import RULES, ExecutionConfig
from rl_strategies.decision.slippage import adverse_ticks, pack_slippage, slippage_stream

SLIPPING_ORDERS = (OrderType.MARKET, OrderType.STOP_MARKET)


class StreamFillModelConfig(FillModelConfig, frozen=True):  # type: ignore[call-arg]
    """Slippage of a `StreamFillModel`, as in `ExecutionConfig`.

    Attributes
    ----------
    slippage_ticks : int
    slippage_probability : float
    slippage_seed : int
    """

    slippage_ticks: int = 0
    slippage_probability: float = 1.0
    slippage_seed: int = 0


class StreamFillModel(FillModel):
    """The engine's fill model with the shared random stream: limits fill when touched, fills slip as drawn.

    Attributes
    ----------
    draws : int
        Position of the next draw in the stream.
    """

    def __init__(self, config: StreamFillModelConfig) -> None:
        super().__init__(prob_fill_on_limit=1.0, prob_slippage=0.0, random_seed=0)
        self._ticks = config.slippage_ticks
        self._stream = slippage_stream(config.slippage_ticks, config.slippage_probability, config.slippage_seed)
        self.draws = 0

    def is_slipped(self) -> bool:
        """Whether the next fill slips a tick."""
        if self._ticks == 0 or len(self._stream) == 1:
            return bool(self._ticks)
        drawn = bool(self._stream[self.draws % len(self._stream)])
        self.draws += 1
        return drawn


class FillsBook(OrderBook):
    """A book from which one order takes given fills."""

    fills: list[Any]

    def simulate_fills(self, order: Any, price_prec: int, size_prec: int, is_aggressive: bool) -> list[Any]:
        """The given fills."""
        return self.fills


class InstrumentSlippage:
    """Slippage of several instruments by time, outside the simulator.

    Parameters
    ----------
    instruments : sequence of InstrumentSpec
        Instruments in the policy's order; only those that trade need rows in a table of spreads.
    execution : ExecutionConfig
        With a ``slippage``.
    """

    def __init__(self, instruments: Sequence[InstrumentSpec], execution: ExecutionConfig) -> None:
        self._instruments, self._slippage = instruments, execution.slippage
        self._packed: dict[int, Any] = {}

    def _rules(self, place: int) -> Any:
        if place not in self._packed:
            record = np.zeros(1, RULES)
            for name, value in pack_slippage(self._slippage, self._instruments[place], place).items():
                record[name] = value
            self._packed[place] = record[0]
        return self._packed[place]

    def ticks(self, place: int, ts_ns: int, price_ticks: int, direction: int) -> int:
        """`rl_strategies.decision.slippage.adverse_ticks` of the instrument at a place."""
        opens = self._instruments[place].sessions.open_ns
        session = max(int(np.searchsorted(opens, ts_ns, side="left")) - 1, 0)
        return int(adverse_ticks(self._rules(place), opens[session], ts_ns, price_ticks, direction))


class SlippageFillModelConfig(FillModelConfig, frozen=True):  # type: ignore[call-arg]
    """Slippage of a `SlippageFillModel`.

    Attributes
    ----------
    instruments : list of dict
        Every `InstrumentSpec` of the policy as plain data, in its order.
    execution : dict
        `ExecutionConfig` as plain data.
    """

    instruments: list[dict[str, Any]] = []  # noqa: RUF012  (msgspec copies it)
    execution: dict[str, Any] = {}  # noqa: RUF012


class SlippageFillModel(FillModel):
    """Market orders and stops fill worse by `InstrumentSlippage`; limits fill at their limit when touched.

    Attributes
    ----------
    draws : int
        Not used: draws depend on the time alone.
    """

    def __init__(self, config: SlippageFillModelConfig) -> None:
        super().__init__(prob_fill_on_limit=1.0, prob_slippage=0.0, random_seed=0)
        specs = msgspec.convert(config.instruments, list[InstrumentSpec])
        self._slippage = InstrumentSlippage(specs, msgspec.convert(config.execution, ExecutionConfig))
        self._places = {spec.instrument_id: place for place, spec in enumerate(specs)}
        self._tick_raw = [int(spec.tick_raw) for spec in specs]
        self._exchanges: dict[Any, tuple[Any, Any]] = {}
        self._books: dict[Any, FillsBook] = {}
        self.draws = 0

    def attach(self, exchange: Any, clock: Any) -> None:
        """Learn a venue and its clock."""
        self._exchanges[exchange.id] = exchange, clock

    def get_orderbook_for_fill_simulation(self, instrument: Any, order: Any, best_bid: Any, best_ask: Any) -> Any:
        """A book with the order's fills, worse by the slippage; None for limits and where nothing slips."""
        if order.order_type not in SLIPPING_ORDERS:
            return None
        exchange, clock = self._exchanges[instrument.id.venue]
        fills = exchange.get_matching_engine(instrument.id).determine_market_price_and_volume(order)
        if not fills:
            return None
        place = self._places[instrument.id.value]
        tick_raw, direction = self._tick_raw[place], 1 if order.side == OrderSide.BUY else -1
        ticks = self._slippage.ticks(place, clock.timestamp_ns(), fills[0][0].raw // tick_raw, direction)
        if ticks == 0:
            return None
        book = self._books.setdefault(instrument.id, FillsBook(instrument.id, BookType.L1_MBP))
        worse = direction * ticks * tick_raw
        book.fills = [(Price.from_raw(price.raw + worse, price.precision), units) for price, units in fills]
        return book


class SlippageModule(SimulationModule):
    """Tells the venue's `SlippageFillModel` which venue it serves."""

    def register_venue(self, exchange: Any) -> None:
        """Attach the venue's fill model to it."""
        super().register_venue(exchange)
        exchange.fill_model.attach(exchange, self.clock)

    def process(self, ts_now: int) -> None:
        """Do nothing."""

    def log_diagnostics(self, logger: Any) -> None:
        """Do nothing."""

    def reset(self) -> None:
        """Do nothing."""


def fill_model(
    instruments: Sequence[InstrumentSpec], execution: ExecutionConfig
) -> StreamFillModel | SlippageFillModel:
    """The fill model of `fill_model_config`, as an object."""
    if execution.slippage is None:
        return StreamFillModel(StreamFillModelConfig(**stream_settings(execution)))
    return SlippageFillModel(SlippageFillModelConfig(**_plain(instruments, execution)))


def fill_model_config(instruments: Sequence[InstrumentSpec], execution: ExecutionConfig) -> ImportableFillModelConfig:
    """Fill model of a venue in a BacktestNode; ``instruments`` are all of the policy."""
    name, config = "StreamFillModel", stream_settings(execution)
    if execution.slippage is not None:
        name, config = "SlippageFillModel", _plain(instruments, execution)
    return ImportableFillModelConfig(
        fill_model_path=f"{__name__}:{name}", config_path=f"{__name__}:{name}Config", config=config
    )


def slippage_modules(execution: ExecutionConfig) -> list[SimulationModule]:
    """Modules that a venue needs for the fill model."""
    return [] if execution.slippage is None else [SlippageModule(SimulationModuleConfig())]


def slippage_module_configs(execution: ExecutionConfig) -> list[ImportableActorConfig] | None:
    """`slippage_modules` for a BacktestNode."""
    if execution.slippage is None:
        return None
    config_path = "nautilus_trader.backtest.config:SimulationModuleConfig"
    return [ImportableActorConfig(actor_path=f"{__name__}:SlippageModule", config_path=config_path, config={})]


def stream_settings(execution: ExecutionConfig) -> dict[str, Any]:
    """Values of a `StreamFillModelConfig`."""
    return {
        "slippage_ticks": execution.slippage_ticks,
        "slippage_probability": execution.slippage_probability,
        "slippage_seed": execution.slippage_seed,
    }


def _plain(instruments: Sequence[InstrumentSpec], execution: ExecutionConfig) -> dict[str, Any]:
    return {"instruments": msgspec.to_builtins(list(instruments)), "execution": msgspec.to_builtins(execution)}

"""The simulated broker fills as NautilusTrader's engine does, bar for bar and unit for unit."""

from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest
from ibapi.protobuf.Order_pb2 import Order
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import FillModel
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide, TimeInForce
from nautilus_trader.model.events import OrderFilled, OrderRejected
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

from adapters.ibkr.simulator.broker.matching import Quote
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import ANNOUNCE, CLOSE, TapeBar
from catalogs.instruments.specification import InstrumentSpec, to_nautilus

SPEC = InstrumentSpec(
    instrument_id="MESH6.XCME",
    kind="future",
    tick_size=Decimal("0.25"),
    multiplier=5,
    commission_per_unit=Decimal(0),
    commission_minimum=Decimal(0),
    calendar="CME Globex Equity",
)
BAR_TYPE = BarType.from_str("MESH6.XCME-1-MINUTE-LAST-EXTERNAL")
MINUTE_NS = 60_000_000_000
# What is sent on a bar's close: kind, signed units, distance of its price from the close in ticks.
Wish = tuple[str, int, int]
Filled = tuple[int, int, int]  # bar, signed units, price in ticks


class Tape(Strategy):
    """Sends the wishes of each close; those of the bar before are cancelled first."""

    def __init__(self, wishes: list[list[Wish]]) -> None:
        super().__init__()
        self._wishes = wishes
        self._bar = -1
        self.filled: list[Filled] = []
        self.refused: list[Wish] = []
        self._sent: dict[str, tuple[int, Wish]] = {}

    def on_start(self) -> None:
        self.subscribe_bars(BAR_TYPE)

    def on_bar(self, bar: Bar) -> None:
        self._bar += 1
        self.cancel_all_orders(BAR_TYPE.instrument_id)
        for wish in list(self._wishes[self._bar]):
            self._send(wish, float(bar.close))

    def on_order_filled(self, event: OrderFilled) -> None:
        sign = 1 if event.order_side == OrderSide.BUY else -1
        self.filled.append((_bar_of(event.ts_event), sign * int(event.last_qty), round(float(event.last_px) * 4)))

    def on_order_rejected(self, event: OrderRejected) -> None:
        # After a limit was filled through on a bar's last tick the engine believes the market at that limit and
        # refuses a stop that lies between; a broker does not, so the pair is compared without that stop.
        bar, wish = self._sent[event.client_order_id.value]
        self._wishes[bar].remove(wish)
        self.refused.append(wish)

    def _send(self, wish: Wish, close: float) -> None:
        kind, units, away = wish
        side = OrderSide.BUY if units > 0 else OrderSide.SELL
        size, price, gtc = Quantity.from_int(abs(units)), Price(close + 0.25 * away, 2), TimeInForce.GTC
        make, instrument_id = self.order_factory, BAR_TYPE.instrument_id
        if kind == "MKT":
            order = make.market(instrument_id, side, size, gtc)
        elif kind == "LMT":
            order = make.limit(instrument_id, side, size, price, time_in_force=gtc)
        else:
            order = make.stop_market(instrument_id, side, size, price, time_in_force=gtc)
        self._sent[order.client_order_id.value] = (self._bar, wish)
        self.submit_order(order)


def _bar_of(ts_ns: int) -> int:
    return (ts_ns - START_NS) // MINUTE_NS - 1


START_NS = 1_767_623_400_000_000_000


def random_bars(rng: np.random.Generator, count: int) -> list[TapeBar]:
    bars, last = [], 24_000
    for i in range(count):
        open_ = last + int(rng.integers(-3, 4))
        close = open_ + int(rng.integers(-8, 9))
        high = max(open_, close) + int(rng.integers(0, 6))
        low = min(open_, close) - int(rng.integers(0, 6))
        bars.append(TapeBar(START_NS + i * MINUTE_NS, open_, high, low, close, int(rng.integers(4, 60))))
        last = close
    return bars


def random_wishes(rng: np.random.Generator, count: int) -> list[list[Wish]]:
    """A market order, a resting stop and a resting limit now and then; stops and limits lie away from the market."""
    wishes: list[list[Wish]] = []
    for _ in range(count):
        now: list[Wish] = []
        side = int(rng.choice([-1, 1]))
        if rng.random() < 0.5:
            now.append(("MKT", side * int(rng.integers(1, 12)), 0))
        if rng.random() < 0.5:
            now.append(("STP", side * int(rng.integers(1, 12)), side * int(rng.integers(1, 8))))
        if rng.random() < 0.5:
            now.append(("LMT", side * int(rng.integers(1, 12)), -side * int(rng.integers(1, 8))))
        wishes.append(now)
    return wishes


def engine_fills(bars: list[TapeBar], wishes: list[list[Wish]], slippage: int) -> tuple[list[Filled], list[Wish]]:
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        Venue("XCME"), OmsType.NETTING, AccountType.MARGIN, [Money(10_000_000, USD)], base_currency=USD,
        bar_adaptive_high_low_ordering=True, fill_model=FillModel(prob_slippage=float(slippage)),
    )  # fmt: skip
    engine.add_instrument(to_nautilus(SPEC))
    engine.add_data(
        [
            Bar(
                BAR_TYPE, *(Price(ticks * 0.25, 2) for ticks in (bar.open, bar.high, bar.low, bar.close)),
                Quantity.from_int(bar.volume), bar.open_ns + MINUTE_NS, bar.open_ns + MINUTE_NS,
            )
            for bar in bars
        ]
    )  # fmt: skip
    strategy = Tape(wishes)
    engine.add_strategy(strategy)
    engine.run()
    engine.dispose()
    return strategy.filled, strategy.refused


def gateway_fills(gateway: Gateway, ib: SimpleNamespace, wishes: list[list[Wish]]) -> list[Filled]:
    filled: list[Filled] = []
    market, trades = gateway.market, gateway.broker.trades

    def note(bar: int) -> None:
        filled.extend((bar, trade.units, trade.ticks) for trade in trades[len(filled) :])

    while not market.is_over:
        gateway.step()
        note((market.now_ns - START_NS - (market.phase == CLOSE)) // MINUTE_NS)
        # A client learns of a complete bar when the next one is announced; the last bar has no next.
        if market.phase == ANNOUNCE and market.now_ns > START_NS:
            send(gateway, ib, wishes[(market.now_ns - START_NS) // MINUTE_NS - 1])
            note((market.now_ns - START_NS) // MINUTE_NS - 1)
    send(gateway, ib, wishes[-1])
    note(len(wishes) - 1)
    return filled


def send(gateway: Gateway, ib: SimpleNamespace, wishes: list[Wish]) -> None:
    gateway.broker.cancel_all()
    for kind, units, away in wishes:
        price = (gateway.broker.marks[ib.MES.con_id] + away) * 0.25
        order = Order(action="BUY" if units > 0 else "SELL", totalQuantity=str(abs(units)), orderType=kind)
        order.transmit, order.lmtPrice, order.auxPrice = True, price, price
        request = PlaceOrderRequest(orderId=gateway.broker.next_order_id(1), contract=ib.MES.to_contract(), order=order)
        gateway.broker.place(1, request)


@pytest.mark.parametrize("slippage", [0, 1])
@pytest.mark.parametrize("seed", range(8))
def test_random_orders_fill_as_in_the_engine(
    seed: int, slippage: int, gateway_of: Callable[..., Gateway], ib: SimpleNamespace
) -> None:
    rng = np.random.default_rng(seed)
    bars, wishes = random_bars(rng, 300), random_wishes(rng, 300)
    gateway = gateway_of(bars, history=0, cash_cents=10**12, slippage_ticks=slippage)
    gateway.broker.quotes[ib.MES.con_id] = Quote(0, 1, opens=False)  # so that the first open is a tick
    expected, refused = engine_fills(bars, wishes, slippage)
    assert len(expected) > 150
    assert len(refused) <= 3
    assert {kind for kind, *_ in refused} <= {"STP"}
    assert gateway_fills(gateway, ib, wishes) == expected

"""What a client subscribes to: historical bars kept up to date, five-second bars, quotes and single trades.

A feed turns a step of the market into messages and keeps nothing that the market knows already.
"""

from typing import NamedTuple, Protocol

from google.protobuf.message import Message
from ibapi.protobuf.HistoricalDataBar_pb2 import HistoricalDataBar
from ibapi.protobuf.HistoricalDataUpdate_pb2 import HistoricalDataUpdate
from ibapi.protobuf.HistoricalTickBidAsk_pb2 import HistoricalTickBidAsk
from ibapi.protobuf.HistoricalTickLast_pb2 import HistoricalTickLast
from ibapi.protobuf.RealTimeBarTick_pb2 import RealTimeBarTick
from ibapi.protobuf.TickByTickData_pb2 import TickByTickData
from ibapi.protobuf.TickPrice_pb2 import TickPrice
from ibapi.protobuf.TickSize_pb2 import TickSize
from ibapi.ticktype import TickTypeEnum

from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.broker.matching import Quote
from adapters.ibkr.simulator.broker.reports import time_text
from adapters.ibkr.simulator.market import CLOSE, SECOND_NS, Market, Step, TapeBar

FIVE_SECONDS_NS = 5 * SECOND_NS
AS_EPOCH = 2
LAST, BID_ASK = 1, 3


class Feed(Protocol):
    """A subscription of one client."""

    @property
    def con_id(self) -> int:
        """Contract that the subscription is about."""

    def messages(self, market: Market, step: Step, quote: Quote | None) -> list[Message]:
        """What the client is sent after a step of its contract."""


class KeptUpToDate(NamedTuple):
    """Historical bars with ``keepUpToDate``: the bar in the making after every step."""

    req_id: int
    con_id: int
    terms: ContractTerms
    size_ns: int
    date_format: int

    def messages(self, market: Market, step: Step, quote: Quote | None) -> list[Message]:
        """The bar in the making."""
        bar = market.bar_in_the_making(self.con_id, self.size_ns)
        return [] if bar is None else [self.update(bar)]

    def update(self, bar: TapeBar) -> HistoricalDataUpdate:
        """Message of one bar."""
        shown = historical_bar(bar, self.terms, self.date_format)
        return HistoricalDataUpdate(reqId=self.req_id, historicalDataBar=shown)


class RealTimeBars:
    """Five-second bars; a window without a trade repeats the last price with no volume, as TWS does."""

    def __init__(self, req_id: int, con_id: int, terms: ContractTerms) -> None:
        self._con_id = con_id
        self._req_id = req_id
        self._terms = terms
        self._window: TapeBar | None = None

    @property
    def con_id(self) -> int:
        """Contract that the subscription is about."""
        return self._con_id

    def messages(self, market: Market, step: Step, quote: Quote | None) -> list[Message]:
        """Windows that are complete."""
        if quote is None:
            return []
        # The close is traded at the end of the window before, not at the start of the next.
        traded_ns = step.ts_ns - (step.phase == CLOSE)
        bars = self._close_windows(traded_ns, market.bar_ns)
        self._trade(quote, traded_ns)
        if step.phase == CLOSE:
            bars += self._close_windows(step.ts_ns, market.bar_ns)
        return [self._tick(bar) for bar in bars]

    def _close_windows(self, until_ns: int, longest_ns: int) -> list[TapeBar]:
        done: list[TapeBar] = []
        window = self._window
        while window is not None and window.open_ns + FIVE_SECONDS_NS <= until_ns:
            if until_ns - window.open_ns > longest_ns:
                window = None  # the market was closed in between
                break
            done.append(window)
            last = window.close
            window = TapeBar(window.open_ns + FIVE_SECONDS_NS, last, last, last, last, 0)
        self._window = window
        return done

    def _trade(self, quote: Quote, traded_ns: int) -> None:
        begin = traded_ns // FIVE_SECONDS_NS * FIVE_SECONDS_NS
        window, ticks = self._window, quote.ticks
        if window is None or window.volume == 0:
            self._window = TapeBar(begin, ticks, ticks, ticks, ticks, quote.units)
        else:
            self._window = TapeBar(
                begin, window.open, max(window.high, ticks), min(window.low, ticks), ticks, window.volume + quote.units
            )

    def _tick(self, bar: TapeBar) -> RealTimeBarTick:
        price = self._terms.price
        return RealTimeBarTick(
            reqId=self._req_id, time=bar.open_ns // SECOND_NS, open=price(bar.open), high=price(bar.high),
            low=price(bar.low), close=price(bar.close), volume=str(bar.volume), WAP=str(price(bar.close)), count=1,
        )  # fmt: skip


class Quotes(NamedTuple):
    """Market data: bid, ask and last, all at the traded price."""

    req_id: int
    con_id: int
    terms: ContractTerms
    delayed: bool

    def messages(self, market: Market, step: Step, quote: Quote | None) -> list[Message]:
        """Prices and sizes of a step."""
        return [] if quote is None else self.snapshot(quote)

    def snapshot(self, quote: Quote) -> list[Message]:
        """Prices and sizes of a quote."""
        kinds = TickTypeEnum
        types = (kinds.DELAYED_BID, kinds.DELAYED_ASK, kinds.DELAYED_LAST) if self.delayed else (
            kinds.BID, kinds.ASK, kinds.LAST
        )  # fmt: skip
        price, size = self.terms.price(quote.ticks), str(quote.units)
        ticks: list[Message] = [
            TickPrice(reqId=self.req_id, tickType=int(kind), price=price, size=size, attrMask=0) for kind in types
        ]
        volume = kinds.DELAYED_VOLUME if self.delayed else kinds.VOLUME
        return [*ticks, TickSize(reqId=self.req_id, tickType=int(volume), size=size)]


class SingleTrades(NamedTuple):
    """Tick by tick: trades (``Last``, ``AllLast``) or quotes (``BidAsk``)."""

    req_id: int
    con_id: int
    terms: ContractTerms
    kind: str

    def messages(self, market: Market, step: Step, quote: Quote | None) -> list[Message]:
        """One trade or quote."""
        if quote is None:
            return []
        price, size, seconds = self.terms.price(quote.ticks), str(quote.units), step.ts_ns // SECOND_NS
        if self.kind == "BidAsk":
            both = HistoricalTickBidAsk(time=seconds, priceBid=price, priceAsk=price, sizeBid=size, sizeAsk=size)
            return [TickByTickData(reqId=self.req_id, tickType=BID_ASK, historicalTickBidAsk=both)]
        trade = HistoricalTickLast(time=seconds, price=price, size=size, exchange=self.terms.exchange)
        return [TickByTickData(reqId=self.req_id, tickType=LAST, historicalTickLast=trade)]


def historical_bar(bar: TapeBar, terms: ContractTerms, date_format: int) -> HistoricalDataBar:
    """One bar as historical data shows it; its date is its opening time."""
    price = terms.price
    date = str(bar.open_ns // SECOND_NS) if date_format == AS_EPOCH else time_text(bar.open_ns)
    return HistoricalDataBar(
        date=date, open=price(bar.open), high=price(bar.high), low=price(bar.low), close=price(bar.close),
        volume=str(bar.volume), WAP=str(price(bar.close)), barCount=1 if bar.volume else 0,
    )  # fmt: skip

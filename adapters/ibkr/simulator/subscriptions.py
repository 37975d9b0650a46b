"""Requests for market data: historical bars, five-second bars, quotes, single trades."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from google.protobuf.message import Message
from ibapi.protobuf.HistoricalData_pb2 import HistoricalData
from ibapi.protobuf.HistoricalDataEnd_pb2 import HistoricalDataEnd
from ibapi.protobuf.MarketDataType_pb2 import MarketDataType
from ibapi.protobuf.TickReqParams_pb2 import TickReqParams
from ibapi.protobuf.TickSnapshotEnd_pb2 import TickSnapshotEnd

from adapters.ibkr.simulator.broker.acceptance import UNKNOWN_CONTRACT, Refusal
from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.client_session import DELAYED, ClientSession
from adapters.ibkr.simulator.feeds import KeptUpToDate, Quotes, RealTimeBars, SingleTrades, historical_bar
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import SECOND_NS

NO_HISTORY = "Historical Market Data Service error message:"
COMPETING_SESSION = Refusal(10197, "No market data during competing live session")
SIZES_NS = {
    "secs": SECOND_NS,
    "min": 60 * SECOND_NS,
    "mins": 60 * SECOND_NS,
    "hour": 3_600 * SECOND_NS,
    "hours": 3_600 * SECOND_NS,
    "day": 86_400 * SECOND_NS,
}
DURATIONS_NS = {"S": SECOND_NS, "D": 86_400 * SECOND_NS, "W": 7 * 86_400 * SECOND_NS, "M": 30 * 86_400 * SECOND_NS}


def historical_data(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    """Bars that closed, and with ``keepUpToDate`` the bar in the making after every step."""
    terms = _one_contract(gateway, request)
    if terms is None:
        return [gateway.error(request.reqId, UNKNOWN_CONTRACT)]
    size_ns = _span_ns(request.barSizeSetting, SIZES_NS)
    duration_ns = _span_ns(request.duration, DURATIONS_NS)
    if gateway.history_refusal is not None:
        return [gateway.error(request.reqId, gateway.history_refusal)]
    if not size_ns or not duration_ns or size_ns % gateway.market.bar_ns:
        rule = f"bars must be a multiple of {gateway.market.bar_ns // SECOND_NS} s, was {request.barSizeSetting!r}"
        return [gateway.error(request.reqId, Refusal(321, f"Error validating request: {rule}"))]
    end_ns = _end_ns(request.endDateTime) if request.endDateTime else gateway.market.now_ns
    if end_ns is None:
        rule = f"end must be of the form 20260105 14:30:00 UTC, was {request.endDateTime!r}"
        return [gateway.error(request.reqId, Refusal(321, f"Error validating request: {rule}"))]
    bars = gateway.market.history(terms.con_id, end_ns, duration_ns, size_ns, request.useRTH)
    if not bars and not request.keepUpToDate:
        return [gateway.error(request.reqId, Refusal(162, f"{NO_HISTORY}HMDS query returned no data"))]
    messages: list[Message] = [
        HistoricalData(
            reqId=request.reqId,
            historicalDataBars=[historical_bar(bar, terms, request.formatDate) for bar in bars],
        )
    ]
    if request.keepUpToDate:
        feed = KeptUpToDate(request.reqId, terms.con_id, terms, size_ns, request.formatDate)
        session.feeds["historical", request.reqId] = feed
    dates = [str(bars[0].open_ns // SECOND_NS), str(bars[-1].open_ns // SECOND_NS)] if bars else ["", ""]
    return [*messages, HistoricalDataEnd(reqId=request.reqId, startDateStr=dates[0], endDateStr=dates[1])]


def real_time_bars(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    """Five-second bars from now on."""
    terms = _one_contract(gateway, request)
    if terms is None:
        return [gateway.error(request.reqId, UNKNOWN_CONTRACT)]
    session.feeds["realtime", request.reqId] = RealTimeBars(request.reqId, terms.con_id, terms)
    return []


def market_data(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    """Quotes from now on, or one snapshot."""
    terms = _one_contract(gateway, request)
    if terms is None:
        return [gateway.error(request.reqId, UNKNOWN_CONTRACT)]
    if gateway.market_data_refusal is not None:
        return [gateway.error(request.reqId, gateway.market_data_refusal)]
    feed = Quotes(request.reqId, terms.con_id, terms, session.market_data_type >= DELAYED)
    head: list[Message] = [
        TickReqParams(reqId=request.reqId, minTick=str(terms.tick_size), bboExchange="", snapshotPermissions=0),
        MarketDataType(reqId=request.reqId, marketDataType=session.market_data_type),
    ]
    quote = gateway.broker.quotes.get(terms.con_id)
    now = feed.snapshot(quote) if quote is not None else []
    if request.snapshot:
        return [*head, *now, TickSnapshotEnd(reqId=request.reqId)]
    session.feeds["quotes", request.reqId] = feed
    return [*head, *now]


def tick_by_tick(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    """Single trades or quotes from now on."""
    terms = _one_contract(gateway, request)
    if terms is None:
        return [gateway.error(request.reqId, UNKNOWN_CONTRACT)]
    session.feeds["trades", request.reqId] = SingleTrades(request.reqId, terms.con_id, terms, request.tickType)
    return []


def cancel(kind: str) -> "Callable[[Gateway, ClientSession, Any], list[Message]]":
    """Answer that ends a subscription of a kind."""

    def answer(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
        session.feeds.pop((kind, request.reqId), None)
        return []

    return answer


def _one_contract(gateway: Gateway, request: Any) -> ContractTerms | None:
    found = gateway.broker.find(request.contract)
    return found[0] if len(found) == 1 else None


def _span_ns(text: str, units: dict[str, int]) -> int:
    count, _, unit = text.partition(" ")
    return int(count) * units.get(unit, 0) if count.isdigit() else 0


def _end_ns(text: str) -> int | None:
    # "20260105 14:30:00 US/Central", "20260105-14:30:00" and "20260105 14:30:00" (both UTC)
    day, _, rest = text.replace("-", " ", 1).partition(" ")
    time_of_day, _, zone = rest.partition(" ")
    try:
        stamp = datetime.strptime(f"{day} {time_of_day}", "%Y%m%d %H:%M:%S").replace(tzinfo=ZoneInfo(zone or "UTC"))
    except (ValueError, ZoneInfoNotFoundError):
        return None
    return int(stamp.timestamp()) * SECOND_NS

"""How the gateway answers each request: one short function per message, found by its type."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message
from ibapi.protobuf.AccountDataEnd_pb2 import AccountDataEnd
from ibapi.protobuf.AccountSummaryEnd_pb2 import AccountSummaryEnd
from ibapi.protobuf.AccountUpdateMulti_pb2 import AccountUpdateMulti
from ibapi.protobuf.AccountUpdateMultiEnd_pb2 import AccountUpdateMultiEnd
from ibapi.protobuf.CompletedOrdersEnd_pb2 import CompletedOrdersEnd
from ibapi.protobuf.ContractData_pb2 import ContractData
from ibapi.protobuf.ContractDataEnd_pb2 import ContractDataEnd
from ibapi.protobuf.CurrentTime_pb2 import CurrentTime
from ibapi.protobuf.CurrentTimeInMillis_pb2 import CurrentTimeInMillis
from ibapi.protobuf.ExecutionDetails_pb2 import ExecutionDetails
from ibapi.protobuf.ExecutionDetailsEnd_pb2 import ExecutionDetailsEnd
from ibapi.protobuf.ManagedAccounts_pb2 import ManagedAccounts
from ibapi.protobuf.NextValidId_pb2 import NextValidId
from ibapi.protobuf.OpenOrdersEnd_pb2 import OpenOrdersEnd
from ibapi.protobuf.PositionEnd_pb2 import PositionEnd
from ibapi.protobuf.StartApiRequest_pb2 import StartApiRequest

from adapters.ibkr.simulator import subscriptions
from adapters.ibkr.simulator.broker import acceptance
from adapters.ibkr.simulator.broker.broker import Trade
from adapters.ibkr.simulator.broker.orders import WorkingOrder
from adapters.ibkr.simulator.broker.reports import ns_of_time
from adapters.ibkr.simulator.client_session import ClientSession
from adapters.ibkr.simulator.gateway import NOT_SUPPORTED, NOTHING, Gateway

Answer = Callable[[Gateway, ClientSession, Any], list[Message]]


def handle(gateway: Gateway, session: ClientSession, request: Message | None) -> bool:
    """Answer one request into the session's outbox; what orders cause comes from the broker's events.

    Returns
    -------
    bool
        False if the connection must be closed after the outbox is sent.
    """
    if isinstance(request, StartApiRequest):
        return gateway.start(session, request.clientId)
    if session.client_id is None:
        return False
    if request is None:
        session.outbox.append(gateway.error(NOTHING, NOT_SUPPORTED))
        return True
    messages = ANSWERS[type(request).__name__](gateway, session, request)
    if messages:
        gateway.send(session, messages, is_answer=True)
    gateway.deliver()
    return True


def open_orders(orders: list[WorkingOrder]) -> list[Message]:
    """Open orders, each with its status, and the end marker."""
    shown = [message for order in orders for message in (order.to_open_order(), order.to_status())]
    return [*shown, OpenOrdersEnd()]


def _place(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    gateway.to_broker(lambda: gateway.broker.place(_client(session), request))
    return []


def _cancel(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    gateway.to_broker(lambda: gateway.broker.cancel(_client(session), request.orderId))
    return []


def _cancel_all(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    gateway.to_broker(lambda: gateway.broker.cancel_all(_client(session)))
    return []


def _ids(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    return [NextValidId(orderId=gateway.broker.next_order_id(_client(session)))]


def _managed_accounts(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    return [ManagedAccounts(accountsList=gateway.accounts_list())]


def _own_orders(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    return open_orders(gateway.broker.listed(_client(session)))


def _all_orders(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    orders = gateway.broker.listed()
    gateway.broker.shown_ids[_client(session)] = max((order.order_id for order in orders), default=0)
    return open_orders(orders)


def _completed(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    return [*gateway.broker.completed(), CompletedOrdersEnd()]


def _executions(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    wanted = request.executionFilter
    messages: list[Message] = []
    before = gateway.broker.superseded if gateway.broker.rules.corrections_in_requests == "both" else []
    for trade in (*before, *gateway.broker.trades):
        if _passes(trade, wanted) and trade.details.execution.execId not in gateway.unreported:
            details = ExecutionDetails()
            details.CopyFrom(trade.details)
            details.reqId = request.reqId
            messages += [details, trade.commission]
    return [*messages, ExecutionDetailsEnd(reqId=request.reqId)]


def _passes(trade: Trade, wanted: Any) -> bool:
    execution, contract = trade.details.execution, trade.details.contract
    given = (
        (wanted.clientId, execution.clientId),
        (wanted.acctCode, execution.acctNumber),
        (wanted.symbol, contract.symbol),
        (wanted.secType, contract.secType),
        (wanted.exchange, contract.exchange),
    )
    since_ns = ns_of_time(wanted.time) if wanted.time else 0
    return trade.ts_ns >= since_ns and all(not word or word == own for word, own in given)


def _contract_data(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    found = gateway.broker.find(request.contract)
    if not found:
        return [gateway.error(request.reqId, acceptance.UNKNOWN_CONTRACT)]
    details: list[Message] = [
        ContractData(reqId=request.reqId, contract=terms.to_listed_contract(), contractDetails=terms.to_details())
        for terms in found
    ]
    return [*details, ContractDataEnd(reqId=request.reqId)]


def _positions(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    session.wants_positions = True
    return [*gateway.positions(), PositionEnd()]


def _cancel_positions(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    session.wants_positions = False
    return []


def _summary(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    session.summaries[request.reqId] = request.tags.split(",")
    tags, marks = session.summaries[request.reqId], gateway.broker.marks
    accounts = gateway.broker.accounts.values()
    rows = [row for account in accounts for row in account.summary_rows(marks, request.reqId, tags)]
    return [*rows, AccountSummaryEnd(reqId=request.reqId)]


def _cancel_summary(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    session.summaries.pop(request.reqId, None)
    return []


def _account(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    session.wants_account = request.subscribe
    session.account = request.acctCode
    if not request.subscribe:
        return []
    account = gateway.broker.account_of(request.acctCode)
    return [
        *account.values(gateway.broker.marks, gateway.time_of_day()),
        AccountDataEnd(accountName=account.name),
    ]


def _account_multi(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    account = gateway.broker.account_of(request.account)
    currency = account.base_currency
    rows: list[Message] = [
        AccountUpdateMulti(reqId=request.reqId, account=account.name, key=tag, value=value, currency=currency)
        for tag, value in account.summary(gateway.broker.marks).items()
    ]
    return [*rows, AccountUpdateMultiEnd(reqId=request.reqId)]


def _time(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    return [CurrentTime(currentTime=gateway.broker_ns() // 1_000_000_000)]


def _time_in_millis(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    return [CurrentTimeInMillis(currentTimeInMillis=gateway.broker_ns() // 1_000_000)]


def _market_data_type(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    session.market_data_type = request.marketDataType
    return []


def _nothing(gateway: Gateway, session: ClientSession, request: Any) -> list[Message]:
    return []


def _client(session: ClientSession) -> int:
    assert session.client_id is not None
    return session.client_id


ANSWERS: dict[str, Answer] = {
    "PlaceOrderRequest": _place,
    "CancelOrderRequest": _cancel,
    "GlobalCancelRequest": _cancel_all,
    "IdsRequest": _ids,
    "ManagedAccountsRequest": _managed_accounts,
    "OpenOrdersRequest": _own_orders,
    "AllOpenOrdersRequest": _all_orders,
    "AutoOpenOrdersRequest": _nothing,
    "CompletedOrdersRequest": _completed,
    "ExecutionRequest": _executions,
    "ContractDataRequest": _contract_data,
    "PositionsRequest": _positions,
    "CancelPositions": _cancel_positions,
    "AccountSummaryRequest": _summary,
    "CancelAccountSummary": _cancel_summary,
    "AccountDataRequest": _account,
    "AccountUpdatesMultiRequest": _account_multi,
    "CurrentTimeRequest": _time,
    "CurrentTimeInMillisRequest": _time_in_millis,
    "MarketDataTypeRequest": _market_data_type,
    "SetServerLogLevelRequest": _nothing,
    "HistoricalDataRequest": subscriptions.historical_data,
    "CancelHistoricalData": subscriptions.cancel("historical"),
    "RealTimeBarsRequest": subscriptions.real_time_bars,
    "CancelRealTimeBars": subscriptions.cancel("realtime"),
    "MarketDataRequest": subscriptions.market_data,
    "CancelMarketData": subscriptions.cancel("quotes"),
    "TickByTickRequest": subscriptions.tick_by_tick,
    "CancelTickByTick": subscriptions.cancel("trades"),
}

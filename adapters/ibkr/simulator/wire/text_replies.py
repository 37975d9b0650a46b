"""Replies for clients that speak text, written from the protobuf messages of newer ones.

A layout names the message's fields in the order of the wire; ``=7`` writes a constant and ``=`` an empty field. The
order's own layouts, which are long, are in `text_orders`; sources are the decoders of IB's API and of ib_insync.
"""

from google.protobuf.message import Message
from ibapi.message import IN
from ibapi.protobuf.ContractData_pb2 import ContractData
from ibapi.protobuf.HistoricalData_pb2 import HistoricalData
from ibapi.protobuf.HistoricalDataEnd_pb2 import HistoricalDataEnd

from adapters.ibkr.simulator.wire.text_orders import completed_order_layout, fields_in, open_order_layout

CONTRACT = (
    "contract.conId contract.symbol contract.secType contract.lastTradeDateOrContractMonth contract.strike "
    "contract.right contract.multiplier contract.exchange contract.currency contract.localSymbol contract.tradingClass"
)
PORTFOLIO_CONTRACT = (
    "contract.conId contract.symbol contract.secType contract.lastTradeDateOrContractMonth contract.strike "
    "contract.right contract.multiplier contract.primaryExch contract.currency contract.localSymbol "
    "contract.tradingClass"
)
EXACT = 2**53  # doubles beyond are written as TWS does, with an exponent
BAR = "date open high low close volume WAP barCount"

LAYOUTS: dict[int, str] = {
    IN.TICK_PRICE: "=6 reqId tickType price size attrMask",
    IN.TICK_SIZE: "=6 reqId tickType size",
    IN.ORDER_STATUS: (
        "orderId status filled remaining avgFillPrice permId parentId lastFillPrice clientId whyHeld mktCapPrice"
    ),
    IN.ACCT_VALUE: "=2 key value currency accountName",
    IN.PORTFOLIO_VALUE: (
        f"=8 {PORTFOLIO_CONTRACT} position marketPrice marketValue averageCost unrealizedPNL realizedPNL accountName"
    ),
    IN.ACCT_UPDATE_TIME: "=1 timeStamp",
    IN.NEXT_VALID_ID: "=1 orderId",
    IN.MANAGED_ACCTS: "=1 accountsList",
    IN.CURRENT_TIME: "=1 currentTime",
    IN.REAL_TIME_BARS: "=3 reqId time open high low close volume WAP count",
    IN.CONTRACT_DATA_END: "=1 reqId",
    IN.OPEN_ORDER_END: "=1",
    IN.ACCT_DOWNLOAD_END: "=1 accountName",
    IN.EXECUTION_DATA_END: "=1 reqId",
    IN.TICK_SNAPSHOT_END: "=1 reqId",
    IN.MARKET_DATA_TYPE: "=1 reqId marketDataType",
    IN.COMMISSION_AND_FEES_REPORT: "=1 execId commissionAndFees currency realizedPNL = =",
    IN.POSITION_DATA: f"=3 account {CONTRACT} position avgCost",
    IN.POSITION_END: "=1",
    IN.ACCOUNT_SUMMARY: "=1 reqId account tag value currency",
    IN.ACCOUNT_SUMMARY_END: "=1 reqId",
    IN.ACCOUNT_UPDATE_MULTI: "=1 reqId account modelCode key value currency",
    IN.ACCOUNT_UPDATE_MULTI_END: "=1 reqId",
    IN.TICK_REQ_PARAMS: "reqId minTick bboExchange snapshotPermissions",
    IN.COMPLETED_ORDERS_END: "",
    IN.CURRENT_TIME_IN_MILLIS: "currentTimeInMillis",
    IN.HISTORICAL_DATA_UPDATE: "reqId " + " ".join(
        f"historicalDataBar.{name}" for name in ("barCount", "date", "open", "close", "high", "low", "WAP", "volume")
    ),
}  # fmt: skip

TICK_LAST = (
    "reqId tickType historicalTickLast.time historicalTickLast.price historicalTickLast.size =0 "
    "historicalTickLast.exchange historicalTickLast.specialConditions"
)
TICK_BID_ASK = (
    "reqId tickType historicalTickBidAsk.time historicalTickBidAsk.priceBid historicalTickBidAsk.priceAsk "
    "historicalTickBidAsk.sizeBid historicalTickBidAsk.sizeAsk =0"
)


def to_fields(message: Message, number: int, version: int) -> list[list[str]]:
    """Field lists, number first, of one reply; none where the server version does not know the message."""
    if isinstance(message, HistoricalDataEnd) and version < 196:
        return []  # such a server closes the bars in the message that carries them
    if isinstance(message, HistoricalData):
        return [[str(number), *_historical_data(message, version)]]
    if isinstance(message, ContractData):
        return [[str(number), *_contract_data(message, version)]]
    return [[str(number), *fields_of(message, _layout(message, number, version))]]


def fields_of(message: Message, layout: str) -> list[str]:
    """Text of the named fields of a message."""
    return [token[1:] if token.startswith("=") else _text(message, token.split(".")) for token in layout.split()]


def _layout(message: Message, number: int, version: int) -> str:
    if number == IN.OPEN_ORDER:
        return open_order_layout(version)
    if number == IN.COMPLETED_ORDER:
        return completed_order_layout(version)
    if number == IN.ERR_MSG:
        head = "=2 " if version < 194 else ""
        return head + "id errorCode errorMsg advancedOrderRejectJson" + (" errorTime" if version >= 194 else "")
    if number == IN.EXECUTION_DATA:
        return _execution_layout(version)
    if number == IN.HISTORICAL_DATA_END:
        return "reqId startDateStr endDateStr"
    if number == IN.TICK_BY_TICK:
        return TICK_LAST if message.HasField("historicalTickLast") else TICK_BID_ASK
    return LAYOUTS[number]


def _execution_layout(version: int) -> str:
    names = (
        "execId time acctNumber exchange side shares price permId clientId =0 cumQty avgPrice orderRef evRule "
        "evMultiplier modelCode lastLiquidity"
    )
    names += " isPriceRevisionPending" if version >= 178 else ""
    names += " submitter" if version >= 198 else ""
    return f"reqId execution.orderId {CONTRACT} {fields_in('execution', names)}"


def _historical_data(message: HistoricalData, version: int) -> list[str]:
    bars = message.historicalDataBars
    first_last = [bars[0].date, bars[-1].date] if bars else ["", ""]
    head = [str(message.reqId), *(first_last if version < 196 else []), str(len(bars))]
    return head + [field for bar in bars for field in fields_of(bar, BAR)]


def _contract_data(message: ContractData, version: int) -> list[str]:
    expiry = "contract.lastTradeDateOrContractMonth "
    head = (
        f"reqId contract.symbol contract.secType {expiry * (2 if version >= 182 else 1)}"
        "contract.strike contract.right contract.exchange contract.currency contract.localSymbol "
        "contractDetails.marketName contract.tradingClass contract.conId contractDetails.minTick contract.multiplier"
    )
    venue = "orderTypes validExchanges priceMagnifier underConId longName"
    hours = "contractMonth industry category subcategory timeZoneId tradingHours liquidHours evRule evMultiplier"
    tail = (
        "aggGroup underSymbol underSecType marketRuleIds realExpirationDate stockType minSize sizeIncrement "
        "suggestedSizeIncrement"
    )
    sec_ids = message.contractDetails.secIdList
    return [
        *fields_of(message, head),
        *fields_of(message.contractDetails, venue),
        *fields_of(message.contract, "primaryExch"),
        *fields_of(message.contractDetails, hours),
        str(len(sec_ids)),
        *(word for pair in sorted(sec_ids.items()) for word in pair),
        *fields_of(message.contractDetails, tail),
        *(["0"] if version >= 186 else []),
    ]


def _text(message: Message, path: list[str]) -> str:
    *parents, name = path
    for parent in parents:
        message = getattr(message, parent)
    value = getattr(message, name)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(int(value))
    if not message.HasField(name):
        return ""
    return str(int(value)) if abs(value) < EXACT and value == int(value) else repr(value)

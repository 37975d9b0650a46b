"""Requests of clients that speak text, read into the protobuf messages of newer ones.

A layout names the message's fields in the order of the wire; ``_`` is a field that nothing here looks at. Versions
are those between which the wire has the field; sources are ``client.py`` of IB's own API and of ib_insync 0.9.86.
"""

from collections.abc import Sequence

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from ibapi.message import OUT

from adapters.ibkr.simulator.wire.messages import REQUESTS

CONTRACT = (
    "contract.conId contract.symbol contract.secType contract.lastTradeDateOrContractMonth contract.strike "
    "contract.right contract.multiplier contract.exchange contract.primaryExch contract.currency "
    "contract.localSymbol contract.tradingClass"
)
# Clients send the largest number of a type where a person left a field empty.
UNSET = {"", "2147483647", "9223372036854775807", "1.7976931348623157e+308", "1.7976931348623157E308"}

LAYOUTS: dict[int, str] = {
    OUT.REQ_MKT_DATA: f"_ reqId {CONTRACT} _ genericTickList snapshot regulatorySnapshot _",
    OUT.CANCEL_MKT_DATA: "_ reqId",
    OUT.REQ_OPEN_ORDERS: "_",
    OUT.REQ_ACCT_DATA: "_ subscribe acctCode",
    OUT.REQ_EXECUTIONS: (
        "_ reqId executionFilter.clientId executionFilter.acctCode executionFilter.time executionFilter.symbol "
        "executionFilter.secType executionFilter.exchange executionFilter.side"
    ),
    OUT.REQ_IDS: "_ numIds",
    OUT.REQ_CONTRACT_DATA: f"_ reqId {CONTRACT} contract.includeExpired contract.secIdType contract.secId _",
    OUT.SET_SERVER_LOGLEVEL: "_ logLevel",
    OUT.REQ_AUTO_OPEN_ORDERS: "_ autoBind",
    OUT.REQ_ALL_OPEN_ORDERS: "_",
    OUT.REQ_MANAGED_ACCTS: "_",
    OUT.REQ_HISTORICAL_DATA: (
        f"reqId {CONTRACT} contract.includeExpired endDateTime barSizeSetting duration useRTH whatToShow formatDate "
        "keepUpToDate _"
    ),
    OUT.CANCEL_HISTORICAL_DATA: "_ reqId",
    OUT.REQ_CURRENT_TIME: "_",
    OUT.REQ_REAL_TIME_BARS: f"_ reqId {CONTRACT} barSize whatToShow useRTH _",
    OUT.CANCEL_REAL_TIME_BARS: "_ reqId",
    OUT.REQ_GLOBAL_CANCEL: "_",
    OUT.REQ_MARKET_DATA_TYPE: "_ marketDataType",
    OUT.REQ_POSITIONS: "_",
    OUT.REQ_ACCOUNT_SUMMARY: "_ reqId group tags",
    OUT.CANCEL_ACCOUNT_SUMMARY: "_ reqId",
    OUT.CANCEL_POSITIONS: "_",
    OUT.START_API: "_ clientId optionalCapabilities",
    OUT.REQ_ACCOUNT_UPDATES_MULTI: "_ reqId account modelCode ledgerAndNLV",
    OUT.REQ_TICK_BY_TICK_DATA: f"reqId {CONTRACT} tickType numberOfTicks ignoreSize",
    OUT.CANCEL_TICK_BY_TICK_DATA: "reqId",
    OUT.REQ_COMPLETED_ORDERS: "apiOnly",
    OUT.REQ_CURRENT_TIME_IN_MILLIS: "",
}

ORDER_HEAD = (
    f"orderId {CONTRACT} contract.secIdType contract.secId order.action order.totalQuantity order.orderType "
    "order.lmtPrice order.auxPrice order.tif order.ocaGroup order.account order.openClose order.origin order.orderRef "
    "order.transmit order.parentId order.blockOrder order.sweepToFill order.displaySize order.triggerMethod "
    "order.outsideRth order.hidden _ order.discretionaryAmt order.goodAfterTime order.goodTillDate order.faGroup "
    "order.faMethod order.faPercentage"
)
ORDER_MIDDLE = (
    "order.modelCode order.shortSaleSlot order.designatedLocation order.exemptCode order.ocaType order.rule80A "
    "order.settlingFirm order.allOrNone order.minQty order.percentOffset _ _ _ _ order.startingPrice "
    "order.stockRefPrice order.delta order.stockRangeLower order.stockRangeUpper order.overridePercentageConstraints "
    "order.volatility order.volatilityType order.deltaNeutralOrderType order.deltaNeutralAuxPrice "
    "order.continuousUpdate order.referencePriceType order.trailStopPrice order.trailingPercent "
    "order.scaleInitLevelSize order.scaleSubsLevelSize order.scalePriceIncrement order.scaleTable "
    "order.activeStartTime order.activeStopTime order.hedgeType order.optOutSmartRouting order.clearingAccount "
    "order.clearingIntent order.notHeld _ order.algoStrategy order.algoId order.whatIf"
)
# Instructions that insert further fields into the wire; orders that carry one are refused as unsupported.
ORDER_UNSUPPORTED = ("deltaNeutralOrderType", "scalePriceIncrement", "hedgeType", "algoStrategy")
FA_PROFILE_UNTIL = 177
CANCEL_HAS_NO_VERSION_FROM = 192


def from_fields(number: int, fields: Sequence[str], version: int) -> Message:
    """Request of a text client.

    Parameters
    ----------
    number : int
        Message number, one of `messages.REQUESTS`.
    fields : sequence of str
        Without the number.
    version : int
        Server version agreed upon.

    Raises
    ------
    ValueError
        If a field is missing or not of its type.
    """
    message = REQUESTS[number]()
    for path, text in zip(_layout(number, version), fields, strict=False):
        if path != "_" and text not in UNSET:
            _assign(message, path.split("."), text)
            if path.removeprefix("order.") in ORDER_UNSUPPORTED:
                break  # what follows is no longer at its place; the broker refuses such an order
    return message


def _layout(number: int, version: int) -> list[str]:
    if number == OUT.PLACE_ORDER:
        fa_profile = " _ " if version < FA_PROFILE_UNTIL else " "
        return (ORDER_HEAD + fa_profile + ORDER_MIDDLE).split()
    if number == OUT.CANCEL_ORDER:
        return ("orderId" if version >= CANCEL_HAS_NO_VERSION_FROM else "_ orderId").split()
    return LAYOUTS[number].split()


def _assign(message: Message, path: Sequence[str], text: str) -> None:
    *parents, name = path
    for parent in parents:
        message = getattr(message, parent)
    kind = message.DESCRIPTOR.fields_by_name[name].cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        setattr(message, name, text)
    elif kind == FieldDescriptor.CPPTYPE_DOUBLE:
        setattr(message, name, float(text))
    elif kind == FieldDescriptor.CPPTYPE_BOOL:
        setattr(message, name, text not in ("0", "False", "false"))
    else:
        setattr(message, name, int(text))

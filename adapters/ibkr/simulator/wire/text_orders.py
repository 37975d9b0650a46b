"""Where the fields of an order stand in the text messages *open order* and *completed order*.

Order of the wire for server versions 176 to 200, from ``orderdecoder.py`` of IB's API; empty constants stand for
instructions that the simulated gateway refuses (combinations, scales, hedges, conditions).
"""

CONTRACT = (
    "contract.conId contract.symbol contract.secType contract.lastTradeDateOrContractMonth contract.strike "
    "contract.right contract.multiplier contract.exchange contract.currency contract.localSymbol contract.tradingClass"
)
BASICS = "action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin orderRef"
FLAGS = "permId outsideRth hidden discretionaryAmt goodAfterTime"
DELTA = "startingPrice stockRefPrice delta stockRangeLower stockRangeUpper displaySize"
VOLATILITY = (
    "triggerMethod volatility volatilityType deltaNeutralOrderType deltaNeutralAuxPrice continuousUpdate "
    "referencePriceType trailStopPrice trailingPercent"
)
COMBINATION = "= =0 =0 =0"  # description, then counts of legs, leg prices and routing instructions
SCALE = f"{COMBINATION} scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement"
MARGINS = (
    "initMarginBefore maintMarginBefore equityWithLoanBefore initMarginChange maintMarginChange equityWithLoanChange "
    "initMarginAfter maintMarginAfter equityWithLoanAfter commissionAndFees minCommissionAndFees maxCommissionAndFees "
    "commissionAndFeesCurrency"
)
MARGINS_OUTSIDE_RTH = (
    "marginCurrency initMarginBeforeOutsideRTH maintMarginBeforeOutsideRTH equityWithLoanBeforeOutsideRTH "
    "initMarginChangeOutsideRTH maintMarginChangeOutsideRTH equityWithLoanChangeOutsideRTH initMarginAfterOutsideRTH "
    "maintMarginAfterOutsideRTH equityWithLoanAfterOutsideRTH suggestedSize rejectReason =0"
)
PEGGED = "minTradeQty minCompeteSize competeAgainstBestOffset midOffsetAtWhole midOffsetAtHalf"


def open_order_layout(version: int) -> str:
    """Layout of *open order* after its number."""
    return " ".join(
        [
            "orderId", CONTRACT, fields_in("order", BASICS), fields_in("order", f"clientId {FLAGS}"), "=",
            fields_in("order", _advisor(version)),
            fields_in("order", "modelCode goodTillDate rule80A percentOffset settlingFirm"),
            fields_in("order", f"shortSaleSlot designatedLocation exemptCode =0 {DELTA}"),
            fields_in("order", "blockOrder sweepToFill allOrNone minQty ocaType =0 =0 = parentId"),
            fields_in("order", f"{VOLATILITY} = = {SCALE}"),  # empty: basis points and their kind
            fields_in("order", "hedgeType optOutSmartRouting clearingAccount clearingIntent notHeld =0 algoStrategy"),
            fields_in("order", "solicited whatIf"), fields_in("orderState", f"status {MARGINS}"),
            fields_in("orderState", MARGINS_OUTSIDE_RTH if version >= 195 else ""), "orderState.warningText",
            fields_in("order", "randomizeSize randomizePrice =0 adjustedOrderType triggerPrice trailStopPrice"),
            fields_in("order", "lmtPriceOffset adjustedStopPrice adjustedStopLimitPrice adjustedTrailingAmount"),
            fields_in("order", "adjustableTrailingUnit = = = cashQty dontUseAutoPriceForHedge isOmsContainer"),
            fields_in("order", "discretionaryUpToLimitPrice usePriceMgmtAlgo duration postToAts autoCancelParent"),
            fields_in("order", PEGGED), fields_in("order", _newest(version)),
        ]
    )  # fmt: skip


def completed_order_layout(version: int) -> str:
    """Layout of *completed order* after its number."""
    return " ".join(
        [
            CONTRACT, fields_in("order", BASICS), fields_in("order", FLAGS), fields_in("order", _advisor(version)),
            fields_in("order", "modelCode goodTillDate rule80A percentOffset settlingFirm"),
            fields_in("order", f"shortSaleSlot designatedLocation exemptCode {DELTA}"),
            fields_in("order", f"sweepToFill allOrNone minQty ocaType {VOLATILITY} {SCALE}"),
            fields_in("order", "hedgeType clearingAccount clearingIntent notHeld =0 algoStrategy solicited"),
            "orderState.status",
            fields_in("order", "randomizeSize randomizePrice =0 trailStopPrice lmtPriceOffset cashQty"),
            fields_in("order", "dontUseAutoPriceForHedge isOmsContainer autoCancelDate filledQuantity refFuturesConId"),
            fields_in("order", "autoCancelParent shareholder imbalanceOnly routeMarketableToBbo parentPermId"),
            fields_in("orderState", "completedTime completedStatus"), fields_in("order", PEGGED),
            fields_in("order", " ".join(name for name in _newest(version).split() if name in COMPLETED_NEWEST)),
        ]
    )  # fmt: skip


COMPLETED_NEWEST = ("customerAccount", "professionalCustomer", "submitter")


def fields_in(owner: str, names: str) -> str:
    """Layout of fields that all lie in one part of a message.

    Examples
    --------
    >>> fields_in("order", "action = tif")
    'order.action = order.tif'
    """
    return " ".join(name if name.startswith("=") else f"{owner}.{name}" for name in names.split())


def _advisor(version: int) -> str:
    return "faGroup faMethod faPercentage" + (" =" if version < 177 else "")


def _newest(version: int) -> str:
    since = (
        (183, "customerAccount"),
        (184, "professionalCustomer"),
        (185, "bondAccruedInterest"),
        (189, "includeOvernight"),
        (193, "extOperator manualOrderIndicator"),
        (198, "submitter"),
        (199, "imbalanceOnly"),
    )
    return " ".join(names for first, names in since if version >= first)

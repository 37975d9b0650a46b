"""Which channel a message of the gateway belongs to."""

from google.protobuf.message import Message

from adapters.ibkr.simulator.adversary.policies import Channel

CHANNELS: dict[str, Channel] = {
    "Position": "position",
    "PositionEnd": "position",
    "OpenOrder": "open_order",
    "OpenOrdersEnd": "open_order",
    "CompletedOrder": "open_order",
    "CompletedOrdersEnd": "open_order",
    "OrderStatus": "order_status",
    "ExecutionDetails": "execution",
    "ExecutionDetailsEnd": "execution",
    "CommissionAndFeesReport": "commission",
    "NextValidId": "next_id",
    "ManagedAccounts": "accounts",
    "ErrorMessage": "error",
    "AccountValue": "account",
    "PortfolioValue": "account",
    "AccountUpdateTime": "account",
    "AccountDataEnd": "account",
    "AccountSummary": "account",
    "AccountSummaryEnd": "account",
    "AccountUpdateMulti": "account",
    "AccountUpdateMultiEnd": "account",
    "CurrentTime": "time",
    "CurrentTimeInMillis": "time",
    "ContractData": "contract",
    "ContractDataEnd": "contract",
    "HistoricalData": "history",
    "HistoricalDataEnd": "history",
    "HistoricalDataUpdate": "bars",
    "RealTimeBarTick": "bars",
}


def channel_of(message: Message) -> Channel | None:
    """Channel of a message; None for quotes and single trades, which always pass."""
    return CHANNELS.get(message.DESCRIPTOR.name)


def is_end(message: Message) -> bool:
    """Whether a message closes an answer."""
    return message.DESCRIPTOR.name.endswith("End")

"""The messages that the simulated gateway knows, by the numbers that TWS gives them."""

from google.protobuf.message import Message
from ibapi.message import IN, OUT
from ibapi.protobuf.AccountDataEnd_pb2 import AccountDataEnd
from ibapi.protobuf.AccountDataRequest_pb2 import AccountDataRequest
from ibapi.protobuf.AccountSummary_pb2 import AccountSummary
from ibapi.protobuf.AccountSummaryEnd_pb2 import AccountSummaryEnd
from ibapi.protobuf.AccountSummaryRequest_pb2 import AccountSummaryRequest
from ibapi.protobuf.AccountUpdateMulti_pb2 import AccountUpdateMulti
from ibapi.protobuf.AccountUpdateMultiEnd_pb2 import AccountUpdateMultiEnd
from ibapi.protobuf.AccountUpdatesMultiRequest_pb2 import AccountUpdatesMultiRequest
from ibapi.protobuf.AccountUpdateTime_pb2 import AccountUpdateTime
from ibapi.protobuf.AccountValue_pb2 import AccountValue
from ibapi.protobuf.AllOpenOrdersRequest_pb2 import AllOpenOrdersRequest
from ibapi.protobuf.AutoOpenOrdersRequest_pb2 import AutoOpenOrdersRequest
from ibapi.protobuf.CancelAccountSummary_pb2 import CancelAccountSummary
from ibapi.protobuf.CancelHistoricalData_pb2 import CancelHistoricalData
from ibapi.protobuf.CancelMarketData_pb2 import CancelMarketData
from ibapi.protobuf.CancelOrderRequest_pb2 import CancelOrderRequest
from ibapi.protobuf.CancelPositions_pb2 import CancelPositions
from ibapi.protobuf.CancelRealTimeBars_pb2 import CancelRealTimeBars
from ibapi.protobuf.CancelTickByTick_pb2 import CancelTickByTick
from ibapi.protobuf.CommissionAndFeesReport_pb2 import CommissionAndFeesReport
from ibapi.protobuf.CompletedOrder_pb2 import CompletedOrder
from ibapi.protobuf.CompletedOrdersEnd_pb2 import CompletedOrdersEnd
from ibapi.protobuf.CompletedOrdersRequest_pb2 import CompletedOrdersRequest
from ibapi.protobuf.ContractData_pb2 import ContractData
from ibapi.protobuf.ContractDataEnd_pb2 import ContractDataEnd
from ibapi.protobuf.ContractDataRequest_pb2 import ContractDataRequest
from ibapi.protobuf.CurrentTime_pb2 import CurrentTime
from ibapi.protobuf.CurrentTimeInMillis_pb2 import CurrentTimeInMillis
from ibapi.protobuf.CurrentTimeInMillisRequest_pb2 import CurrentTimeInMillisRequest
from ibapi.protobuf.CurrentTimeRequest_pb2 import CurrentTimeRequest
from ibapi.protobuf.ErrorMessage_pb2 import ErrorMessage
from ibapi.protobuf.ExecutionDetails_pb2 import ExecutionDetails
from ibapi.protobuf.ExecutionDetailsEnd_pb2 import ExecutionDetailsEnd
from ibapi.protobuf.ExecutionRequest_pb2 import ExecutionRequest
from ibapi.protobuf.GlobalCancelRequest_pb2 import GlobalCancelRequest
from ibapi.protobuf.HistoricalData_pb2 import HistoricalData
from ibapi.protobuf.HistoricalDataEnd_pb2 import HistoricalDataEnd
from ibapi.protobuf.HistoricalDataRequest_pb2 import HistoricalDataRequest
from ibapi.protobuf.HistoricalDataUpdate_pb2 import HistoricalDataUpdate
from ibapi.protobuf.IdsRequest_pb2 import IdsRequest
from ibapi.protobuf.ManagedAccounts_pb2 import ManagedAccounts
from ibapi.protobuf.ManagedAccountsRequest_pb2 import ManagedAccountsRequest
from ibapi.protobuf.MarketDataRequest_pb2 import MarketDataRequest
from ibapi.protobuf.MarketDataType_pb2 import MarketDataType
from ibapi.protobuf.MarketDataTypeRequest_pb2 import MarketDataTypeRequest
from ibapi.protobuf.NextValidId_pb2 import NextValidId
from ibapi.protobuf.OpenOrder_pb2 import OpenOrder
from ibapi.protobuf.OpenOrdersEnd_pb2 import OpenOrdersEnd
from ibapi.protobuf.OpenOrdersRequest_pb2 import OpenOrdersRequest
from ibapi.protobuf.OrderStatus_pb2 import OrderStatus
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest
from ibapi.protobuf.PortfolioValue_pb2 import PortfolioValue
from ibapi.protobuf.Position_pb2 import Position
from ibapi.protobuf.PositionEnd_pb2 import PositionEnd
from ibapi.protobuf.PositionsRequest_pb2 import PositionsRequest
from ibapi.protobuf.RealTimeBarsRequest_pb2 import RealTimeBarsRequest
from ibapi.protobuf.RealTimeBarTick_pb2 import RealTimeBarTick
from ibapi.protobuf.SetServerLogLevelRequest_pb2 import SetServerLogLevelRequest
from ibapi.protobuf.StartApiRequest_pb2 import StartApiRequest
from ibapi.protobuf.TickByTickData_pb2 import TickByTickData
from ibapi.protobuf.TickByTickRequest_pb2 import TickByTickRequest
from ibapi.protobuf.TickPrice_pb2 import TickPrice
from ibapi.protobuf.TickReqParams_pb2 import TickReqParams
from ibapi.protobuf.TickSize_pb2 import TickSize
from ibapi.protobuf.TickSnapshotEnd_pb2 import TickSnapshotEnd

REQUESTS: dict[int, type[Message]] = {
    OUT.REQ_MKT_DATA: MarketDataRequest,
    OUT.CANCEL_MKT_DATA: CancelMarketData,
    OUT.PLACE_ORDER: PlaceOrderRequest,
    OUT.CANCEL_ORDER: CancelOrderRequest,
    OUT.REQ_OPEN_ORDERS: OpenOrdersRequest,
    OUT.REQ_ACCT_DATA: AccountDataRequest,
    OUT.REQ_EXECUTIONS: ExecutionRequest,
    OUT.REQ_IDS: IdsRequest,
    OUT.REQ_CONTRACT_DATA: ContractDataRequest,
    OUT.SET_SERVER_LOGLEVEL: SetServerLogLevelRequest,
    OUT.REQ_AUTO_OPEN_ORDERS: AutoOpenOrdersRequest,
    OUT.REQ_ALL_OPEN_ORDERS: AllOpenOrdersRequest,
    OUT.REQ_MANAGED_ACCTS: ManagedAccountsRequest,
    OUT.REQ_HISTORICAL_DATA: HistoricalDataRequest,
    OUT.CANCEL_HISTORICAL_DATA: CancelHistoricalData,
    OUT.REQ_CURRENT_TIME: CurrentTimeRequest,
    OUT.REQ_REAL_TIME_BARS: RealTimeBarsRequest,
    OUT.CANCEL_REAL_TIME_BARS: CancelRealTimeBars,
    OUT.REQ_GLOBAL_CANCEL: GlobalCancelRequest,
    OUT.REQ_MARKET_DATA_TYPE: MarketDataTypeRequest,
    OUT.REQ_POSITIONS: PositionsRequest,
    OUT.REQ_ACCOUNT_SUMMARY: AccountSummaryRequest,
    OUT.CANCEL_ACCOUNT_SUMMARY: CancelAccountSummary,
    OUT.CANCEL_POSITIONS: CancelPositions,
    OUT.START_API: StartApiRequest,
    OUT.REQ_ACCOUNT_UPDATES_MULTI: AccountUpdatesMultiRequest,
    OUT.REQ_TICK_BY_TICK_DATA: TickByTickRequest,
    OUT.CANCEL_TICK_BY_TICK_DATA: CancelTickByTick,
    OUT.REQ_COMPLETED_ORDERS: CompletedOrdersRequest,
    OUT.REQ_CURRENT_TIME_IN_MILLIS: CurrentTimeInMillisRequest,
}

REPLY_IDS: dict[type[Message], int] = {
    TickPrice: IN.TICK_PRICE,
    TickSize: IN.TICK_SIZE,
    OrderStatus: IN.ORDER_STATUS,
    ErrorMessage: IN.ERR_MSG,
    OpenOrder: IN.OPEN_ORDER,
    AccountValue: IN.ACCT_VALUE,
    PortfolioValue: IN.PORTFOLIO_VALUE,
    AccountUpdateTime: IN.ACCT_UPDATE_TIME,
    NextValidId: IN.NEXT_VALID_ID,
    ContractData: IN.CONTRACT_DATA,
    ExecutionDetails: IN.EXECUTION_DATA,
    ManagedAccounts: IN.MANAGED_ACCTS,
    HistoricalData: IN.HISTORICAL_DATA,
    CurrentTime: IN.CURRENT_TIME,
    RealTimeBarTick: IN.REAL_TIME_BARS,
    ContractDataEnd: IN.CONTRACT_DATA_END,
    OpenOrdersEnd: IN.OPEN_ORDER_END,
    AccountDataEnd: IN.ACCT_DOWNLOAD_END,
    ExecutionDetailsEnd: IN.EXECUTION_DATA_END,
    TickSnapshotEnd: IN.TICK_SNAPSHOT_END,
    MarketDataType: IN.MARKET_DATA_TYPE,
    CommissionAndFeesReport: IN.COMMISSION_AND_FEES_REPORT,
    Position: IN.POSITION_DATA,
    PositionEnd: IN.POSITION_END,
    AccountSummary: IN.ACCOUNT_SUMMARY,
    AccountSummaryEnd: IN.ACCOUNT_SUMMARY_END,
    AccountUpdateMulti: IN.ACCOUNT_UPDATE_MULTI,
    AccountUpdateMultiEnd: IN.ACCOUNT_UPDATE_MULTI_END,
    TickReqParams: IN.TICK_REQ_PARAMS,
    HistoricalDataUpdate: IN.HISTORICAL_DATA_UPDATE,
    TickByTickData: IN.TICK_BY_TICK,
    CompletedOrder: IN.COMPLETED_ORDER,
    CompletedOrdersEnd: IN.COMPLETED_ORDERS_END,
    HistoricalDataEnd: IN.HISTORICAL_DATA_END,
    CurrentTimeInMillis: IN.CURRENT_TIME_IN_MILLIS,
}

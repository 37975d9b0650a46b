"""What the simulated gateway trades: the terms of a contract and how they look on the wire."""

from dataclasses import dataclass
from datetime import datetime, time
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from ibapi.protobuf.Contract_pb2 import Contract
from ibapi.protobuf.ContractDetails_pb2 import ContractDetails

ORDER_TYPES = "LMT,MKT,STP,STPLMT,WHATIF"


@dataclass(frozen=True)
class ContractTerms:
    """One tradable contract of the simulated gateway.

    Attributes
    ----------
    con_id : int
        Interactive Brokers' number of the contract.
    symbol, local_symbol, trading_class : str
        ``"MES"``, ``"MESZ6"`` and ``"MES"``; all the same for a share.
    sec_type : str
        ``"FUT"`` or ``"STK"``.
    exchange, primary_exchange : str
        ``"CME"`` for both of a future; ``"SMART"`` and for example ``"ARCA"`` for a share.
    tick_size : Decimal
        Smallest price step, USD.
    multiplier : int or Decimal
        USD per point and unit; 1 for shares.
    commission_per_unit, commission_minimum : Decimal
        USD per unit and side, and the least per order.
    margin_initial, margin_maintenance : Decimal
        USD per unit; 0 asks for no margin.
    last_trade_date : str
        ``"YYYYMMDD"`` of a future, empty for shares.
    contract_month : str
        ``"YYYYMM"`` that a future is named by, if not that of its last trade: CLZ6 trades last in November.
    last_trade_ns : int
        When a future trades last, UTC nanoseconds: orders end, positions are settled in cash; 0 means never.
    isin : str
        NautilusTrader resolves shares only where the contract details carry one.
    time_zone : str
        Zone of the exchange.
    regular_open, regular_close : datetime.time
        Regular trading hours in that zone, which ``useRTH`` keeps to.
    """

    con_id: int
    symbol: str
    sec_type: str
    exchange: str
    primary_exchange: str
    local_symbol: str
    tick_size: Decimal
    multiplier: int | Decimal = 1
    commission_per_unit: Decimal = Decimal(0)
    commission_minimum: Decimal = Decimal(0)
    margin_initial: Decimal = Decimal(0)
    margin_maintenance: Decimal = Decimal(0)
    last_trade_date: str = ""
    isin: str = ""
    currency: str = "USD"
    time_zone: str = "US/Central"
    regular_open: time = time(8, 30)
    regular_close: time = time(15, 0)
    last_trade_ns: int = 0
    contract_month: str = ""

    @property
    def month(self) -> str:
        """``"YYYYMM"`` that a future is named by; empty for shares."""
        return self.contract_month or self.last_trade_date[:6]

    def price(self, ticks: int) -> float:
        """Price of a whole number of ticks."""
        return float(self.tick_size * ticks)

    def ticks(self, price: float) -> int | None:
        """Whole number of ticks of a price, None where it lies between two."""
        count = Decimal(str(price)) / self.tick_size
        return int(count) if count.is_finite() and count == count.to_integral_value() else None

    def value_cents(self, ticks: int, units: int) -> int:
        """Cents that ``units`` are worth at ``ticks``, multiplier included; half a cent is rounded away from zero."""
        return int((self.tick_size * ticks * self.multiplier * units * 100).quantize(Decimal(1), ROUND_HALF_UP))

    def commission_cents(self, units: int, filled_before: int = 0) -> int:
        """Cents charged for filling ``units`` more of an order; the minimum is the order's."""
        return self._order_cents(filled_before + units) - self._order_cents(filled_before)

    def is_meant_by(self, wanted: Contract) -> bool:
        """Whether a client's contract names this one: by number, or by everything that it fills in."""
        if wanted.conId:
            return bool(wanted.conId == self.con_id)
        given = (
            (wanted.symbol, (self.symbol,)),
            (wanted.localSymbol, (self.local_symbol,)),
            (wanted.secType, (self.sec_type,)),
            (wanted.exchange, (self.exchange, self.primary_exchange)),
            (wanted.primaryExch, (self.primary_exchange,)),
            (wanted.currency, (self.currency,)),
        )
        expiry = wanted.lastTradeDateOrContractMonth
        named = bool(wanted.symbol or wanted.localSymbol)
        # Six digits are the contract month, eight the day of the last trade (TWS API 9.72).
        dated = expiry in ("", self.last_trade_date, self.month)
        return named and dated and all(not word or word in own for word, own in given)

    def to_contract(self) -> Contract:
        """The contract as the gateway writes it into its answers."""
        return Contract(
            conId=self.con_id,
            symbol=self.symbol,
            secType=self.sec_type,
            lastTradeDateOrContractMonth=self.last_trade_date,
            multiplier=float(self.multiplier) if self.sec_type == "FUT" else None,
            exchange=self.exchange,
            primaryExch=self.primary_exchange,
            currency=self.currency,
            localSymbol=self.local_symbol,
            tradingClass=self.symbol,
        )

    def to_listed_contract(self) -> Contract:
        """The contract as contract details name it: with the time of its last trade."""
        contract = self.to_contract()
        if self.last_trade_ns:
            last = datetime.fromtimestamp(self.last_trade_ns // 1_000_000_000, ZoneInfo(self.time_zone))
            contract.lastTradeDateOrContractMonth = last.strftime(f"%Y%m%d %H:%M:%S {self.time_zone}")
        return contract

    def to_details(self) -> ContractDetails:
        """Contract details: what NautilusTrader and ib_insync build an instrument from."""
        details = ContractDetails(
            marketName=self.symbol,
            minTick=str(self.tick_size),
            orderTypes=ORDER_TYPES,
            validExchanges=",".join(dict.fromkeys((self.exchange, self.primary_exchange))),
            priceMagnifier=1,
            longName=self.local_symbol,
            contractMonth=self.month,
            timeZoneId=self.time_zone,
            aggGroup=1,
            marketRuleIds="26",
            realExpirationDate=self.last_trade_date,
            underSymbol=self.symbol if self.sec_type == "FUT" else "",
            underSecType="IND" if self.sec_type == "FUT" else "",
            stockType="COMMON" if self.sec_type == "STK" else "",
            minSize="1",
            sizeIncrement="1",
            suggestedSizeIncrement="1",
        )
        if self.isin:
            details.secIdList["ISIN"] = self.isin
        return details

    def _order_cents(self, units: int) -> int:
        if units == 0:
            return 0
        due = max(self.commission_per_unit * units, self.commission_minimum)
        return int((due * 100).quantize(Decimal(1), ROUND_HALF_UP))

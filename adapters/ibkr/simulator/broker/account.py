"""The simulated account: positions, cash in whole cents, margin, and how they are told to clients.

A future moves cash by its realised result, a share by its price; NautilusTrader books both alike on a margin account.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from google.protobuf.message import Message
from ibapi.protobuf.AccountSummary_pb2 import AccountSummary
from ibapi.protobuf.AccountUpdateTime_pb2 import AccountUpdateTime
from ibapi.protobuf.AccountValue_pb2 import AccountValue
from ibapi.protobuf.PortfolioValue_pb2 import PortfolioValue
from ibapi.protobuf.Position_pb2 import Position

from adapters.ibkr.simulator.broker.contracts import ContractTerms

SUMMARY_TAGS = (
    "NetLiquidation",
    "TotalCashValue",
    "AvailableFunds",
    "FullAvailableFunds",
    "ExcessLiquidity",
    "InitMarginReq",
    "FullInitMarginReq",
    "MaintMarginReq",
    "FullMaintMarginReq",
    "EquityWithLoanValue",
    "BuyingPower",
    "GrossPositionValue",
    "UnrealizedPnL",
    "RealizedPnL",
)


@dataclass
class Holding:
    """Net position in one contract.

    Attributes
    ----------
    terms : ContractTerms
    units : int
        Signed.
    cost_tick_units : int
        Sum of price in ticks times signed units that the position was built at.
    realized_cents : int
        Result of what was closed, commissions not deducted.
    fraction : Decimal
        Part of a unit held beside them, which no order can trade.
    """

    terms: ContractTerms
    units: int = 0
    cost_tick_units: int = 0
    realized_cents: int = 0
    fraction: Decimal = Decimal(0)

    def trade(self, units: int, ticks: int) -> int:
        """Book a signed trade and return what it realised, in cents."""
        closing = min(abs(units), abs(self.units)) if units * self.units < 0 else 0
        realized = 0
        if closing:
            sign = 1 if self.units > 0 else -1
            cost = self.cost_tick_units * closing // abs(self.units) if closing < abs(self.units) else None
            released = self.cost_tick_units if cost is None else cost
            realized = self.terms.value_cents(1, sign * closing * ticks - released)
            self.cost_tick_units -= released
            self.units -= sign * closing
        opening = units - (closing if units > 0 else -closing)
        self.units += opening
        self.cost_tick_units += opening * ticks
        self.realized_cents += realized
        return realized

    def unrealized_cents(self, ticks: int) -> int:
        """Result that closing at ``ticks`` would realise."""
        return self.terms.value_cents(1, self.units * ticks - self.cost_tick_units)

    def average_cost(self) -> float:
        """Mean price times multiplier per unit, as TWS states it."""
        if self.units == 0:
            return 0.0
        return float(self.terms.tick_size * self.terms.multiplier) * self.cost_tick_units / self.units


@dataclass
class Account:
    """One account of the simulated gateway.

    Attributes
    ----------
    name : str
        Paper accounts begin with ``DU``.
    cash_cents : int
        Starting balance plus realised results minus commissions, in USD.
    base_currency : str
        Currency in which values are told.
    usd_per : dict of str to Decimal
        Value of other currencies.
    """

    name: str
    cash_cents: int
    base_currency: str = "USD"
    usd_per: dict[str, Decimal] = field(default_factory=lambda: {"USD": Decimal(1)})
    holdings: dict[int, Holding] = field(default_factory=dict)
    commission_cents: int = 0

    def units(self, con_id: int) -> int:
        """Signed position in a contract."""
        return self.holdings[con_id].units if con_id in self.holdings else 0

    def trade(self, terms: ContractTerms, units: int, ticks: int, commission_cents: int) -> int:
        """Book a signed execution and return the cents that it realised."""
        holding = self.holdings.setdefault(terms.con_id, Holding(terms))
        realized = holding.trade(units, ticks)
        self.cash_cents += self._usd_cents(realized - commission_cents, terms.currency)
        self.commission_cents += self._usd_cents(commission_cents, terms.currency)
        return realized

    def hold(self, terms: ContractTerms, units: Decimal, ticks: int) -> None:
        """Hold something from elsewhere: no execution, no cash moves; fractions are allowed."""
        holding = self.holdings.setdefault(terms.con_id, Holding(terms))
        whole = int(units)
        holding.trade(whole, ticks)
        holding.fraction = units - whole

    def settle(self, con_id: int, ticks: int) -> None:
        """Settle a position in cash at a price, without an execution."""
        held = self.holdings.get(con_id)
        if held is not None and held.units:
            self.cash_cents += self._usd_cents(held.trade(-held.units, ticks), held.terms.currency)

    def equity_cents(self, marks: Mapping[int, int]) -> int:
        """Cash plus open results at the given prices (ticks by contract number)."""
        return self.cash_cents + sum(
            self._usd_cents(held.unrealized_cents(marks[con_id]), held.terms.currency) for con_id, held in self._open()
        )

    def margin_cents(self, initial: bool, change: tuple[ContractTerms, int] | None = None) -> int:
        """Margin of all positions, after a further signed trade where one is given."""
        units = {con_id: (held.terms, held.units) for con_id, held in self.holdings.items()}
        if change is not None:
            terms, added = change
            units[terms.con_id] = (terms, self.units(terms.con_id) + added)
        return sum(
            int((terms.margin_initial if initial else terms.margin_maintenance) * abs(count) * 100)
            for terms, count in units.values()
        )

    def summary(self, marks: Mapping[int, int]) -> dict[str, str]:
        """Value of every tag of `SUMMARY_TAGS` in the base currency, as text."""
        equity = self.equity_cents(marks)
        initial, maintenance = self.margin_cents(initial=True), self.margin_cents(initial=False)
        gross = sum(abs(held.terms.value_cents(marks[con_id], held.units)) for con_id, held in self._open())
        realized = sum(held.realized_cents for held in self.holdings.values()) - self.commission_cents
        cents = (
            equity, self.cash_cents, equity - initial, equity - initial, equity - maintenance, initial, initial,
            maintenance, maintenance, equity, equity - initial, gross, equity - self.cash_cents, realized,
        )  # fmt: skip
        usd = float(self.usd_per[self.base_currency])
        return {tag: f"{value / 100 / usd:.2f}" for tag, value in zip(SUMMARY_TAGS, cents, strict=True)}

    def positions(self) -> Iterator[Position]:
        """Messages *position*, one for each contract ever held."""
        for held in self.holdings.values():
            yield Position(
                account=self.name,
                contract=held.terms.to_contract(),
                position=str(held.units + held.fraction),
                avgCost=held.average_cost(),
            )

    def portfolio(self, marks: Mapping[int, int]) -> Iterator[PortfolioValue]:
        """Messages *portfolio value*."""
        for con_id, held in self.holdings.items():
            yield PortfolioValue(
                contract=held.terms.to_contract(),
                position=str(held.units + held.fraction),
                marketPrice=held.terms.price(marks[con_id]),
                marketValue=held.terms.value_cents(marks[con_id], held.units) / 100,
                averageCost=held.average_cost(),
                unrealizedPNL=held.unrealized_cents(marks[con_id]) / 100,
                realizedPNL=held.realized_cents / 100,
                accountName=self.name,
            )

    def values(self, marks: Mapping[int, int], clock: str) -> list[Message]:
        """Account values and portfolio, as ``reqAccountUpdates`` sends them; ``clock`` is the time as ``HH:MM``."""
        values: list[Message] = [
            AccountValue(key=tag, value=value, currency=self.base_currency, accountName=self.name)
            for tag, value in self.summary(marks).items()
        ]
        return [*values, *self.portfolio(marks), AccountUpdateTime(timeStamp=clock)]

    def summary_rows(self, marks: Mapping[int, int], req_id: int, tags: Collection[str]) -> list[Message]:
        """Messages *account summary*, one for each wanted tag."""
        return [
            AccountSummary(reqId=req_id, account=self.name, tag=tag, value=value, currency=self.base_currency)
            for tag, value in self.summary(marks).items()
            if tag in tags
        ]

    def _usd_cents(self, cents: int, currency: str) -> int:
        return cents if currency == "USD" else round(cents * self.usd_per[currency])

    def _open(self) -> Iterator[tuple[int, Holding]]:
        return ((con_id, held) for con_id, held in self.holdings.items() if held.units)

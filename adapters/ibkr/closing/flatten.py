"""Cancel orders and close positions at the broker, without the trading node and without NautilusTrader.

The only source of truth is the gateway, and what it says is believed as far as `adapters.ibkr.closing.book` allows:
however late, torn or repeated its answers are, no more is sent than is held. Closing orders are named ``flatten-…``, so
that their fills are counted from executions.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from adapters.ibkr.closing.book import ContractBook, Pace
from adapters.ibkr.closing.broker_answers import (
    REFUSED,
    ask,
    await_old_answers,
    contract_name,
    decimal,
    execution_of,
    one_line,
    order_of,
)
from adapters.ibkr.closing.cancelling import Cancelling
from adapters.ibkr.closing.scope import CLOSING_REF, RestingOrder, Scope, WholeAccount
from adapters.ibkr.connection import GatewayError, gateway, ib_insync

RETRY_S = 2.0
NOT_CANCELLABLE = frozenset({161, 10147})
ENDED = ("Filled", "Cancelled", "ApiCancelled")
FIRST_NOTICE, LAST_NOTICE = 2100, 2199  # data farms and the like


@dataclass(frozen=True)
class Flattened:
    """What the flatten did and what it found in the end.

    Attributes
    ----------
    orders_cancelled : int
        Working orders found at the start.
    closed : dict of str to float
        Units that its orders filled, signed, by contract.
    positions_left, orders_left : dict of str to float, int
        What is left of its scope; both empty and zero when flat.
    seconds : float
    by_hand : dict of str to float
        Of ``positions_left`` the fractions of a unit, which the API cannot trade.
    seen_flat : bool
        Whether it was seen flat twice.
    """

    orders_cancelled: int
    positions_left: dict[str, float]
    orders_left: int
    seconds: float
    closed: dict[str, float] = field(default_factory=dict)
    by_hand: dict[str, float] = field(default_factory=dict)
    seen_flat: bool = True

    @property
    def is_flat(self) -> bool:
        """Whether the broker shows no position and no order, and did so twice."""
        return self.seen_flat and not self.positions_left and not self.orders_left


def flatten(
    client: Any,
    account: str,
    timeout_s: float,
    scope: Scope | None = None,
    pace: Pace | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Flattened:
    """Cancel orders and close positions at the market, until the broker shows none; over one connection.

    Parameters
    ----------
    client : ib_insync.IB
        Connected under a client id of its own.
    account : str
        Other accounts of the login are left alone.
    timeout_s : float
        Give up after this long and report what is left.
    scope : Scope, optional
        What is touched; the whole account by default.
    pace : Pace, optional
    report : callable
        Receives one line for each action.
    """
    return Flattening(account, scope or WholeAccount(), pace or Pace(), report).run(client, timeout_s)


def flatten_gateway(
    where: tuple[str, int],
    client_ids: tuple[int, ...],
    request_timeout_s: float,
    begin: Callable[[Any], "Flattening"],
    timeout_s: float,
    report: Callable[[str], None],
) -> Flattened:
    """Connect and flatten; connect again and go on where the connection breaks, until the timeout.

    Parameters
    ----------
    where : (str, int)
        Host and port.
    client_ids : tuple of int
        Tried in order.
    request_timeout_s : float
        For connections and requests.
    begin : callable
        Gives the flattening, once, over the first connection.
    timeout_s : float
    report : callable

    Raises
    ------
    GatewayError
        If the gateway could not be asked until the end.
    """
    until = time.monotonic() + timeout_s
    flattening: Flattening | None = None
    while True:
        try:
            with gateway(*where, client_ids, request_timeout_s, synchronised=False) as client:
                flattening = flattening or begin(client)
                return flattening.run(client, until - time.monotonic())
        except (OSError, TimeoutError) as error:
            problem = str(error) or f"the gateway did not answer within {request_timeout_s:g} s"
            if time.monotonic() + RETRY_S > until:
                raise GatewayError(problem) from error
            report(f"{problem}; trying again")
            time.sleep(RETRY_S)


class Flattening:
    """One flatten, over as many connections as it takes; what it sent and saw outlives each of them.

    Parameters
    ----------
    account : str
    scope : Scope
    pace : Pace
    report : callable
        Receives one line for each action.
    """

    def __init__(self, account: str, scope: Scope, pace: Pace, report: Callable[[str], None]) -> None:
        self._account, self._scope, self._pace = account, scope, pace
        self._report = report
        self._said: dict[int, str] = {}
        self._disagree_since_s: dict[int, float] = {}
        self._began_s = time.monotonic()
        self._token = secrets.token_hex(3)
        self._books: dict[int, ContractBook] = {}
        self._names: dict[int, str] = {}
        self._contracts: dict[int, Any] = {}
        self._refs: dict[str, int] = {}
        self._numbers: dict[tuple[int, int], str] = {}
        self._inactive: set[str] = set()
        self._cancelling = Cancelling(account, scope, pace, report)
        self._found: int | None = None
        self._broker_ahead_s: float | None = None
        self._flat_since_s: float | None = None
        self._seen_flat = False

    def run(self, client: Any, timeout_s: float) -> Flattened:
        """Go on until flat, until nothing more can be tried, or until the timeout.

        Raises
        ------
        OSError, TimeoutError
            If the connection breaks or an answer does not come; run it again over another connection.
        """
        until = time.monotonic() + timeout_s
        self._flat_since_s = None
        with self._listening(client):
            while True:
                asked_s, resting = self._look(client)
                self._cancelling.cancel(client, resting)
                self._close(client, resting)
                if self._is_over(asked_s, resting) or time.monotonic() >= until:
                    return self._result(resting)
                client.sleep(self._pace.poll_s)

    @contextmanager
    def _listening(self, client: Any) -> Iterator[None]:
        # Raw order status: ib_insync calls an order cancelled after any error about it, notices included.
        original = client.wrapper.orderStatus

        def status(number: int, state: str, filled: float, *rest: Any) -> None:
            self._on_status(client, (rest[5], number), state, filled)
            original(number, state, filled, *rest)

        def error(about: int, code: int, text: str, *_: Any) -> None:
            self._on_error((client.client.clientId, about), code, text)

        client.wrapper.orderStatus = status
        client.errorEvent += error
        try:
            yield
        finally:
            client.errorEvent -= error
            del client.wrapper.orderStatus

    def _on_status(self, client: Any, key: tuple[int, int], state: str, filled: float) -> None:
        ref = self._numbers.get(key)
        if ref is None:
            return
        if state == "Inactive" and ref not in self._inactive:
            # It may come to life again.
            self._inactive.add(ref)
            client.client.cancelOrder(key[1], "")
        self._books[self._refs[ref]].answered(ref, decimal(filled), state in ENDED, time.monotonic())

    def _on_error(self, key: tuple[int, int], code: int, text: str) -> None:
        ref = self._numbers.get(key)
        if ref is None:
            if not FIRST_NOTICE <= code <= LAST_NOTICE and code not in (202, *REFUSED):
                self._report(f"the gateway says {code} {one_line(text)}")
            return
        con_id = self._refs[ref]
        book, now_s = self._books[con_id], time.monotonic()
        ended = code in REFUSED or (code in NOT_CANCELLABLE and ref in self._inactive)
        book.answered(ref, Decimal(0), ended, now_s)
        again = f"; attempt {book.attempts} of {self._pace.attempts}" if ended else ""
        self._report(f"closing order for {self._names[con_id]}: {code} {one_line(text)}{again}")

    def _look(self, client: Any) -> tuple[float, list[RestingOrder]]:
        await_old_answers(client)
        is_first = self._broker_ahead_s is None
        if self._broker_ahead_s is None:
            self._broker_ahead_s = (client.reqCurrentTime() - datetime.now(UTC)).total_seconds()
        asked_s = time.monotonic()
        positions, trades, fills = ask(client, self._account)
        for fill in fills:
            self._take_execution(fill, self._age_s(fill) if is_first else 0.0)
        self._take_positions(positions, asked_s)
        resting = self._take_orders(trades)
        self._found = len(resting) if self._found is None else self._found
        return asked_s, resting

    def _age_s(self, fill: Any) -> float:
        happened = fill.execution.time
        if happened.tzinfo is None:
            return 0.0
        assert self._broker_ahead_s is not None
        return float((datetime.now(UTC) - happened).total_seconds() + self._broker_ahead_s)

    def _take_execution(self, fill: Any, age_s: float) -> None:
        if fill.execution.acctNumber == self._account and self._scope.covers(fill.contract.conId):
            execution = execution_of(fill)
            is_new = self._book(fill.contract).executed(execution, time.monotonic(), age_s)
            if is_new and execution.order_ref in self._refs:
                self._scope.keep(execution)

    def _take_positions(self, positions: Sequence[Any], asked_s: float) -> None:
        shown: dict[int, Decimal] = {}
        for row in positions:
            if row.account == self._account and self._scope.covers(row.contract.conId):
                shown[row.contract.conId] = decimal(row.position)
                self._book(row.contract)
        for con_id, book in self._books.items():
            book.shown(shown.get(con_id, Decimal(0)), asked_s)

    def _take_orders(self, trades: Sequence[Any]) -> list[RestingOrder]:
        resting: dict[tuple[int, int, int], RestingOrder] = {}
        for trade in trades:
            order, status = trade.order, trade.orderStatus
            if order.orderRef in self._refs:
                filled = decimal(status.filled)
                self._books[self._refs[order.orderRef]].answered(order.orderRef, filled, False, time.monotonic())
            elif order.account in ("", self._account) and status.status not in (*ENDED, "Inactive"):
                self._names.setdefault(trade.contract.conId, contract_name(trade.contract))
                found = order_of(trade)
                resting[found.key] = found
        return [order for order in resting.values() if self._scope.owns(order)]

    def _book(self, contract: Any) -> ContractBook:
        if contract.conId not in self._books:
            self._names[contract.conId] = contract_name(contract)
            book = ContractBook(self._pace, self._scope.claims(contract.conId))
            for execution in self._scope.carried():
                if execution.con_id == contract.conId:
                    book.executed(execution, time.monotonic(), age_s=float("inf"))
            self._books[contract.conId] = book
        return self._books[contract.conId]

    def _close(self, client: Any, resting: list[RestingOrder]) -> None:
        if resting and self._cancelling.is_global(client) and not self._cancelling.is_over(resting):
            return  # the next global cancel would hit closing orders too
        blocked = {order.con_id for order in resting}
        for con_id, book in self._books.items():
            if con_id not in blocked and book.may_send(time.monotonic()) and self._contract(client, con_id):
                self._send(client, con_id, book)
            self._say_why(con_id, book)

    def _contract(self, client: Any, con_id: int) -> Any:
        # Positions come without the exchange that an order needs.
        if con_id not in self._contracts:
            contract = ib_insync.Contract(conId=con_id)
            known = client.qualifyContracts(contract)
            self._contracts[con_id] = contract if known else None
            if not known:
                units = self._books[con_id].closable
                self._report(f"the gateway does not know the contract of {units:+d} {self._names[con_id]}")
        return self._contracts[con_id]

    def _send(self, client: Any, con_id: int, book: ContractBook) -> None:
        now_s = time.monotonic()
        units = book.may_send(now_s)
        if not units:
            return
        ref = f"{CLOSING_REF}-{self._scope.tag}-{self._token}-{len(self._refs) + 1}"
        # ib_insync's numbers exceed every number that was listed, other clients' included.
        number = client.client.getReqId()
        order = ib_insync.MarketOrder(
            "SELL" if units > 0 else "BUY",
            abs(units),
            orderId=number,
            orderRef=ref,
            tif="DAY",
            outsideRth=True,
            account=self._account,
        )
        book.sent(ref, units, now_s)
        self._refs[ref] = con_id
        self._numbers[client.client.clientId, number] = ref
        self._report(f"closing {units:+d} {self._names[con_id]} at the market")
        client.placeOrder(self._contracts[con_id], order)

    def _say_why(self, con_id: int, book: ContractBook) -> None:
        name = self._names[con_id]
        said = ""
        if book.agrees and not book.closable and not book.working and book.left:
            said = f"{abs(book.left)} {name} must be closed by hand: the API trades whole units only"
        elif book.is_given_up and book.closable:
            said = f"{book.closable:+d} {name}: not closed in {book.attempts} attempts, given up"
        elif self._disagree_s(con_id, book) > self._pace.settle_s:
            said = f"waiting: positions show {book.position:+f} {name}, executions lead to {book.held:+f}"
        if said and self._said.get(con_id) != said:
            self._said[con_id] = said
            self._report(said)

    def _disagree_s(self, con_id: int, book: ContractBook) -> float:
        if book.held is None or book.working or book.position == book.held or book.is_closed:
            self._disagree_since_s.pop(con_id, None)
            return 0.0
        return time.monotonic() - self._disagree_since_s.setdefault(con_id, time.monotonic())

    def _is_over(self, asked_s: float, resting: list[RestingOrder]) -> bool:
        is_flat = not resting and all(book.is_closed for book in self._books.values())
        if not is_flat:
            self._flat_since_s = None
            return self._is_stuck(resting)
        if self._flat_since_s is None:
            self._flat_since_s = asked_s
        self._seen_flat = asked_s - self._flat_since_s >= self._pace.settle_s
        return self._seen_flat

    def _is_stuck(self, resting: list[RestingOrder]) -> bool:
        if not self._cancelling.is_over(resting):
            return False
        blocked = {order.con_id for order in resting}
        return all(
            book.is_closed
            or book.is_given_up
            or (not book.working and (con_id in blocked or self._contracts.get(con_id, ...) is None))
            for con_id, book in self._books.items()
        )

    def _result(self, resting: list[RestingOrder]) -> Flattened:
        names, books = self._names, self._books
        by_hand = {
            names[con_id]: float(book.left - book.closable)
            for con_id, book in books.items()
            if book.agrees and book.left != book.closable
        }
        return Flattened(
            orders_cancelled=self._found or 0,
            positions_left={names[con_id]: float(book.left) for con_id, book in books.items() if book.left},
            orders_left=len(resting) + sum(book.working > 0 for book in books.values()),
            seconds=time.monotonic() - self._began_s,
            closed={names[con_id]: float(book.closed) for con_id, book in books.items() if book.closed},
            by_hand=by_hand,
            seen_flat=self._seen_flat,
        )

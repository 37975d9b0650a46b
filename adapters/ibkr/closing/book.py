"""How many units may be sent to close a contract now: the decision alone, without a connection and without a clock.

Positions, open orders and executions are answered late, twice, torn or from an older moment. So nothing is sent unless
what the broker shows equals what its executions lead to, and never while an own order may still fill.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from typing import NamedTuple

LONG_AGO_S = float("-inf")
ZERO = Decimal(0)


@dataclass(frozen=True)
class Pace:
    """How long a flatten waits for what.

    Attributes
    ----------
    poll_s : float
        Between two looks at the broker.
    settle_s : float
        Flat must be seen twice, so far apart.
    lag_s : float
        Age up to which a list of positions may be: ib_async issue 15 reports 1 to 5 s.
    pauses_s : tuple of float
        After an attempt that did not fill; one attempt more than there are pauses, then it gives up.
    """

    poll_s: float = 0.25
    settle_s: float = 1.0
    lag_s: float = 6.0
    pauses_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 15.0)

    @property
    def attempts(self) -> int:
        """Orders sent for one contract, at most."""
        return len(self.pauses_s) + 1

    def after(self, attempt: int) -> float:
        """Seconds to wait after attempt 1, 2, …"""
        return self.pauses_s[min(attempt, len(self.pauses_s)) - 1]

    def faster(self, factor: float) -> "Pace":
        """The same waiting in a world that is so many times as fast; for tests."""
        pauses = tuple(pause / factor for pause in self.pauses_s)
        return replace(
            self,
            poll_s=self.poll_s / factor,
            settle_s=self.settle_s / factor,
            lag_s=self.lag_s / factor,
            pauses_s=pauses,
        )


class Executed(NamedTuple):
    """One execution of any client.

    Attributes
    ----------
    exec_id : str
        A correction differs only after the last dot (IB, ``Execution.execId``).
    con_id, units : int, Decimal
        Contract and signed size.
    client_id : int
    order_ref : str
        As the order's sender named it, empty for orders made by hand.
    """

    exec_id: str
    con_id: int
    units: Decimal
    client_id: int
    order_ref: str


class Executions:
    """Executions by id: told twice they count once, a correction replaces what it corrects."""

    def __init__(self, known: Iterable[Executed] = ()) -> None:
        self._by_id: dict[str, Executed] = {}
        for execution in known:
            self.add(execution)

    def __iter__(self) -> Iterator[Executed]:
        return iter(self._by_id.values())

    def add(self, execution: Executed) -> bool:
        """Take an execution; False where it is known, or older than its correction."""
        name, revision = _name_and_revision(execution.exec_id)
        known = self._by_id.get(name)
        if known is not None and _name_and_revision(known.exec_id)[1] >= revision:
            return False
        self._by_id[name] = execution
        return True

    def total(self, counts: Callable[[Executed], bool] = lambda _: True) -> Decimal:
        """Signed sum of those that count."""
        return sum((each.units for each in self._by_id.values() if counts(each)), ZERO)


def _name_and_revision(exec_id: str) -> tuple[str, str]:
    name, _, revision = exec_id.rpartition(".")
    return (name, revision.zfill(9)) if name else (exec_id, "")


@dataclass
class _ClosingOrder:
    units: int
    told_filled: Decimal = ZERO
    ended: bool = False


class ContractBook:
    """What is known of one contract while it is closed.

    At any moment, what own orders have filled and may still fill is at most what was held when the first was sent, plus
    or less what others have executed since. Foreign units are not closed where ``claims`` is given.

    Parameters
    ----------
    pace : Pace
    claims : callable, optional
        Units, signed, of which the given executions leave those to close; everything that is held without it.

    Attributes
    ----------
    position : Decimal
        As last shown.
    attempts : int
        Closing orders sent.

    Examples
    --------
    >>> book = ContractBook(Pace())
    >>> book.shown(Decimal("10.5"), 0.0)
    >>> book.may_send(0.0)  # seen once is not believed
    0
    >>> book.shown(Decimal("10.5"), 0.3)
    >>> book.may_send(0.3)
    10
    >>> book.sent("close-1", 10, 0.3)
    >>> book.may_send(0.6)
    0
    """

    def __init__(self, pace: Pace, claims: Callable[[Executions], Decimal] | None = None) -> None:
        self.position = ZERO
        self.attempts = 0
        self._pace = pace
        self._claims = claims
        self._executions = Executions()
        self._orders: dict[str, _ClosingOrder] = {}
        self._sides: dict[str, int] = {}
        self._before: Decimal | None = None  # held before the known executions
        self._candidate: Decimal | None = None
        self._asked_s = self._changed_s = self._recent_until_s = LONG_AGO_S
        self._zero_since_s: float | None = None
        self._next_s = LONG_AGO_S

    def executed(self, execution: Executed, now_s: float, age_s: float = 0.0) -> bool:
        """Take an execution, an own one or another's; any number of times. False where it is known.

        Parameters
        ----------
        execution : Executed
        now_s : float
            Moment at which it was told.
        age_s : float
            How long before that it happened, as far as the broker says so.
        """
        if not self._executions.add(execution):
            return False
        order = self._orders.get(execution.order_ref)
        if order is not None:
            order.ended |= self._filled(execution.order_ref) >= order.units
        self._changed_s = now_s
        self._recent_until_s = max(self._recent_until_s, now_s - max(0.0, age_s) + self._pace.lag_s)
        return True

    def answered(self, order_ref: str, filled: Decimal, ended: bool, now_s: float) -> None:
        """Take what the broker says of an own order; what it filled never becomes less.

        Parameters
        ----------
        order_ref : str
        filled : Decimal
            Units, unsigned.
        ended : bool
            Whether nothing of it can fill any more.
        now_s : float
        """
        order = self._orders[order_ref]
        before = (order.told_filled, order.ended)
        order.told_filled = max(order.told_filled, filled)
        order.ended |= ended or order.told_filled >= order.units
        if (order.told_filled, order.ended) == before:
            return
        self._changed_s = now_s
        if order.ended and self._filled(order_ref) < order.units:
            self._next_s = now_s + self._pace.after(self.attempts)

    def shown(self, units: Decimal, asked_s: float) -> None:
        """Take a list of positions that was asked for at ``asked_s``; 0 where the contract is not in it."""
        self.position, self._asked_s = units, asked_s
        if not self._orders:
            self._believe(units, asked_s)
        if units or asked_s < self._changed_s:
            self._zero_since_s = None
        elif self._zero_since_s is None:
            self._zero_since_s = asked_s

    def _believe(self, units: Decimal, asked_s: float) -> None:
        gap = units - self._executions.total()
        # A list that equals today's executions is fresh. Otherwise something was held before them, or the list is old:
        # it counts once no execution is so recent that it may lack it, and when it was seen twice.
        if gap in (0, self._candidate):
            self._before = gap
        else:
            self._before = None
        self._candidate = gap if asked_s >= self._recent_until_s else None

    @property
    def held(self) -> Decimal | None:
        """Signed units by first list and executions since; None while nothing is believed yet."""
        if self._before is None:
            return None
        return self._before + self._executions.total() + self._told_only()

    @property
    def agrees(self) -> bool:
        """Whether positions were asked for after the last change and show what executions lead to."""
        return self.held is not None and self._asked_s >= self._changed_s and self.position == self.held

    @property
    def closable(self) -> int:
        """Whole units that are held and are to be closed, signed."""
        return 0 if self.held is None else _whole(self._share(self.held))

    @property
    def left(self) -> Decimal:
        """What is left to close of the position shown, signed, fractions included."""
        return self._share(self.position)

    @property
    def working(self) -> int:
        """Units of own orders that may still fill, answered or not."""
        return sum(
            int(max(ZERO, order.units - self._filled(ref))) for ref, order in self._orders.items() if not order.ended
        )

    @property
    def closed(self) -> Decimal:
        """Units that own orders have filled, signed as they changed the position."""
        return sum((self._sides[ref] * self._filled(ref) for ref in self._orders), ZERO)

    @property
    def is_given_up(self) -> bool:
        """Whether everything that may be tried was tried."""
        return self.attempts >= self._pace.attempts and not self.working

    @property
    def is_closed(self) -> bool:
        """Whether nothing is left but a fraction of a unit, by positions and executions both.

        Where another's closing is in no execution, positions alone must show zero for `Pace.lag_s`.
        """
        if self.working:
            return False
        if self.agrees:
            return self.closable == 0
        gone = self._zero_since_s is not None and self._asked_s - self._zero_since_s >= self._pace.lag_s
        return self.position == 0 and gone

    def may_send(self, now_s: float) -> int:
        """Units to send now, signed as the position that they close; 0 where nothing may be sent."""
        if self.working or not self.agrees or self.attempts >= self._pace.attempts or now_s < self._next_s:
            return 0
        return self.closable

    def sent(self, order_ref: str, units: int, now_s: float) -> None:
        """Book a closing order before it leaves.

        Parameters
        ----------
        order_ref : str
            Not used before.
        units : int
            What `may_send` said.
        now_s : float

        Raises
        ------
        ValueError
            If more would be sent than may be.
        """
        if units == 0 or units != self.may_send(now_s) or order_ref in self._orders:
            raise ValueError(f"closing order must be for {self.may_send(now_s):+d} units, was {units:+d} ({order_ref})")
        self._orders[order_ref] = _ClosingOrder(abs(units))
        self._sides[order_ref] = -1 if units > 0 else 1
        self.attempts += 1

    def wait(self, now_s: float) -> float:
        """Seconds until the next attempt."""
        return max(0.0, self._next_s - now_s)

    def _share(self, held: Decimal) -> Decimal:
        if self._claims is None:
            return held
        claimed = self._claims(self._executions) + self._told_only()
        if claimed * held <= 0:
            return ZERO
        return min(claimed, held) if held > 0 else max(claimed, held)

    def _filled(self, order_ref: str) -> Decimal:
        return max(self._executed_of(order_ref), self._orders[order_ref].told_filled)

    def _executed_of(self, order_ref: str) -> Decimal:
        return abs(self._executions.total(lambda each: each.order_ref == order_ref))

    def _told_only(self) -> Decimal:
        # Filled by order status; the execution has not come, or never does.
        return sum((self._sides[ref] * (self._filled(ref) - self._executed_of(ref)) for ref in self._orders), ZERO)


def _whole(units: Decimal) -> int:
    return int(units.to_integral_value(ROUND_DOWN))

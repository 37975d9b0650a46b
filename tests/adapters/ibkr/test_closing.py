"""What may be sent to close a contract: never more than is held, in whatever order the broker's answers come."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.ibkr.closing.book import ContractBook, Executed, Executions, Pace
from adapters.ibkr.closing.scope import OneContract, OwnTrades, RestingOrder, WholeAccount

PACE = Pace()
CON_ID = 265598
AAPL = 1234


def execution(exec_id: str, units: int, order_ref: str = "", client_id: int = 1) -> Executed:
    return Executed(exec_id, CON_ID, Decimal(units), client_id, order_ref)


def believed(units: str, pace: Pace = PACE) -> ContractBook:
    """Book after two looks at a position that nothing was executed in today."""
    book = ContractBook(pace)
    book.shown(Decimal(units), 0.0)
    book.shown(Decimal(units), 0.25)
    return book


def test_a_position_seen_once_is_not_believed() -> None:
    book = ContractBook(PACE)
    book.shown(Decimal(3), 0.0)
    assert (book.may_send(0.1), book.is_closed) == (0, False)
    book.shown(Decimal(3), 0.25)
    assert book.may_send(0.3) == 3


def test_a_list_older_than_a_recent_execution_is_not_believed() -> None:
    book = ContractBook(PACE)
    book.executed(execution("a.1.01", 3), 0.0)
    book.executed(execution("b.1.01", -3), 0.0)  # the stop has just filled; the list still shows what it closed
    for moment in range(6):
        book.shown(Decimal(3), float(moment))
        assert (book.may_send(moment + 0.1), book.is_closed) == (0, False)
    book.shown(Decimal(0), 6.0)
    assert (book.may_send(6.1), book.is_closed) == (0, True)


def test_a_list_that_shows_nothing_right_after_an_entry_is_not_flat() -> None:
    book = ContractBook(PACE)
    book.executed(execution("a.1.01", 3), 0.0)
    book.shown(Decimal(0), 0.3)
    assert not book.is_closed
    book.shown(Decimal(3), 0.6)
    assert book.may_send(0.7) == 3


def test_an_unanswered_order_counts_as_working() -> None:
    book = believed("3")
    book.sent("flatten-1", 3, 0.3)
    for moment in range(1, 100):
        book.shown(Decimal(3), float(moment))
        assert (book.may_send(moment + 0.1), book.working) == (0, 3)


@pytest.mark.parametrize("told", ["execution", "status", "both"])
def test_after_an_own_fill_an_older_list_sends_nothing(told: str) -> None:
    book = believed("3")
    book.sent("flatten-1", 3, 0.3)
    if told != "status":
        book.executed(execution("x.1.01", -3, "flatten-1"), 0.5)
    if told != "execution":
        book.answered("flatten-1", Decimal(3), True, 0.5)
    for moment in (0.75, 1.0, 50.0):
        book.shown(Decimal(3), moment)
        assert (book.may_send(moment), book.is_closed) == (0, False)
    book.shown(Decimal(0), 51.0)
    assert (book.is_closed, book.closed) == (True, Decimal(-3))


def test_a_zero_asked_for_before_the_own_fill_is_not_flat() -> None:
    book = believed("3")
    book.sent("flatten-1", 3, 0.3)
    book.executed(execution("x.1.01", -3, "flatten-1"), 1.0)
    book.shown(Decimal(0), 0.9)
    assert not book.is_closed
    book.shown(Decimal(0), 1.1)
    assert book.is_closed


def test_a_part_filled_and_cancelled_leaves_the_rest_to_send_after_a_pause() -> None:
    book = believed("10")
    book.sent("flatten-1", 10, 0.3)
    book.executed(execution("x.1.01", -4, "flatten-1"), 0.5)
    book.answered("flatten-1", Decimal(4), True, 0.5)
    book.shown(Decimal(6), 0.8)
    assert book.may_send(0.9) == 0
    book.shown(Decimal(6), 1.6)
    assert book.may_send(1.6) == 6


def test_attempts_are_counted_and_pauses_grow() -> None:
    book, now_s, sent_at = believed("3"), 0.3, []
    while now_s < 200:
        book.shown(Decimal(3), now_s)
        if units := book.may_send(now_s):
            sent_at.append(now_s)
            book.sent(f"flatten-{len(sent_at)}", units, now_s)
            book.answered(f"flatten-{len(sent_at)}", Decimal(0), True, now_s)
        now_s += 0.25
    pauses = [later - earlier for earlier, later in pairwise(sent_at)]
    assert len(sent_at) == PACE.attempts == 6
    assert pauses == pytest.approx(PACE.pauses_s, abs=0.25)
    assert book.is_given_up


def test_a_fraction_is_left_and_counts_as_closed() -> None:
    book = believed("-10.5")
    assert book.may_send(0.3) == -10
    book.sent("flatten-1", -10, 0.3)
    book.executed(execution("x.1.01", 10, "flatten-1"), 0.5)
    book.shown(Decimal("-0.5"), 0.8)
    assert (book.closable, book.left, book.is_closed) == (0, Decimal("-0.5"), True)


def test_what_others_execute_meanwhile_is_counted() -> None:
    book = believed("3")
    book.executed(execution("stop.1.01", -2), 0.3)
    book.shown(Decimal(3), 0.5)
    assert book.may_send(0.6) == 0
    book.shown(Decimal(1), 7.0)
    book.shown(Decimal(1), 7.3)
    assert book.may_send(7.4) == 1


def test_a_close_that_no_execution_tells_of_is_believed_when_the_list_could_not_be_older() -> None:
    book = believed("3")
    book.sent("flatten-1", 3, 0.3)
    book.answered("flatten-1", Decimal(0), True, 0.4)  # refused: closed by hand in TWS
    book.shown(Decimal(0), 1.0)
    book.shown(Decimal(0), 6.5)
    assert not book.is_closed
    book.shown(Decimal(0), 7.1)
    assert book.is_closed


def test_more_than_may_be_sent_is_not_booked() -> None:
    book = believed("3")
    with pytest.raises(ValueError, match=r"closing order must be for \+3 units, was \+4 \(flatten-1\)"):
        book.sent("flatten-1", 4, 0.3)


def test_executions_count_once_and_corrections_replace() -> None:
    told = Executions([execution("0001.02.01", 3), execution("0001.02.01", 3)])
    assert told.total() == 3
    assert told.add(execution("0001.02.02", 5))
    assert not told.add(execution("0001.02.01", 3)), "the predecessor comes again"
    assert told.total() == 5
    assert told.add(execution("0001.02.10", 4))
    assert not told.add(execution("0001.02.9", 7))
    assert told.total() == 4


OWN = OwnTrades("3fa9c1d2", 1, frozenset({CON_ID}), frozenset({"O-1"}))


def own_book(scope: OwnTrades = OWN) -> ContractBook:
    return ContractBook(PACE, scope.claims(CON_ID))


def test_a_session_closes_its_own_units_alone() -> None:
    book = own_book()
    book.executed(execution("a.1.01", 10, "O-1:5"), 0.0, age_s=60.0)
    for moment in (0.1, 0.4):
        book.shown(Decimal(110), moment)  # the owner holds a hundred beside them
    assert (book.may_send(0.5), book.left) == (10, Decimal(10))
    book.sent("flatten-3fa9c1d2-1", 10, 0.5)
    book.executed(execution("x.1.01", -10, "flatten-3fa9c1d2-1", 91), 0.6)
    book.shown(Decimal(100), 0.9)
    assert (book.is_closed, book.left) == (True, Decimal(0))


@pytest.mark.parametrize(("held", "closed"), [(-90, 0), (0, 0), (4, 4), (10, 10), (110, 10)])
def test_a_session_never_closes_more_than_the_account_holds(held: int, closed: int) -> None:
    book = own_book()
    book.executed(execution("a.1.01", 10, "O-1:5"), 0.0, age_s=60.0)
    for moment in (0.1, 0.4):
        book.shown(Decimal(held), moment)
    assert book.may_send(0.5) == closed


@pytest.mark.parametrize(
    "closing",
    [("flatten-3fa9c1d2-aa-1", -10, 0), ("flatten-account-aa-1", -110, 0), ("flatten-account-aa-1", -4, 6)],
)
def test_what_an_earlier_flatten_closed_is_not_closed_again(closing: tuple[str, int, int]) -> None:
    ref, units, left = closing
    book = own_book()
    book.executed(execution("a.1.01", 10, "O-1:5"), 0.0, age_s=60.0)
    book.executed(execution("b.1.01", units, ref, 92), 0.0, age_s=60.0)
    for moment in (0.1, 0.4):
        book.shown(Decimal(100), moment)
    assert book.may_send(0.5) == left


@pytest.mark.parametrize(
    ("fills", "told", "by_others", "listed", "left"),
    [
        ([], [("~1", 3)], [], [], 3),
        ([], [("~1", 3)], [], [("a.1.01", 3)], 3),
        ([], [("~1", 3)], [], [("a.1.01", 2)], 3),
        ([], [("~1", 3)], [], [("a.1.01", 2), ("b.1.01", 4)], 6),
        ([("a.1.01", 1)], [("~1", 2)], [], [("a.1.01", 1)], 3),
        ([("a.1.01", 1)], [("~1", 2)], [], [("a.1.01", 1), ("b.1.01", 2)], 3),
        ([], [("~1", -3)], [], [("a.1.01", -1)], -3),
        ([("a.1.01", 3)], [], [("x.1.01", -3)], [], 0),
        ([("a.1.01", 3), ("b.1.01", -3)], [], [("x.1.01", -3)], [], -3),
        ([("a.1.01", 3)], [], [("x.1.01", -2)], [("x.1.01", -2)], 1),
    ],
)
def test_what_the_journal_knows_counts_once(
    fills: list[tuple[str, int]],
    told: list[tuple[str, int]],
    by_others: list[tuple[str, int]],
    listed: list[tuple[str, int]],
    left: int,
) -> None:
    def of(rows: list[tuple[str, int]], ref: str = "O-1") -> tuple[Executed, ...]:
        return tuple(execution(name, units, ref) for name, units in rows)

    elsewhere = Executed("~9", AAPL, Decimal(50), 1, "O-1")
    scope = replace(OWN, fills=of(fills), told=(*of(told), elsewhere), closed_by_others=of(by_others, "by hand"))
    foreign = {name for name, _ in by_others}
    heard = [
        execution(name, units, "" if name in foreign else "O-1:5", 0 if name in foreign else 1)
        for name, units in listed
    ]
    assert scope.claims(CON_ID)(Executions([*scope.carried(), *heard])) == left


@pytest.mark.parametrize(
    ("order", "is_own"),
    [
        (RestingOrder(CON_ID, 1, 7, 70, "O-1:7", "DU1"), True),
        (RestingOrder(CON_ID, 1, 7, 70, "O-1", "DU1"), True),
        (RestingOrder(CON_ID, 91, 7, 70, "flatten-3fa9c1d2-aa-1", "DU1"), True),
        (RestingOrder(CON_ID, 2, 7, 70, "O-1:7", "DU1"), False),
        (RestingOrder(CON_ID, 1, 7, 70, "O-2:7", "DU1"), False),
        (RestingOrder(CON_ID, 0, 0, 70, "", "DU1"), False),
        (RestingOrder(AAPL, 1, 7, 70, "O-1:7", "DU1"), False),
    ],
)
def test_an_order_is_a_sessions_own_by_client_id_reference_and_contract(order: RestingOrder, is_own: bool) -> None:
    assert OWN.owns(order) == is_own
    assert WholeAccount().owns(order)
    assert OneContract(CON_ID).owns(order) == (order.con_id == CON_ID)


@dataclass
class Broker:
    """The truth, and the messages about it that are under way: they come late, twice, in any order, or never."""

    held: int
    side: int
    working: dict[str, int] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)
    told: list[tuple[str, object]] = field(default_factory=list)
    shown: list[tuple[int, float]] = field(default_factory=list)
    number: int = 0

    def fill(self, ref: str, units: int) -> None:
        self.held += units if self.side < 0 else -units
        self.working[ref] -= units
        self.filled[ref] = self.filled.get(ref, 0) + units
        self.number += 1
        signed = units if self.side < 0 else -units
        self.told += [
            ("execution", execution(f"{self.number:04d}.01.01", signed, ref)),
            ("status", (ref, self.filled[ref], self.working[ref] == 0)),
        ]

    def end(self, ref: str) -> None:
        self.told.append(("status", (ref, self.filled.get(ref, 0), True)))
        self.working[ref] = 0


@settings(max_examples=400)
@given(
    first=st.integers(-12, 12).filter(bool),
    fraction=st.sampled_from(["0", "0.5"]),
    steps=st.lists(st.tuples(st.sampled_from("fetsdl"), st.integers(0, 10**6)), min_size=5, max_size=80),
)
def test_no_interleaving_of_answers_sends_more_than_is_held(
    first: int, fraction: str, steps: list[tuple[str, int]]
) -> None:
    side = 1 if first > 0 else -1
    broker = Broker(held=first, side=side)
    book, part, now_s, count = ContractBook(PACE), side * Decimal(fraction), 0.0, 0

    def look(units: int) -> None:
        book.shown(units + part, now_s)

    look(first)
    look(first)
    snapshots = [first]
    for what, number in steps:
        now_s += 0.1 + number % 9
        live = [ref for ref, units in broker.working.items() if units]
        if what == "f" and live:  # a fill, whole or in part
            ref = live[number % len(live)]
            broker.fill(ref, 1 + number % broker.working[ref])
            snapshots.append(broker.held)
        elif what == "e" and live:  # refused or cancelled
            broker.end(live[number % len(live)])
        elif what == "t" and broker.told:  # any message about it, again or for the first time
            kind, content = broker.told[number % len(broker.told)]
            if kind == "execution":
                book.executed(content, now_s)  # type: ignore[arg-type]
            else:
                ref, filled, ended = content  # type: ignore[misc]
                book.answered(ref, Decimal(filled), ended, now_s)
        elif what == "l" and broker.told:  # one is lost
            broker.told.pop(number % len(broker.told))
        else:  # a list of positions, from now or from any moment before
            look(snapshots[number % len(snapshots)] if what == "s" else broker.held)
        if units := book.may_send(now_s):
            open_units = sum(broker.working.values())
            assert units * broker.held > 0, "a closing order in the wrong direction"
            assert abs(units) + open_units <= abs(broker.held), "more than is held"
            count += 1
            broker.working[f"flatten-{count}"] = abs(units)
            book.sent(f"flatten-{count}", units, now_s)
        assert broker.held * side >= 0, "reversed"
        assert sum(broker.filled.values()) + sum(broker.working.values()) <= abs(first)
    assert count <= PACE.attempts

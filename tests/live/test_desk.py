"""A desk at a real broker: half-filled entries, answers twice, late or from somebody else, and flips."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_strategies.decision.barriers import BarrierConfig
from rl_strategies.live.execution.live_execution import IncomingFill
from rl_strategies.live.journal.session_journal import FillRow, OrderRow
from tests.live.trading_desk import BARRIERS, CLOSE_NS, FLAT, LONG, SHORT, Session, new_core


@pytest.fixture
def session() -> Session:
    """A desk that holds nothing."""
    return Session(new_core())


def told(trade_id: str, units: int, ticks: int = 50000, order: str = "by hand") -> IncomingFill:
    return IncomingFill(trade_id, order, CLOSE_NS + 99, units, ticks, 35)


# Entries ----------------------------------------------------------------------------------------------------------


def test_every_part_of_an_entry_is_protected_at_once_from_its_own_price(session: Session) -> None:
    session.desk.pursue(LONG)
    (entry,) = session.sent
    session.accept(entry)
    session.fill(entry, 1, 50000)
    session.fill(entry, 2, 50002)
    assert session.wires() == [
        ("MarketOrder", 3, 0.0, ""),
        ("StopMarketOrder", -1, 499.60, f"{entry.client_order_id}-1"),
        ("LimitOrder", -1, 500.60, f"{entry.client_order_id}-1"),
        ("StopMarketOrder", -2, 499.62, f"{entry.client_order_id}-2"),
        ("LimitOrder", -2, 500.62, f"{entry.client_order_id}-2"),
    ]
    assert session.units == 3
    assert session.desk.groups == (f"{entry.client_order_id}-1", f"{entry.client_order_id}-2")


def test_what_happens_is_written_before_anything_follows_from_it(session: Session) -> None:
    session.entered()
    assert session.moves == [
        "order entry", "submit", "fill entry", "order stop", "submit", "order target", "submit", "after fill",
    ]  # fmt: skip


def test_rows_say_what_was_sent(session: Session) -> None:
    session.entered()
    entry, fill, stop, target = session.rows
    group = f"{session.sent[0].client_order_id}-1"
    names = [order.client_order_id.value for order in session.sent]
    assert entry == OrderRow(names[0], "SPY.EQUS", "entry", 1, 3, "market", 0, "entry", "", CLOSE_NS, CLOSE_NS)
    assert stop == OrderRow(names[1], "SPY.EQUS", "stop", -1, 3, "stop", 49960, "stop_loss", group, CLOSE_NS, CLOSE_NS)
    assert target == OrderRow(
        names[2], "SPY.EQUS", "target", -1, 3, "limit", 50060, "take_profit", group, CLOSE_NS, CLOSE_NS
    )
    assert fill == FillRow(
        names[0], "x1", "entry", "market", 0, "entry", 3, 50000, 100, 50000, CLOSE_NS + 1, CLOSE_NS, late=False
    )


def test_an_execution_counts_once_whoever_tells_of_it(session: Session) -> None:
    session.desk.pursue(LONG)
    (entry,) = session.sent
    session.accept(entry)
    session.fill(entry, 1, 50000, trade_id="a")
    name = entry.client_order_id.value
    assert not session.desk.take(told("a", 1, order=name), late=True)
    assert session.desk.take(told("b", 2, order=name), late=True)
    assert not session.desk.take(told("b", 2, order=name))
    assert session.units == 3
    assert [fill.units for fill in session.desk.fills] == [1, 2]
    assert session.moves.count("after fill") == 1
    assert session.core.account.balance_cents == 100_000_00 - 100 - 35
    session.fill(entry, 2, 50000, trade_id="b")
    assert (session.units, len(session.desk.fills)) == (3, 2)
    assert session.moves.count("after fill") == 1, "nobody is told twice"


def test_an_entry_found_late_gets_no_barriers(session: Session) -> None:
    session.desk.pursue(LONG)
    session.accept(session.sent[0])
    assert session.desk.take(told("late", 3, order=session.sent[0].client_order_id.value), late=True)
    assert len(session.sent) == 1
    assert (session.units, session.desk.groups) == (3, ())
    assert session.rows[-1].late


def test_an_execution_of_a_stranger_counts_and_is_called_external(session: Session) -> None:
    session.entered()
    session.desk.take(told("hand", -1, 50010))
    row = session.rows[-1]
    assert (row.role, row.kind, row.reason, row.units, session.units) == ("external", "market", "external", -1, 2)
    assert len(session.sent) == 3, "no barriers follow from it"


@pytest.mark.parametrize(("stop", "target"), [(False, True), (True, False), (False, False)])
def test_a_barrier_that_is_not_configured_is_not_sent(stop: bool, target: bool) -> None:
    barriers = BarrierConfig(BARRIERS.stop_loss if stop else None, BARRIERS.take_profit if target else None, 0)
    session = Session(new_core(barriers)).entered()
    expected = ["MarketOrder", *["StopMarketOrder"] * stop, *["LimitOrder"] * target]
    assert [kind for kind, *_ in session.wires()] == expected
    assert session.desk.wants_stop is stop


# Exits ------------------------------------------------------------------------------------------------------------


def test_an_exit_goes_within_the_groups_of_what_it_closes(session: Session) -> None:
    session.desk.pursue(LONG)
    (entry,) = session.sent
    session.accept(entry)
    session.fill(entry, 1, 50000)
    session.fill(entry, 2, 50000)
    session.accept(*session.sent[1:])
    session.desk.pursue(FLAT)
    groups = [f"{entry.client_order_id}-1", f"{entry.client_order_id}-2"]
    assert session.wires(5) == [("MarketOrder", -1, 0.0, groups[0]), ("MarketOrder", -2, 0.0, groups[1])]
    assert [row.reason for row in session.rows[-2:]] == ["signal", "signal"]
    session.desk.pursue(FLAT)
    session.desk.close_position("risk_halt")
    assert len(session.sent) == 7, "what is leaving is not sent away again"


def test_a_stop_half_filled_leaves_the_rest_to_the_exit(session: Session) -> None:
    session.entered()
    stop = session.sent[1]
    session.fill(stop, 1, 49960)
    session.desk.close_position("end_of_session")
    assert session.wires(3) == [("MarketOrder", -2, 0.0, session.desk.groups[0])]
    assert session.rows[-1].reason == "end_of_session"


def test_a_group_that_is_used_up_takes_no_exit(session: Session) -> None:
    session.desk.pursue(LONG)
    (entry,) = session.sent
    session.accept(entry)
    session.fill(entry, 1, 50000)
    session.fill(entry, 2, 50000)
    session.accept(*session.sent[1:])
    session.fill(session.sent[1], 1, 49960)
    second = f"{entry.client_order_id}-2"
    assert session.desk.groups == (second,)
    session.desk.pursue(FLAT)
    assert session.wires(5) == [("MarketOrder", -2, 0.0, second)]


def test_what_nobody_protects_is_closed_outside_the_groups(session: Session) -> None:
    session.entered()
    session.desk.take(told("late", 2), late=True)
    session.desk.close_position("protection_lost")
    assert session.wires(3) == [("MarketOrder", -3, 0.0, session.desk.groups[0]), ("MarketOrder", -2, 0.0, "")]


def test_no_exit_is_for_more_than_is_held(session: Session) -> None:
    session.entered()
    session.desk.take(told("by hand", -2), late=True)
    session.desk.pursue(FLAT)
    assert session.wires(3) == [("MarketOrder", -1, 0.0, session.desk.groups[0])]


def test_after_a_round_trip_nothing_is_left(session: Session) -> None:
    session.entered()
    session.fill(session.sent[2], 3, 50060)
    assert (session.units, session.desk.groups) == (0, ())
    # 3 shares x 60 cents less two commissions
    assert session.core.account.balance_cents == 100_000_00 + 3 * 60 - 200
    assert [(fill.units, fill.price_ticks, fill.reason) for fill in session.desk.fills] == [
        (3, 50000, "entry"),
        (-3, 50060, "take_profit"),
    ]


def test_a_rejected_stop_closes_what_it_was_to_protect(session: Session) -> None:
    session.desk.pursue(LONG)
    session.accept(session.sent[0])
    session.fill(session.sent[0], 3, 50000)
    session.accept(session.sent[2])
    session.reject(session.sent[1])
    assert session.wires(3) == [("MarketOrder", -3, 0.0, session.desk.groups[0])]
    assert session.rows[-1].reason == "protection_lost"


@pytest.mark.parametrize("place", [0, 2])
def test_any_other_rejection_is_only_counted(session: Session, place: int) -> None:
    session.desk.pursue(LONG)
    if place:
        session.accept(session.sent[0])
        session.fill(session.sent[0], 3, 50000)
    sent = len(session.sent)
    session.reject(session.sent[place])
    assert len(session.sent) == sent
    assert session.counted == ["venue: margin"]


# Reversals --------------------------------------------------------------------------------------------------------


def test_a_flip_enters_only_when_the_old_side_is_gone(session: Session) -> None:
    session.entered()
    session.desk.pursue(SHORT)
    assert session.wires(3) == [("MarketOrder", -3, 0.0, session.desk.groups[0])]
    assert session.rows[-1].reason == "reverse"
    exit_ = session.sent[3]
    session.accept(exit_)
    session.fill(exit_, 1, 49999)
    assert len(session.sent) == 4
    session.fill(exit_, 2, 49999)
    assert session.wires(4) == [("MarketOrder", -3, 0.0, "")]
    session.accept(session.sent[4])
    session.fill(session.sent[4], 3, 49998)
    assert [wire[:3] for wire in session.wires(5)] == [
        ("StopMarketOrder", 3, 500.38),
        ("LimitOrder", 3, 499.38),
    ]
    assert session.units == -3


def test_a_stop_that_fills_first_serves_a_flip_as_well(session: Session) -> None:
    session.entered()
    session.desk.pursue(SHORT)
    session.accept(session.sent[3])
    session.fill(session.sent[1], 3, 49960)
    session.cancel(session.sent[3])
    assert session.wires(4) == [("MarketOrder", -3, 0.0, "")]


def test_a_flip_waits_for_the_end_of_a_closing_order_that_a_stop_forestalled(session: Session) -> None:
    session.entered()
    session.desk.pursue(SHORT)
    session.accept(session.sent[3])
    session.fill(session.sent[1], 3, 49960)
    assert len(session.sent) == 4
    session.fill(session.sent[3], 3, 49959)  # the broker filled it too: short, and nobody wanted that
    assert (session.units, len(session.sent)) == (-3, 4)


def test_a_target_that_arrives_after_its_stop_has_filled_is_taken_back(session: Session) -> None:
    session.desk.pursue(LONG)
    session.accept(session.sent[0])
    session.fill(session.sent[0], 3, 50001)
    stop, target = session.sent[1:]
    session.accept(stop)
    session.fill(stop, 3, 49960)
    assert session.withdrawn == [target.client_order_id.value]
    session.accept(target)
    session.desk.on_accepted(target.client_order_id)
    assert session.withdrawn == [target.client_order_id.value] * 2


def test_whether_a_flip_still_may_enter_is_asked_when_it_could(session: Session) -> None:
    session.entered()
    session.allowed = False
    session.desk.pursue(SHORT)
    session.accept(session.sent[3])
    session.fill(session.sent[3], 3, 49999)
    assert session.moves.count("reversal") == 1
    assert (session.units, len(session.sent)) == (0, 4)


@pytest.mark.parametrize("since", ["refused", "refused, then held", "closed for another reason", "found out late"])
def test_a_flip_that_did_not_happen_does_not_happen_later(session: Session, since: str) -> None:
    session.entered()
    session.desk.pursue(SHORT)
    exit_ = session.sent[3]
    if since == "found out late":
        session.accept(exit_)
        session.desk.take(told("lost", -3, 49999, exit_.client_order_id.value), late=True)
        session.desk.take(told("hand", 1), late=False)
        session.desk.take(told("hand again", -1), late=False)
    elif since == "closed for another reason":
        session.accept(exit_)
        session.desk.close_position("risk_halt")
        session.fill(exit_, 3, 49999)
    else:
        session.reject(exit_)
        if since == "refused, then held":
            session.desk.pursue(LONG)
        session.fill(session.sent[1], 3, 49960)
    assert session.units == 0
    assert "reversal" not in session.moves
    assert len(session.sent) == 4


# In flight --------------------------------------------------------------------------------------------------------


def test_the_broker_owes_an_answer_until_orders_are_acknowledged_and_market_orders_filled(session: Session) -> None:
    desk = session.desk
    assert not desk.is_in_flight()
    desk.pursue(LONG)
    assert desk.is_in_flight()
    session.accept(session.sent[0])
    assert desk.is_in_flight(), "a market order that works is half a position"
    session.fill(session.sent[0], 1, 50000)
    session.accept(*session.sent[1:])
    assert desk.is_in_flight()
    session.fill(session.sent[0], 2, 50000)
    assert desk.is_in_flight(), "the second pair of barriers is on its way"
    session.accept(*session.sent[3:])
    assert not desk.is_in_flight(), "resting barriers owe nothing"
    desk.pursue(FLAT)
    session.reject(session.sent[5])
    session.reject(session.sent[6])
    assert not desk.is_in_flight()


# Another life -----------------------------------------------------------------------------------------------------


def relearned(session: Session) -> Session:
    """A desk that was told what happened to another, whose position has it in already."""
    again = Session(session.core)
    again.cache = session.cache
    again.order_factory.set_client_order_id_count(1000)
    again.desk.relearn(session.rows)
    return again


MOVES = ("pursue long", "pursue short", "pursue flat", "accept", "fill one", "fill all", "stop", "late", "by hand")


@settings(max_examples=150)
@given(moves=st.lists(st.sampled_from(MOVES), max_size=25))
def test_relearning_is_as_good_as_having_lived_through(moves: list[str]) -> None:
    session = Session(new_core())
    for number, move in enumerate(moves):
        live(session, move, number)
    again = relearned(session)
    assert again.desk.fills == session.desk.fills
    assert again.desk.orders == session.desk.orders
    assert again.desk.trades == session.desk.trades
    assert again.desk.groups == session.desk.groups
    assert again.desk.is_in_flight() == session.desk.is_in_flight()
    sent, before = len(session.sent), len(again.sent)
    session.desk.close_position("risk_halt")
    again.desk.close_position("risk_halt")
    assert again.wires(before) == session.wires(sent)
    assert sum(units for _, units, *_ in session.wires(sent)) in (0, -session.units)


def live(session: Session, move: str, number: int) -> None:
    """One thing that may happen to a desk."""
    desk = session.desk
    working = [order for order in session.sent if not order.is_closed]
    if move.startswith("pursue"):
        if not desk.is_in_flight():
            desk.pursue({"long": LONG, "short": SHORT, "flat": FLAT}[move.split()[1]])
    elif move == "late":
        desk.take(told(f"late{number}", 1), late=True)
    elif move == "by hand":
        desk.take(told(f"hand{number}", -1))
    elif move == "accept":
        session.accept(*(order for order in working if order.is_inflight))
    else:
        kinds = ("StopMarketOrder",) if move == "stop" else ("MarketOrder",)
        chosen = [order for order in working if type(order).__name__ in kinds]
        if chosen:
            left = int(chosen[0].leaves_qty)
            session.accept(*(order for order in chosen[:1] if order.is_inflight))
            session.fill(chosen[0], 1 if move == "fill one" else left, 50003)


def test_an_entry_that_fills_in_the_next_life_is_protected_as_in_the_first(session: Session) -> None:
    session.desk.pursue(LONG)
    session.accept(session.sent[0])
    again = relearned(session)
    again.sent.append(session.sent[0])
    again.fill(session.sent[0], 3, 50000)
    assert [wire[:3] for wire in again.wires(1)] == [("StopMarketOrder", -3, 499.60), ("LimitOrder", -3, 500.60)]


def test_executions_before_the_session_are_not_taken_in(session: Session) -> None:
    session.desk.disown(["morning"])
    assert not session.desk.take(told("morning", 5), late=True)
    assert (session.units, session.rows) == (0, [])

"""A live execution against a broker that answers late, twice, in another order, or not at all."""

import pytest

from rl_strategies.decision.barriers import BarrierConfig
from rl_strategies.live.journal.rebuild import book_fill
from rl_strategies.live.journal.session_journal import FillRow, OrderRow
from tests.live.stub_host import BARRIERS, CLOSE_NS, FLAT, LONG, NS, SHORT, StubHost, executed, new_core


@pytest.fixture
def host() -> StubHost:
    """A host whose execution holds nothing."""
    return StubHost(new_core())


def group(host: StubHost) -> str:
    return f"{host.sent[0].client_order_id}-1"


# Entries ----------------------------------------------------------------------------------------------------------


def test_an_entry_leaves_as_one_bracket_priced_from_the_close_with_the_stop_last(host: StubHost) -> None:
    host.execution.execute(LONG)
    assert host.lists == [3]
    assert host.wires() == [
        ("MarketOrder", 3, 0.0, ""),
        ("LimitOrder", -3, 500.60, group(host)),
        ("StopMarketOrder", -3, 499.60, group(host)),
    ]
    entry, *children = host.sent
    assert [child.parent_order_id for child in children] == [entry.client_order_id] * 2
    assert not any(order.is_post_only for order in host.sent)
    assert host.moves == ["order entry", "order target", "order stop", "submit"], "on disk before it leaves"


def test_barriers_are_amended_to_the_fill_price_and_journaled_again(host: StubHost) -> None:
    host.entered(ticks=50002)
    _, target, stop = (order.client_order_id.value for order in host.sent)
    assert host.amended == {stop: (3, 499.62), target: (3, 500.62)}
    assert host.execution.is_in_flight(), "the change is not confirmed yet"
    changed = [row for row in host.rows if isinstance(row, OrderRow)][3:]
    assert {(row.client_order_id, row.trigger_ticks) for row in changed} == {(stop, 49962), (target, 50062)}
    host.accept(*host.sent[1:])
    assert not host.execution.is_in_flight()


def test_barriers_at_the_fill_price_stay_as_they_were_sent(host: StubHost) -> None:
    host.entered()
    assert host.amended == {}
    assert not host.execution.is_in_flight()


def test_with_the_fills_of_an_entry_the_last_price_lays_the_barriers(host: StubHost) -> None:
    host.execution.execute(LONG)
    entry, target, stop = host.sent
    host.accept(entry)
    host.fill_order(entry, 1, 50000)
    host.accept(target, stop)
    assert host.amended == {}, "not before the entry is complete"
    host.fill_order(entry, 2, 50003)
    assert host.amended[stop.client_order_id.value] == (3, 499.63)


def test_order_and_fill_rows_hold_what_was_sent_and_filled(host: StubHost) -> None:
    host.entered()
    entry, target, stop, fill = host.rows
    names = [order.client_order_id.value for order in host.sent]
    assert entry == OrderRow(names[0], "SPY.EQUS", "entry", 1, 3, "market", 0, "entry", "", CLOSE_NS, CLOSE_NS)
    assert stop == OrderRow(
        names[2], "SPY.EQUS", "stop", -1, 3, "stop", 49960, "stop_loss", group(host), CLOSE_NS, CLOSE_NS
    )
    assert target == OrderRow(
        names[1], "SPY.EQUS", "target", -1, 3, "limit", 50060, "take_profit", group(host), CLOSE_NS, CLOSE_NS
    )
    assert (fill.trade_id, fill.role, fill.units, fill.price_ticks, fill.market_ticks) == (
        "x1",
        "entry",
        3,
        50000,
        50000,
    )


@pytest.mark.parametrize(("stop", "target"), [(False, True), (True, False), (False, False)])
def test_a_barrier_that_is_not_configured_is_not_sent(stop: bool, target: bool) -> None:
    host = StubHost(
        new_core(BarrierConfig(BARRIERS.stop_loss if stop else None, BARRIERS.take_profit if target else None, 0))
    )
    host.execution.execute(LONG)
    expected = ["MarketOrder", *["LimitOrder"] * target, *["StopMarketOrder"] * stop]
    assert [kind for kind, *_ in host.wires()] == expected
    assert host.execution.wants_stop is stop


def test_a_full_disk_blocks_an_entry_and_no_exit(host: StubHost) -> None:
    host.problem = "journal cannot be written: No space left on device"
    host.execution.execute(LONG)
    assert host.sent == []
    host.problem = ""
    host.entered()
    host.problem = "journal cannot be written: No space left on device"
    host.execution.close_position("risk_halt")
    host.cancel_all(host.sent[1])
    assert host.wires(3) == [("MarketOrder", -3, 0.0, group(host))]


def test_ids_of_two_sessions_never_meet(host: StubHost) -> None:
    other = StubHost(new_core())
    for each in (host, other):
        each.execution.execute(LONG)
    assert not {order.client_order_id for order in host.sent} & {order.client_order_id for order in other.sent}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_entry_whose_list_was_not_sent_whole_is_no_reject(host: StubHost, place: int) -> None:
    host.execution.execute(LONG)
    host.wire.clear()
    host.answer(host.sent[place], 0, "never_sent", "not sent: broken pipe")
    assert not host.execution.book.fillable()
    assert {why for _, why in host.ended} == {"never_sent"}
    assert not host.execution.is_in_flight()


def test_an_entry_whose_stop_is_refused_is_cancelled(host: StubHost) -> None:
    host.execution.execute(LONG)
    host.reject(host.sent[2])
    assert host.cancelled == [host.sent[0].client_order_id.value]


def test_an_unanswered_entry_is_cancelled_so_that_it_cannot_come_later(host: StubHost) -> None:
    host.execution.execute(LONG)
    host.wait(2.9)
    assert host.cancelled == []
    host.wait(0.2)
    assert host.cancelled == [host.sent[0].client_order_id.value]
    host.answer(host.sent[0], 10147, "unknown")
    assert not host.execution.book.fillable("entry")


def test_a_partly_filled_entry_is_cancelled_and_its_barriers_are_for_what_is_held(host: StubHost) -> None:
    host.execution.execute(LONG)
    entry, target, stop = host.sent
    host.accept(entry)
    host.fill_order(entry, 1, 50000)
    host.accept(target, stop)
    host.wait(3.1)
    assert host.cancelled == [entry.client_order_id.value]
    host.cancel_all(entry)
    host.wait(1.1)
    assert host.amended == {stop.client_order_id.value: (1, 499.60), target.client_order_id.value: (1, 500.60)}


def test_an_order_that_the_broker_turns_out_not_to_know_is_said_to_be_gone(host: StubHost) -> None:
    host.execution.execute(LONG)
    entry, target, stop = host.sent
    host.reject(entry)
    host.answer(target, 10006, "refused", "Missing parent order.")
    assert stop.client_order_id.value in host.cancelled, "its refusal may be lost"
    host.answer(stop, 10147, "unknown", "OrderId that needs to be cancelled is not found.")
    assert host.ended == [("entry", "refused"), ("target", "refused"), ("stop", "gone")]


# Fills ------------------------------------------------------------------------------------------------------------


def test_a_fill_counts_once_however_often_and_however_it_is_told(host: StubHost) -> None:
    host.execution.execute(LONG)
    entry = host.sent[0]
    for _ in range(2):
        host.status(entry, "Filled", filled=3)
        host.execution.on_execution(executed("a.01", 3, 50000, entry.client_order_id.value))
    host.wait(1.0)
    assert (host.units, len(host.execution.fills)) == (3, 1)
    assert host.moves.count("on fill") == 1


def test_a_fill_does_not_wait_for_its_commission(host: StubHost) -> None:
    host.entered()
    (fill,) = host.execution.fills
    before = host.core.account.balance_cents
    assert fill.commission_cents > 0, "the estimate of the instrument's terms"
    host.execution.on_commission("x1", 1.23)
    assert host.execution.fills[0].commission_cents == 123
    assert host.core.account.balance_cents == before - (123 - fill.commission_cents)
    host.execution.on_commission("x1", 1.23)
    assert host.core.account.balance_cents == before - (123 - fill.commission_cents), "once"
    assert host.moves.count("on fill") == 1


def test_a_commission_may_come_before_its_execution(host: StubHost) -> None:
    host.execution.execute(LONG)
    host.execution.on_commission("early", 0.77)
    host.execution.on_execution(executed("early", 3, 50000, host.sent[0].client_order_id.value))
    assert [fill.commission_cents for fill in host.execution.fills] == [77]


def test_a_status_without_its_execution_counts_after_a_grace_and_is_replaced(host: StubHost) -> None:
    host.execution.execute(LONG)
    entry = host.sent[0]
    host.accept(*host.sent)
    host.status(entry, "Filled", filled=3, price=500.02)
    assert host.units == 0
    assert host.execution.is_in_flight()
    host.wait(0.6)
    assert (host.units, host.execution.fills[0].price_ticks) == (3, 50002)
    balance = host.core.account.balance_cents
    host.execution.on_execution(executed("late.01", 3, 50005, entry.client_order_id.value))
    assert (host.units, [fill.price_ticks for fill in host.execution.fills]) == (3, [50005])
    assert host.core.account.balance_cents == balance - 9, "three shares, three cents"


def test_executions_replace_a_provisional_fill_piece_by_piece(host: StubHost) -> None:
    host.execution.execute(LONG)
    name = host.sent[0].client_order_id.value
    host.status(host.sent[0], "Filled", filled=3, price=500.0)
    host.wait(0.6)
    host.execution.on_execution(executed("p1", 1, 50001, name))
    host.execution.on_execution(executed("p2", 2, 50003, name))
    assert (host.units, [(f.units, f.price_ticks) for f in host.execution.fills]) == (3, [(1, 50001), (2, 50003)])
    spent = sum(fill.commission_cents for fill in host.execution.fills)
    assert host.core.account.balance_cents == 100_000_00 - spent - 1 - 6


def paid_cents(host: StubHost) -> int:
    """Price of what is held, by account and position together, without commission."""
    spent = sum(fill.commission_cents for fill in host.execution.fills)
    cost = host.units * host.core.instruments[0].leg.average_price * 100
    return round(cost + 100_000_00 - host.core.account.balance_cents - spent)


@pytest.mark.parametrize("order", [("p1", "p2"), ("p2", "p1")])
def test_one_execution_may_stand_for_what_several_statuses_told(host: StubHost, order: tuple[str, str]) -> None:
    host.execution.execute(LONG)
    name = host.sent[0].client_order_id.value
    for filled, price in ((1, 500.0), (3, 500.02)):
        host.status(host.sent[0], "Submitted", filled=filled, price=price)
        host.wait(0.6)
    assert (host.units, [fill.units for fill in host.execution.fills]) == (3, [3])
    assert paid_cents(host) == 3 * 50002, "its units, at the mean price told last"
    told = {"p1": executed("p1", 2, 50001, name), "p2": executed("p2", 1, 50004, name)}
    for trade_id in order:
        host.execution.on_execution(told[trade_id])
    assert sorted((f.units, f.price_ticks) for f in host.execution.fills) == [(1, 50004), (2, 50001)]
    assert (host.units, paid_cents(host)) == (3, 2 * 50001 + 50004)


@pytest.mark.parametrize("again", [False, True])
def test_a_correction_replaces_what_it_corrects(host: StubHost, again: bool) -> None:
    host.execution.execute(LONG)
    name = host.sent[0].client_order_id.value
    host.execution.on_execution(executed("0001.aa.01", 3, 50000, name))
    if again:  # after a restart
        host = resumed(host)
    host.execution.on_execution(executed("0001.aa.02", 2, 50001, name))
    host.execution.on_execution(executed("0001.aa.01", 3, 50000, name))
    assert (host.units, [(f.units, f.price_ticks) for f in host.execution.fills]) == (2, [(2, 50001)])


# Foreign ----------------------------------------------------------------------------------------------------------


def test_what_others_trade_on_the_sessions_side_is_theirs(host: StubHost) -> None:
    host.entered()
    host.execution.on_execution(executed("hand", 10))
    host.execution.on_execution(executed("hand", 10))
    assert (host.units, host.execution.foreign.units, host.execution.foreign.is_active) == (3, 10, True)
    assert host.foreign == [(10, 10)]
    host.execution.close_position("risk_halt")
    host.cancel_all(host.sent[1])
    assert host.wires(3) == [("MarketOrder", -3, 0.0, group(host))], "its own three, none of theirs"


def test_what_others_close_of_the_position_is_closed(host: StubHost) -> None:
    host.entered()
    host.execution.on_execution(executed("hand", -5, 50010))
    assert (host.units, host.execution.foreign.units) == (0, -2)
    row = host.rows[-1]
    assert (row.role, row.reason, row.units, row.price_ticks) == ("external", "external", -3, 50010)
    host.wait(0.6)
    assert sorted(host.cancelled) == sorted(order.client_order_id.value for order in host.sent[1:])
    assert len(host.sent) == 3


def test_what_others_trade_while_the_session_is_flat_is_theirs_alone(host: StubHost) -> None:
    host.execution.on_execution(executed("hand", -5))
    assert (host.units, host.execution.foreign.units, host.sent, host.rows) == (0, -5, [], [])


def by_hand(host: StubHost, units: int, after_ns: int = 0) -> None:
    """The owner trades, so long after the fills of `executed`."""
    fill = executed("hand", units)
    fill.ts_ns += after_ns
    host.execution.on_execution(fill)


@pytest.mark.parametrize("is_told", [False, True], ids=["nothing told", "entry told by its status"])
def test_before_an_entrys_fill_is_known_its_exit_makes_no_position_that_others_could_close(
    host: StubHost, is_told: bool
) -> None:
    host.execution.execute(LONG)
    entry, _, stop = host.sent
    host.accept(*host.sent)
    if is_told:
        host.status(entry, "Filled", filled=3)
    host.execute(stop, 3, 49960, "9.01")
    by_hand(host, 1)
    assert (host.execution.foreign.units, len(host.sent)) == (1, 3)
    host.execute(entry, 3, 50000, "8.01")
    assert (host.units, host.execution.foreign.units) == (0, 1)


@pytest.mark.parametrize("traded", [-3, -1])
def test_what_a_stop_closed_others_have_not(host: StubHost, traded: int) -> None:
    host.entered()
    balance = host.core.account.balance_cents
    by_hand(host, traded)
    assert (host.units, host.execution.foreign.units) == (3 + traded, 0), "all that is known then"
    host.execute(host.sent[2], 3, 49960, "9.01")
    assert (host.units, host.execution.foreign.units, len(host.sent)) == (0, traded, 3)
    assert [(fill.reason, fill.units) for fill in host.execution.fills] == [("entry", 3), ("stop_loss", -3)]
    spent = host.execution.fills[1].commission_cents
    assert host.core.account.balance_cents == balance - 3 * 40 - spent, "the owner's trade costs the session nothing"


def test_a_stop_that_was_told_to_be_filled_leaves_others_nothing_to_close(host: StubHost) -> None:
    host.entered()
    host.status(host.sent[2], "Filled", filled=3)
    by_hand(host, -3)
    assert (host.units, host.execution.foreign.units) == (3, -3)
    host.execute(host.sent[2], 3, 49960, "9.01")
    assert (host.units, host.execution.foreign.units, len(host.sent)) == (0, -3, 3)


def test_a_trade_of_others_before_the_entry_told_late_closes_nothing_of_it(host: StubHost) -> None:
    host.entered()
    by_hand(host, -2, after_ns=-1)
    assert (host.units, host.execution.foreign.units) == (3, -2)


def test_what_others_seemed_to_close_is_given_back_once_the_entry_is_known_to_be_younger(host: StubHost) -> None:
    host.execution.execute(LONG)
    entry = host.sent[0]
    host.accept(*host.sent)
    host.status(entry, "Filled", filled=3)
    host.wait(0.6)
    by_hand(host, -2, after_ns=-1)
    assert (host.units, host.execution.foreign.units) == (1, 0), "the time of the entry's fill is not known"
    host.execute(entry, 3, 50000, "8.01")
    assert (host.units, host.execution.foreign.units) == (3, -2)


def test_fills_before_the_session_are_ignored_corrections_included(host: StubHost) -> None:
    host.execution.foreign.ignore(["morning.01"])
    host.execution.on_execution(executed("morning.01", 5))
    host.execution.on_execution(executed("morning.02", 4))
    assert (host.units, host.rows, host.execution.foreign.is_active) == (0, [], False)


# Protection -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["refused", "inactive", "held"])
def test_a_position_whose_stop_does_not_work_is_closed_at_once(host: StubHost, how: str) -> None:
    host.entered()
    stop = host.sent[2]
    if how == "refused":
        host.reject(stop)
    elif how == "inactive":
        host.status(stop, "Inactive")
    else:
        host.answer(stop, 404, "held")
    host.cancel_all(host.sent[1])
    assert [wire[:2] for wire in host.wires(3)] == [("MarketOrder", -3)]
    assert host.rows[-1].reason == "protection_lost"
    assert host.warned


def test_a_stop_that_waits_for_a_locate_is_no_refusal(host: StubHost) -> None:
    host.execution.execute(LONG)
    host.status(host.sent[0], "Inactive", held="locate")
    assert host.execution.book.fillable("entry")
    host.status(host.sent[0], "Inactive")
    assert not host.execution.book.fillable("entry")


def test_a_stop_that_ended_is_replaced_and_if_that_is_refused_the_position_closed(host: StubHost) -> None:
    host.entered()
    host.cancel_all(host.sent[2])
    assert len(host.sent) == 3, "the take profit's fill may be on its way"
    host.wait(0.6)
    assert [wire[:3] for wire in host.wires(3)] == [("StopMarketOrder", -3, 499.60)]
    host.reject(host.sent[3])
    host.cancel_all(host.sent[1])
    assert [wire[:2] for wire in host.wires(4)] == [("MarketOrder", -3)]


def test_a_stop_that_is_cancelled_again_closes_only_what_the_broker_still_shows(host: StubHost) -> None:
    host.entered()
    host.cancel_all(host.sent[2])
    host.wait(0.6)
    host.accept(host.sent[3])
    host.cancel_all(host.sent[3])
    asked = host.asked
    host.wait(0.6)
    assert (len(host.sent), host.asked > asked) == (4, True), "somebody else may be closing it"
    host.execution.agreed_ns = host.clock.timestamp_ns()
    host.wait(0.1)
    host.cancel_all(host.sent[1])
    assert [wire[:2] for wire in host.wires(4)] == [("MarketOrder", -3)]


def test_a_stop_that_ended_because_the_take_profit_filled_is_not_replaced(host: StubHost) -> None:
    host.entered()
    host.status(host.sent[1], "Filled", filled=3, price=500.6)
    host.cancel_all(host.sent[2])
    host.wait(0.6)
    assert (host.units, len(host.sent)) == (0, 3)


def test_a_stop_that_cannot_be_reduced_to_what_is_held_ends_the_position(host: StubHost) -> None:
    host.execution.execute(LONG)
    entry, target, stop = host.sent
    host.accept(entry)
    host.fill_order(entry, 1, 50000)
    host.accept(target, stop)
    host.cancel_all(entry)
    host.wait(1.1)
    host.answer(stop, 201, "refused")
    host.wait(0.1)
    host.cancel_all(target)
    assert [wire[:2] for wire in host.wires(3)] == [("MarketOrder", -1)]


def test_an_excess_is_closed_once(host: StubHost) -> None:
    host.entered()
    host.fill_order(host.sent[2], 3, 49960)
    host.fill_order(host.sent[1], 3, 50060)  # a broker whose group did not hold
    assert host.units == -3
    assert host.wires(3) == [("MarketOrder", 3, 0.0, "")]
    host.wait(1.0)
    assert len(host.sent) == 4


# Exits ------------------------------------------------------------------------------------------------------------


def test_an_exit_joins_the_stop_once_the_take_profit_is_gone(host: StubHost) -> None:
    host.entered()
    host.execution.execute(FLAT)
    assert (host.cancelled, len(host.sent)) == ([host.sent[1].client_order_id.value], 3)
    assert host.execution.is_in_flight()
    host.cancel_all(host.sent[1])
    assert host.wires(3) == [("MarketOrder", -3, 0.0, group(host))]
    assert host.rows[-1].reason == "signal"
    host.execution.execute(FLAT)
    host.execution.close_position("risk_halt")
    assert len(host.sent) == 4, "what is leaving is not sent away again"
    host.fill_order(host.sent[3], 3, 49990)
    host.cancel_all(host.sent[2])
    assert not host.execution.is_in_flight()


def test_an_exit_does_not_wait_for_ever_for_the_take_profit(host: StubHost) -> None:
    host.entered()
    host.execution.execute(FLAT)
    host.wait(0.9)
    assert len(host.sent) == 3
    host.wait(0.2)
    assert len(host.sent) == 4


def test_an_exit_that_its_group_holds_back_is_sent_alone_when_it_and_the_stop_are_gone(host: StubHost) -> None:
    host.entered()
    stop = host.sent[2]
    host.execution.execute(FLAT)
    host.cancel_all(host.sent[1])
    exit_ = host.sent[3]
    host.accept(exit_)
    host.wait(2.1)
    assert host.cancelled[-1] == exit_.client_order_id.value
    assert stop.client_order_id.value not in host.cancelled, "the stop stays until the exit is gone"
    host.cancel_all(exit_)
    assert host.cancelled[-1] == stop.client_order_id.value
    assert len(host.sent) == 4
    host.cancel_all(stop)
    assert host.wires(4) == [("MarketOrder", -3, 0.0, "")]


def test_what_an_entry_fills_after_its_exit_has_ended_the_group_is_closed_alone(host: StubHost) -> None:
    host.execution.execute(LONG)
    entry, target, stop = host.sent
    host.accept(*host.sent)
    host.fill_order(entry, 1, 50000)
    host.execution.close_position("risk_halt")
    host.cancel_all(target)
    first = host.sent[3]
    assert host.wires(3) == [("MarketOrder", -1, 0.0, group(host))]
    host.accept(first)
    host.fill_order(first, 1, 50000)
    host.fill_order(entry, 2, 50000)  # its cancel came too late
    host.wait(0.1)
    assert (len(host.sent), host.cancelled[-1]) == (4, stop.client_order_id.value), "the group takes no other order"
    host.cancel_all(stop)
    assert host.wires(4) == [("MarketOrder", -2, 0.0, "")]


@pytest.mark.parametrize("answer", ["none", "pending"])
def test_while_a_closing_order_may_fill_no_other_is_sent(host: StubHost, answer: str) -> None:
    host.entered()
    host.execution.execute(FLAT)
    host.cancel_all(host.sent[1])
    if answer == "pending":
        host.accept(host.sent[3])
        host.wait(2.1)
        host.status(host.sent[3], "PendingCancel")
    for _ in range(60):
        host.wait(1.0)
    assert len(host.sent) == 4


def test_a_lost_exit_is_sent_again_only_when_the_position_agrees(host: StubHost) -> None:
    host.entered()
    host.execution.execute(FLAT)
    host.cancel_all(host.sent[1])
    host.answer(host.sent[3], 10147, "unknown")
    host.wait(3.0)
    assert len(host.sent) == 4, "it may have filled unheard"
    host.execution.agreed_ns = host.clock.timestamp_ns()
    host.wait(0.1)
    assert len(host.sent) == 5


def test_refused_exits_are_tried_again_with_pauses_and_are_no_rejects_of_the_policy(host: StubHost) -> None:
    host.entered()
    host.execution.close_position("risk_halt")
    host.cancel_all(host.sent[1])
    for _ in range(100):
        for order in host.sent[3:]:
            own = host.execution.book.get(order.client_order_id.value)
            if own is not None and own.may_fill:
                host.reject(order)
        host.wait(0.25)
    assert 4 <= len(host.sent) - 3 <= 7
    assert all(role == "exit" for role, _ in host.ended)
    assert host.execution.is_protected, "the stop was never touched"


def test_an_exit_is_for_what_a_partly_filled_stop_has_left(host: StubHost) -> None:
    host.entered()
    host.fill_order(host.sent[2], 1, 49960)
    host.execution.close_position("end_of_session")
    host.cancel_all(host.sent[1])
    assert host.wires(3) == [("MarketOrder", -2, 0.0, group(host))]


def test_closing_cancels_an_entry_that_hangs_half_filled(host: StubHost) -> None:
    host.execution.execute(LONG)
    entry, target, _ = host.sent
    host.accept(*host.sent)
    host.fill_order(entry, 1, 50000)
    host.execution.close_position("end_of_session")
    assert set(host.cancelled) == {entry.client_order_id.value, target.client_order_id.value}
    host.cancel_all(entry, target)
    assert host.wires(3) == [("MarketOrder", -1, 0.0, group(host))]


def test_no_more_is_closed_than_the_broker_shows(host: StubHost) -> None:
    host.entered()
    host.execution.most_to_close = 0
    host.execution.close_position("risk_halt")
    host.cancel_all(host.sent[1])
    host.wait(5.0)
    assert len(host.sent) == 3
    host.execution.most_to_close = None
    host.wait(0.1)
    assert len(host.sent) == 4


# Reversals --------------------------------------------------------------------------------------------------------


def reversing(host: StubHost) -> StubHost:
    host.entered()
    host.execution.execute(SHORT)
    host.cancel_all(host.sent[1])
    return host


def test_a_reversal_enters_only_when_nothing_of_the_old_side_may_fill(host: StubHost) -> None:
    reversing(host)
    assert host.rows[-1].reason == "reverse"
    host.fill_order(host.sent[3], 3, 49999)
    assert (host.units, len(host.sent)) == (0, 4), "the stop still works"
    host.cancel_all(host.sent[2])
    assert [wire[:3] for wire in host.wires(4)] == [
        ("MarketOrder", -3, 0.0), ("LimitOrder", 3, 499.40), ("StopMarketOrder", 3, 500.40),
    ]  # fmt: skip


def test_a_reversal_enters_only_if_it_may_open_then(host: StubHost) -> None:
    reversing(host)
    host.allowed = False
    host.fill_order(host.sent[3], 3, 49999)
    host.cancel_all(host.sent[2])
    assert (host.moves.count("reversal"), len(host.sent)) == (1, 4)


@pytest.mark.parametrize("since", ["refused", "closed for another reason"])
def test_a_reversal_that_did_not_happen_does_not_happen_later(host: StubHost, since: str) -> None:
    reversing(host)
    if since == "refused":
        host.reject(host.sent[3])
        host.fill_order(host.sent[2], 3, 49960)
    else:
        host.execution.close_position("risk_halt")
        host.fill_order(host.sent[3], 3, 49999)
        host.cancel_all(host.sent[2])
    host.wait(1.0)
    assert host.units == 0
    assert "reversal" not in host.moves


# Resuming ---------------------------------------------------------------------------------------------------------


def resumed(host: StubHost) -> StubHost:
    """Another host whose core and execution are restored from the journal of the first."""
    again = StubHost(new_core())
    for row in host.rows:
        if isinstance(row, FillRow):
            book_fill(again.core, 0, row)
    again.execution.restore(host.rows)
    again.filled, again.amended = dict(host.filled), dict(host.amended)
    again.wire = dict(host.wire)
    return again


def test_a_restored_execution_knows_orders_fills_and_prices(host: StubHost) -> None:
    host.entered(ticks=50002)
    again = resumed(host)
    assert again.execution.fills == host.execution.fills
    assert {name: order.row for name, order in again.execution.book.by_name.items()} == {
        name: order.row for name, order in host.execution.book.by_name.items()
    }
    assert again.execution.is_in_flight(), "until the broker lists the barriers"
    again.accept(*host.sent[1:])
    assert not again.execution.is_in_flight()
    assert again.execution.is_protected


def test_after_a_restart_a_missing_stop_is_placed_from_the_journal(host: StubHost) -> None:
    host.entered(ticks=50002)
    again = resumed(host)
    again.clock.set_time(CLOSE_NS + 10 * NS)
    gone = again.execution.drop_unknown([host.sent[1].client_order_id.value], CLOSE_NS + 10 * NS)
    assert gone == [host.sent[2].client_order_id.value]
    again.wait(0.6)
    assert [wire[:3] for wire in again.wires()] == [("StopMarketOrder", -3, 499.62)]


def test_an_entry_that_fills_after_a_restart_counts(host: StubHost) -> None:
    host.execution.execute(LONG)
    again = resumed(host)
    again.fill_order(host.sent[0], 3, 50000)
    assert again.units == 3

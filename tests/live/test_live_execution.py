"""A live execution: partly filled entries, fills reported twice, late or from outside, and reversals."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_strategies.decision.barriers import BarrierConfig
from rl_strategies.live.execution.live_execution import IncomingFill
from rl_strategies.live.journal.session_journal import FillRow, OrderRow
from tests.live.stub_host import BARRIERS, CLOSE_NS, FLAT, LONG, SHORT, StubHost, new_core


@pytest.fixture
def host() -> StubHost:
    """A host whose execution holds nothing."""
    return StubHost(new_core())


def incoming(trade_id: str, units: int, ticks: int = 50000, order: str = "by hand") -> IncomingFill:
    return IncomingFill(trade_id, order, CLOSE_NS + 99, units, ticks, 35)


# Entries ----------------------------------------------------------------------------------------------------------


def test_every_part_of_an_entry_is_protected_at_once_from_its_own_price(host: StubHost) -> None:
    host.execution.execute(LONG)
    (entry,) = host.sent
    host.accept(entry)
    host.fill_order(entry, 1, 50000)
    host.fill_order(entry, 2, 50002)
    assert host.wires() == [
        ("MarketOrder", 3, 0.0, ""),
        ("StopMarketOrder", -1, 499.60, f"{entry.client_order_id}-1"),
        ("LimitOrder", -1, 500.60, f"{entry.client_order_id}-1"),
        ("StopMarketOrder", -2, 499.62, f"{entry.client_order_id}-2"),
        ("LimitOrder", -2, 500.62, f"{entry.client_order_id}-2"),
    ]
    assert host.units == 3
    assert host.execution.groups == (f"{entry.client_order_id}-1", f"{entry.client_order_id}-2")


def test_fills_and_orders_are_journaled_before_anything_follows_from_them(host: StubHost) -> None:
    host.entered()
    assert host.moves == [
        "order entry", "submit", "fill entry", "order stop", "submit", "order target", "submit", "on fill",
    ]  # fmt: skip


def test_order_and_fill_rows_hold_what_was_sent_and_filled(host: StubHost) -> None:
    host.entered()
    entry, fill, stop, target = host.rows
    group = f"{host.sent[0].client_order_id}-1"
    names = [order.client_order_id.value for order in host.sent]
    assert entry == OrderRow(names[0], "SPY.EQUS", "entry", 1, 3, "market", 0, "entry", "", CLOSE_NS, CLOSE_NS)
    assert stop == OrderRow(names[1], "SPY.EQUS", "stop", -1, 3, "stop", 49960, "stop_loss", group, CLOSE_NS, CLOSE_NS)
    assert target == OrderRow(
        names[2], "SPY.EQUS", "target", -1, 3, "limit", 50060, "take_profit", group, CLOSE_NS, CLOSE_NS
    )
    assert fill == FillRow(
        names[0], "x1", "entry", "market", 0, "entry", 3, 50000, 100, 50000, CLOSE_NS + 1, CLOSE_NS, late=False
    )


def test_a_fill_counts_once_however_often_it_is_reported(host: StubHost) -> None:
    host.execution.execute(LONG)
    (entry,) = host.sent
    host.accept(entry)
    host.fill_order(entry, 1, 50000, trade_id="a")
    name = entry.client_order_id.value
    assert not host.execution.apply_fill(incoming("a", 1, order=name), late=True)
    assert host.execution.apply_fill(incoming("b", 2, order=name), late=True)
    assert not host.execution.apply_fill(incoming("b", 2, order=name))
    assert host.units == 3
    assert [fill.units for fill in host.execution.fills] == [1, 2]
    assert host.moves.count("on fill") == 2
    assert host.core.account.balance_cents == 100_000_00 - 100 - 35
    host.fill_order(entry, 2, 50000, trade_id="b")
    assert (host.units, len(host.execution.fills)) == (3, 2)
    assert host.moves.count("on fill") == 2, "the host hears of every fill once"


def test_an_entry_found_late_gets_no_barriers(host: StubHost) -> None:
    host.execution.execute(LONG)
    host.accept(host.sent[0])
    assert host.execution.apply_fill(incoming("late", 3, order=host.sent[0].client_order_id.value), late=True)
    assert len(host.sent) == 1
    assert (host.units, host.execution.groups) == (3, ())
    assert host.rows[-1].late


def test_a_fill_from_outside_counts_and_is_called_external(host: StubHost) -> None:
    host.entered()
    host.execution.apply_fill(incoming("hand", -1, 50010))
    row = host.rows[-1]
    assert (row.role, row.kind, row.reason, row.units, host.units) == ("external", "market", "external", -1, 2)
    assert len(host.sent) == 3, "no barriers follow from it"


@pytest.mark.parametrize(("stop", "target"), [(False, True), (True, False), (False, False)])
def test_a_barrier_that_is_not_configured_is_not_sent(stop: bool, target: bool) -> None:
    barriers = BarrierConfig(BARRIERS.stop_loss if stop else None, BARRIERS.take_profit if target else None, 0)
    host = StubHost(new_core(barriers)).entered()
    expected = ["MarketOrder", *["StopMarketOrder"] * stop, *["LimitOrder"] * target]
    assert [kind for kind, *_ in host.wires()] == expected
    assert host.execution.wants_stop is stop


# Exits ------------------------------------------------------------------------------------------------------------


def test_an_exit_goes_within_the_groups_of_what_it_closes(host: StubHost) -> None:
    host.execution.execute(LONG)
    (entry,) = host.sent
    host.accept(entry)
    host.fill_order(entry, 1, 50000)
    host.fill_order(entry, 2, 50000)
    host.accept(*host.sent[1:])
    host.execution.execute(FLAT)
    groups = [f"{entry.client_order_id}-1", f"{entry.client_order_id}-2"]
    assert host.wires(5) == [("MarketOrder", -1, 0.0, groups[0]), ("MarketOrder", -2, 0.0, groups[1])]
    assert [row.reason for row in host.rows[-2:]] == ["signal", "signal"]
    host.execution.execute(FLAT)
    host.execution.close_position("risk_halt")
    assert len(host.sent) == 7, "what is leaving is not sent away again"


def test_an_exit_closes_what_a_partly_filled_stop_has_left(host: StubHost) -> None:
    host.entered()
    stop = host.sent[1]
    host.fill_order(stop, 1, 49960)
    host.execution.close_position("end_of_session")
    assert host.wires(3) == [("MarketOrder", -2, 0.0, host.execution.groups[0])]
    assert host.rows[-1].reason == "end_of_session"


def test_a_closed_group_gets_no_exit(host: StubHost) -> None:
    host.execution.execute(LONG)
    (entry,) = host.sent
    host.accept(entry)
    host.fill_order(entry, 1, 50000)
    host.fill_order(entry, 2, 50000)
    host.accept(*host.sent[1:])
    host.fill_order(host.sent[1], 1, 49960)
    second = f"{entry.client_order_id}-2"
    assert host.execution.groups == (second,)
    host.execution.execute(FLAT)
    assert host.wires(5) == [("MarketOrder", -2, 0.0, second)]


def test_unprotected_units_are_closed_outside_the_groups(host: StubHost) -> None:
    host.entered()
    host.execution.apply_fill(incoming("late", 2), late=True)
    host.execution.close_position("protection_lost")
    assert host.wires(3) == [("MarketOrder", -3, 0.0, host.execution.groups[0]), ("MarketOrder", -2, 0.0, "")]


def test_an_exit_never_exceeds_the_position(host: StubHost) -> None:
    host.entered()
    host.execution.apply_fill(incoming("by hand", -2), late=True)
    host.execution.execute(FLAT)
    assert host.wires(3) == [("MarketOrder", -1, 0.0, host.execution.groups[0])]


def test_after_a_round_trip_nothing_is_left(host: StubHost) -> None:
    host.entered()
    host.fill_order(host.sent[2], 3, 50060)
    assert (host.units, host.execution.groups) == (0, ())
    # 3 shares x 60 cents less two commissions
    assert host.core.account.balance_cents == 100_000_00 + 3 * 60 - 200
    assert [(fill.units, fill.price_ticks, fill.reason) for fill in host.execution.fills] == [
        (3, 50000, "entry"),
        (-3, 50060, "take_profit"),
    ]


def test_a_rejected_stop_closes_the_position(host: StubHost) -> None:
    host.execution.execute(LONG)
    host.accept(host.sent[0])
    host.fill_order(host.sent[0], 3, 50000)
    host.accept(host.sent[2])
    host.reject(host.sent[1])
    assert host.wires(3) == [("MarketOrder", -3, 0.0, host.execution.groups[0])]
    assert host.rows[-1].reason == "protection_lost"


@pytest.mark.parametrize("place", [0, 2])
def test_any_other_rejection_is_only_counted(host: StubHost, place: int) -> None:
    host.execution.execute(LONG)
    if place:
        host.accept(host.sent[0])
        host.fill_order(host.sent[0], 3, 50000)
    sent = len(host.sent)
    host.reject(host.sent[place])
    assert len(host.sent) == sent
    assert host.counted == ["venue: margin"]


# Reversals --------------------------------------------------------------------------------------------------------


def test_a_reversal_enters_only_when_the_old_side_is_closed(host: StubHost) -> None:
    host.entered()
    host.execution.execute(SHORT)
    assert host.wires(3) == [("MarketOrder", -3, 0.0, host.execution.groups[0])]
    assert host.rows[-1].reason == "reverse"
    exit_ = host.sent[3]
    host.accept(exit_)
    host.fill_order(exit_, 1, 49999)
    assert len(host.sent) == 4
    host.fill_order(exit_, 2, 49999)
    assert host.wires(4) == [("MarketOrder", -3, 0.0, "")]
    host.accept(host.sent[4])
    host.fill_order(host.sent[4], 3, 49998)
    assert [wire[:3] for wire in host.wires(5)] == [
        ("StopMarketOrder", 3, 500.38),
        ("LimitOrder", 3, 499.38),
    ]
    assert host.units == -3


def test_a_reversal_enters_after_a_stop_that_fills_first(host: StubHost) -> None:
    host.entered()
    host.execution.execute(SHORT)
    host.accept(host.sent[3])
    host.fill_order(host.sent[1], 3, 49960)
    host.cancel(host.sent[3])
    assert host.wires(4) == [("MarketOrder", -3, 0.0, "")]


def test_a_reversal_waits_for_a_closing_order_that_came_after_a_stop(host: StubHost) -> None:
    host.entered()
    host.execution.execute(SHORT)
    host.accept(host.sent[3])
    host.fill_order(host.sent[1], 3, 49960)
    assert len(host.sent) == 4
    host.fill_order(host.sent[3], 3, 49959)  # the broker filled it too: short, and nobody wanted that
    assert (host.units, len(host.sent)) == (-3, 4)


def test_a_take_profit_accepted_after_its_stop_has_filled_is_cancelled(host: StubHost) -> None:
    host.execution.execute(LONG)
    host.accept(host.sent[0])
    host.fill_order(host.sent[0], 3, 50001)
    stop, target = host.sent[1:]
    host.accept(stop)
    host.fill_order(stop, 3, 49960)
    assert host.withdrawn == [target.client_order_id.value]
    host.accept(target)
    host.execution.on_accepted(target.client_order_id)
    assert host.withdrawn == [target.client_order_id.value] * 2


def test_a_reversal_enters_only_if_it_may_open_then(host: StubHost) -> None:
    host.entered()
    host.allowed = False
    host.execution.execute(SHORT)
    host.accept(host.sent[3])
    host.fill_order(host.sent[3], 3, 49999)
    assert host.moves.count("reversal") == 1
    assert (host.units, len(host.sent)) == (0, 4)


@pytest.mark.parametrize("since", ["refused", "refused, then held", "closed for another reason", "found out late"])
def test_a_reversal_that_did_not_happen_does_not_happen_later(host: StubHost, since: str) -> None:
    host.entered()
    host.execution.execute(SHORT)
    exit_ = host.sent[3]
    if since == "found out late":
        host.accept(exit_)
        host.execution.apply_fill(incoming("lost", -3, 49999, exit_.client_order_id.value), late=True)
        host.execution.apply_fill(incoming("hand", 1), late=False)
        host.execution.apply_fill(incoming("hand again", -1), late=False)
    elif since == "closed for another reason":
        host.accept(exit_)
        host.execution.close_position("risk_halt")
        host.fill_order(exit_, 3, 49999)
    else:
        host.reject(exit_)
        if since == "refused, then held":
            host.execution.execute(LONG)
        host.fill_order(host.sent[1], 3, 49960)
    assert host.units == 0
    assert "reversal" not in host.moves
    assert len(host.sent) == 4


# In flight --------------------------------------------------------------------------------------------------------


def test_orders_are_in_flight_until_acknowledged_and_market_orders_until_filled(host: StubHost) -> None:
    execution = host.execution
    assert not execution.is_in_flight()
    execution.execute(LONG)
    assert execution.is_in_flight()
    host.accept(host.sent[0])
    assert execution.is_in_flight(), "a market order that works is half a position"
    host.fill_order(host.sent[0], 1, 50000)
    host.accept(*host.sent[1:])
    assert execution.is_in_flight()
    host.fill_order(host.sent[0], 2, 50000)
    assert execution.is_in_flight(), "the second pair of barriers is on its way"
    host.accept(*host.sent[3:])
    assert not execution.is_in_flight(), "resting barriers are not in flight"
    execution.execute(FLAT)
    host.reject(host.sent[5])
    host.reject(host.sent[6])
    assert not execution.is_in_flight()


# Resuming ---------------------------------------------------------------------------------------------------------


def resumed(host: StubHost) -> StubHost:
    """Another host on the same core, restored from the journal of the first."""
    again = StubHost(host.core)
    again.cache = host.cache
    again.order_factory.set_client_order_id_count(1000)
    again.execution.restore(host.rows)
    return again


MOVES = ("long", "short", "flat", "accept", "fill one", "fill all", "stop", "late", "by hand")


@settings(max_examples=150)
@given(moves=st.lists(st.sampled_from(MOVES), max_size=25))
def test_a_restored_execution_equals_the_one_that_stopped(moves: list[str]) -> None:
    host = StubHost(new_core())
    for number, move in enumerate(moves):
        live(host, move, number)
    again = resumed(host)
    assert again.execution.fills == host.execution.fills
    assert again.execution.orders == host.execution.orders
    assert again.execution.trades == host.execution.trades
    assert again.execution.groups == host.execution.groups
    assert again.execution.is_in_flight() == host.execution.is_in_flight()
    sent, before = len(host.sent), len(again.sent)
    host.execution.close_position("risk_halt")
    again.execution.close_position("risk_halt")
    assert again.wires(before) == host.wires(sent)
    assert sum(units for _, units, *_ in host.wires(sent)) in (0, -host.units)


def live(host: StubHost, move: str, number: int) -> None:
    """One thing that may happen to an execution."""
    execution = host.execution
    working = [order for order in host.sent if not order.is_closed]
    if move in ("long", "short", "flat"):
        if not execution.is_in_flight():
            execution.execute({"long": LONG, "short": SHORT, "flat": FLAT}[move])
    elif move == "late":
        execution.apply_fill(incoming(f"late{number}", 1), late=True)
    elif move == "by hand":
        execution.apply_fill(incoming(f"hand{number}", -1))
    elif move == "accept":
        host.accept(*(order for order in working if order.is_inflight))
    else:
        kinds = ("StopMarketOrder",) if move == "stop" else ("MarketOrder",)
        chosen = [order for order in working if type(order).__name__ in kinds]
        if chosen:
            left = int(chosen[0].leaves_qty)
            host.accept(*(order for order in chosen[:1] if order.is_inflight))
            host.fill_order(chosen[0], 1 if move == "fill one" else left, 50003)


def test_an_entry_that_fills_after_a_restart_is_protected_too(host: StubHost) -> None:
    host.execution.execute(LONG)
    host.accept(host.sent[0])
    again = resumed(host)
    again.sent.append(host.sent[0])
    again.fill_order(host.sent[0], 3, 50000)
    assert [wire[:3] for wire in again.wires(1)] == [("StopMarketOrder", -3, 499.60), ("LimitOrder", -3, 500.60)]


def test_fills_before_the_session_are_ignored(host: StubHost) -> None:
    host.execution.ignore_fills(["morning"])
    assert not host.execution.apply_fill(incoming("morning", 5), late=True)
    assert (host.units, host.rows) == (0, [])

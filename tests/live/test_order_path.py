"""A real session on a gateway that answers late, wrongly, partly or not at all; asserted is what the broker holds."""

import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from adapters.ibkr.simulator.broker.judgement import BY_HAND
from adapters.ibkr.simulator.broker.matching import Execution
from adapters.ibkr.simulator.broker.orders import WorkingOrder
from adapters.ibkr.simulator.broker.rules import OrderRule
from adapters.ibkr.simulator.faults import FAULTS
from benchmarks.faults.audit import differences, doubled, lost
from benchmarks.faults.bundle import UNITS, Traded, make_traded
from benchmarks.faults.host import LiveHost, hosted
from benchmarks.faults.invariants import TRADING_CLIENT
from run.trade.gateway import CON_ID

DAYS = date(2025, 1, 27), date(2025, 1, 30)
pytestmark = pytest.mark.xdist_group("order_path")


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Traded:
    """A bundle that enters, leaves and reverses every few bars."""
    return make_traded(tmp_path_factory.mktemp("traded"), seed=1)


@pytest.fixture(scope="module")
def shared(traded: Traded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHost]:
    """One session, for all tests that leave it trading."""
    with hosted(traded, tmp_path_factory.mktemp("host"), DAYS) as host:
        assert host.begin(), host.printed.read_text()
        yield host


@pytest.fixture
def host(shared: LiveHost) -> Iterator[LiveHost]:
    """The shared session, with a friendly gateway before and after."""
    if not shared.is_alive():
        assert shared.begin(), shared.printed.read_text()
    yield shared
    shared.gateway.call(lambda server: FAULTS["friendly"](server, 1))


@pytest.fixture
def alone(traded: Traded, tmp_path: Path) -> Iterator[LiveHost]:
    """A session of the test's own."""
    with hosted(traded, tmp_path / "host", DAYS) as host:
        assert host.begin(), host.printed.read_text()
        yield host


def own(host: LiveHost) -> list[WorkingOrder]:
    """The session's working orders at the broker."""
    return host.gateway.call(lambda _: host.broker.working(TRADING_CLIENT))


def kinds(host: LiveHost) -> list[str]:
    return sorted(order.request.orderType for order in own(host))


def holds(host: LiveHost) -> int:
    """Move the market until a whole position is held behind its barriers; the signed units."""
    assert host.step_until(lambda: abs(host.own_units) == UNITS and kinds(host) == ["LMT", "STP"], 3_000)
    return host.own_units


def flat(host: LiveHost) -> None:
    """Move the market until the session is flat and nothing works."""
    assert host.step_until(lambda: host.own_units == 0 and not own(host), 3_000)


def trades(host: LiveHost) -> int:
    return len(host.broker.trades)


def soon(host: LiveHost, is_so: Callable[[], object], seconds: float = 10.0) -> None:
    assert host.pass_time(is_so, seconds, moving=False), (host.own_units, host.units, kinds(host))


def agrees(host: LiveHost) -> None:
    """Session and broker have the same books, and nothing was ever wrong."""
    assert host.pass_time(lambda: not differences(host) and not doubled(host), 15, moving=False), differences(
        host
    ) + doubled(host)
    assert host.invariants.violations == []


# What leaves ------------------------------------------------------------------------------------------------------


def test_an_entry_is_one_bracket_on_the_wire(host: LiveHost) -> None:
    side = 1 if holds(host) > 0 else -1
    entry = max((o for o in host.broker.orders.values() if o.request.orderType == "MKT" and not o.request.ocaGroup),
                key=lambda o: o.order_id)  # fmt: skip
    children = [o for o in host.broker.orders.values() if o.request.parentId == entry.order_id]
    assert (entry.side, entry.units, entry.request.parentId) == (side, UNITS, 0)
    assert sorted((o.request.orderType, o.side, o.request.ocaType) for o in children) == [
        ("LMT", -side, 2), ("STP", -side, 2),
    ]  # fmt: skip
    assert len({o.request.ocaGroup for o in children}) == 1
    agrees(host)


@pytest.mark.parametrize("how", ["killed", "frozen", "cut off"])
def test_from_its_first_unit_on_a_position_has_its_stop_at_the_broker(host: LiveHost, how: str) -> None:
    flat(host)
    naked_s = host.invariants.unprotected_s
    assert host.step_until(lambda: host.broker.working() or host.own_units, 3_000)
    begun_ns = time.time_ns()
    {"killed": host.kill, "frozen": host.stop, "cut off": lambda: host.fault("drop")}[how]()
    for _ in range(10):
        host.step()
    if how == "killed":
        assert host.begin(), host.printed.read_text()
    elif how == "frozen":
        host.go_on()
    assert host.pass_time(
        lambda: host.is_subscribed() and host.knows(begun_ns if how != "frozen" else 0), 60, moving=False
    )
    agrees(host)
    assert host.invariants.unprotected_s == pytest.approx(naked_s, abs=0.05)


# Fills ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["lost_commission", "commission_unset", "commission_pending", "late_commission"])
def test_a_fill_does_not_wait_for_its_commission(host: LiveHost, fault: str) -> None:
    flat(host)
    host.fault(fault, 100 if fault.startswith("lost") else 3_000)
    before = trades(host)
    assert host.step_until(lambda: trades(host) > before and host.own_units, 3_000)
    soon(host, lambda: host.tail.poll() or host.position() == host.own_units, 2)
    assert host.is_alive()
    host.gateway.call(lambda server: FAULTS["friendly"](server, 1))
    host.gateway.call(lambda server: FAULTS["drop"](server, 1))  # after a reconnect everything is asked for
    since = time.time_ns()
    assert host.pass_time(lambda: host.knows(since), 60, moving=False)
    agrees(host)


def test_an_execution_that_is_never_told_is_learnt_from_the_orders_status(host: LiveHost) -> None:
    flat(host)
    host.fault("lost_execution", 100)
    assert host.step_until(lambda: host.own_units, 3_000)
    soon(host, lambda: host.tail.poll() or host.position() == host.own_units, 3)
    host.fault("lost_execution", 0)
    agrees(host)


def test_statuses_before_executions_and_everything_twice_change_nothing(host: LiveHost) -> None:
    host.fault("status_first", 1)
    for channel in ("execution", "order_status", "commission", "position", "open_order"):
        host.fault(f"repeated_{channel}", 2)
    before = trades(host)
    assert host.step_until(lambda: trades(host) >= before + 6, 4_000)
    agrees(host)


def test_a_correction_counts_once_also_where_only_a_later_request_shows_it(host: LiveHost) -> None:
    holds(host)
    host.fault("correct_price", 1)
    since = time.time_ns()
    host.fault("drop")
    assert host.pass_time(lambda: host.knows(since), 60, moving=False)
    agrees(host)
    assert host.is_alive()


def test_a_correction_of_units_that_only_a_later_request_shows_is_what_is_held(host: LiveHost) -> None:
    side = 1 if holds(host) > 0 else -1
    host.fault("correct_unseen", -1)
    since = time.time_ns()
    host.fault("drop")
    assert host.pass_time(lambda: host.knows(since), 60, moving=False)
    soon(host, lambda: {order.remaining for order in own(host) if order.request.orderType == "STP"} == {UNITS - 1})
    assert host.own_units == side * (UNITS - 1)
    agrees(host)


def test_an_entry_in_pieces_with_the_connection_lost_is_covered(host: LiveHost) -> None:
    flat(host)
    host.fault("fill_pieces", 3)
    host.fault("drop_on_fill", 1)
    since = time.time_ns()
    assert host.step_until(lambda: host.own_units, 3_000)
    host.gateway.call(lambda server: setattr(server.gateway, "before_fills", None))
    assert host.pass_time(lambda: host.is_subscribed() and host.knows(since), 60, moving=False)
    agrees(host)
    assert host.is_alive(), "what was not sent is no reject"


# Exits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [0, 1, 2, 3])
def test_positions_are_left_whatever_a_group_does(host: LiveHost, groups: int) -> None:
    flat(host)
    host.fault("groups", groups)
    before = trades(host)
    assert host.step_until(lambda: trades(host) >= before + 4, 6_000)
    flat(host)
    agrees(host)


@pytest.mark.parametrize("code", [200, 201, 460])
def test_while_every_exit_is_refused_the_stop_stays_and_nothing_halts(host: LiveHost, code: int) -> None:
    refusals = lambda: sum(f"({code})" in state["reason"] for state in host.tail.states)  # noqa: E731
    holds(host)
    before = refusals()
    host.fault("exit_errors", code)
    assert host.step_until(lambda: host.tail.poll() or refusals() > before, 3_000), "the broker's code is said"
    host.step(50)
    if host.own_units:
        assert "STP" in kinds(host)
    assert host.is_alive()
    host.fault("exit_errors", 0)
    flat(host)
    agrees(host)


@pytest.mark.parametrize("answer", [201, "inactive"])
def test_a_stop_that_stops_working_closes_the_position(host: LiveHost, answer: int | str) -> None:
    flat(host)
    rule = OrderRule(answer, "activate" if answer == 201 else "place", kinds=("STP",))
    host.gateway.call(lambda server: server.gateway.broker.answers.add(rule))
    before = trades(host)
    assert host.step_until(lambda: trades(host) > before, 3_000)
    soon(host, lambda: host.own_units == 0 and not own(host))
    agrees(host)


@pytest.mark.parametrize("fault", ["dropped_cancel", "pending_cancel", "cancel_error"])
def test_a_cancel_without_its_end_doubles_nothing(host: LiveHost, fault: str) -> None:
    holds(host)
    host.fault(fault, 10148 if fault == "cancel_error" else 1)
    host.step(200)
    assert abs(host.own_units) <= UNITS
    host.gateway.call(lambda server: server.gateway.broker.answers.clear())
    agrees(host)


def test_what_a_stop_has_filled_is_not_closed_again_though_both_messages_are_lost(alone: LiveHost) -> None:
    side = 1 if holds(alone) > 0 else -1
    agrees(alone)
    for channel in ("execution", "order_status", "open_order"):
        alone.fault(f"lost_{channel}", 100)  # only what nobody asked for

    def fill_a_part(_: object) -> None:
        (stop,) = (order for order in alone.broker.working(TRADING_CLIENT) if order.request.orderType == "STP")
        alone.broker._fill(stop, Execution(1, alone.broker.quotes[stop.terms.con_id].ticks))
        alone.gateway.gateway.deliver()

    alone.gateway.call(fill_a_part)
    assert alone.own_units == side * (UNITS - 1)
    assert alone.end() == 0  # within the second in which nothing else asks the broker
    assert differences(alone) == []
    assert (alone.own_units, own(alone), doubled(alone)) == (0, [], [])


def test_a_closing_order_whose_cancel_never_ends_is_the_only_one(alone: LiveHost) -> None:
    side = 1 if holds(alone) > 0 else -1
    agrees(alone)
    alone.fault("halt", 1)
    alone.fault("pending_cancel", 100)
    assert alone.process is not None
    alone.process.terminate()
    said = lambda: [s for s in alone.tail.states if s["to"] == "not cancelled"]  # noqa: E731
    assert alone.pass_time(lambda: alone.tail.poll() or said(), 25, moving=False)
    assert [(o.side, o.remaining) for o in own(alone) if o.request.orderType == "MKT"] == [(-side, UNITS)]
    assert "STP" in kinds(alone)
    alone.fault("halt", 0)
    assert alone.process.wait(60) == 0
    assert differences(alone) == []
    assert (alone.own_units, own(alone), doubled(alone)) == (0, [], [])


@pytest.mark.parametrize("code", [103, 110, 200, 201, 203, 321, 460, 10289, 10293])
def test_a_refused_entry_leaves_nothing(host: LiveHost, code: int) -> None:
    flat(host)
    before = trades(host)
    host.fault("market_error", code)
    host.step_until(lambda: not host.broker.answers or trades(host) > before, 1_000)
    soon(host, lambda: (host.own_units == 0) == (not own(host)))
    assert host.is_alive()
    agrees(host)


def test_a_stop_of_a_refused_entry_is_known_to_be_gone_though_its_refusal_is_lost(host: LiveHost) -> None:
    flat(host)
    for rule in (OrderRule(201, kinds=("MKT",)), OrderRule("dropped", kinds=("STP",))):
        host.gateway.call(lambda server, rule=rule: server.gateway.broker.answers.add(rule))
    assert host.step_until(lambda: not host.broker.answers, 3_000)
    soon(host, lambda: not lost(host, [])[0])
    agrees(host)


def test_an_entry_that_hangs_half_filled_does_not_outlive_the_session(alone: LiveHost) -> None:
    flat(alone)
    alone.fault("partial_fills", 1)
    assert alone.step_until(lambda: 0 < abs(alone.own_units) < UNITS, 3_000)
    agrees(alone)
    assert alone.process is not None
    alone.process.terminate()
    assert alone.pass_time(lambda: not alone.is_alive(), 60)
    assert alone.process.returncode == 0
    assert (alone.own_units, own(alone)) == (0, [])


@pytest.mark.parametrize("code", [399, 10349])
def test_a_notice_is_no_refusal(host: LiveHost, code: int) -> None:
    flat(host)
    before = trades(host)
    host.fault("market_error", code)
    assert host.step_until(lambda: trades(host) > before, 3_000)
    agrees(host)


def test_a_dropped_order_is_given_up_and_cannot_come_later(host: LiveHost) -> None:
    flat(host)
    host.fault("dropped_order", 1)
    assert host.step_until(lambda: not host.broker.answers, 3_000)
    assert host.pass_time(lambda: not own(host) and host.tail.poll() is None and host.knows(), 20, moving=False)
    before = trades(host)
    assert host.step_until(lambda: trades(host) >= before + 2, 4_000)
    agrees(host)


# Positions and others ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "value"), [("late_position", 5_000), ("stale_positions", 5_000), ("late_answers", 500)]
)
def test_old_positions_sell_nothing_twice(host: LiveHost, fault: str, value: int) -> None:
    host.fault(fault, value)
    before = trades(host)
    assert host.step_until(lambda: trades(host) >= before + 3, 2_000) or host.is_alive()
    host.gateway.call(lambda server: FAULTS["friendly"](server, 1))
    agrees(host)
    assert abs(host.own_units) <= UNITS


def test_orders_made_by_hand_change_nothing(host: LiveHost) -> None:
    holds(host)
    for name in ("hand_order", "hand_order_elsewhere", "client_order"):
        host.fault(name, 1)
    host.fault("foreign_told", 1)
    before = trades(host)
    host.pass_time(lambda: False, 5.0, moving=False)
    assert trades(host) == before
    foreign = host.gateway.call(lambda _: [o for o in host.broker.working() if o.client_id != TRADING_CLIENT])
    assert len(foreign) == 3, "none was cancelled"
    assert host.step_until(lambda: trades(host) >= before + 3, 4_000), "it trades on"
    agrees(host)


def test_holdings_elsewhere_on_the_account_change_nothing(host: LiveHost) -> None:
    for name, value in (("fraction", 105), ("euro_position", 5), ("hand_trade_elsewhere", 100), ("second_account", 3)):
        host.fault(name, value)
    elsewhere = {con_id: held.units for con_id, held in host.broker.account.holdings.items() if con_id != CON_ID}
    before = trades(host)
    assert host.step_until(lambda: trades(host) >= before + 3, 4_000), "it trades on"
    agrees(host)
    assert elsewhere == {c: held.units for c, held in host.broker.account.holdings.items() if c != CON_ID}


def test_orders_made_by_hand_before_the_start_do_not_keep_it_from_starting(traded: Traded, tmp_path: Path) -> None:
    with hosted(traded, tmp_path / "host", DAYS) as early:
        for name in ("hand_order", "hand_order_elsewhere"):
            early.fault(name, 1)
        assert early.begin(), early.printed.read_text()
        holds(early)
        by_hand = early.gateway.call(lambda _: [o for o in early.broker.working() if o.client_id == BY_HAND])
        assert len(by_hand) == 2


def test_what_the_owner_buys_is_never_sold(alone: LiveHost) -> None:
    side = 1 if holds(alone) > 0 else -1
    alone.fault("hand_trade", 10 * side)
    alone.step(150)
    assert alone.is_alive()
    assert alone.end() == 0
    assert alone.units == 10 * side
    assert own(alone) == []
    assert all(trade.client_id in (TRADING_CLIENT, BY_HAND) for trade in alone.broker.trades)


def test_what_the_owner_closes_is_not_bought_back(alone: LiveHost) -> None:
    alone.fault("hand_trade", -holds(alone))
    soon(alone, lambda: not own(alone))
    before = trades(alone)
    alone.step(200)
    assert (alone.units, own(alone), trades(alone)) == (0, [], before)
    assert alone.is_alive()

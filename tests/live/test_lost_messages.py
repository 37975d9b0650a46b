"""Both messages of a fill lost while the connection stays up, and cancels whose end is never told."""

import pytest

from rl_strategies.live.execution.own_orders import CANCEL_LIFE_S
from tests.live.stub_host import CLOSE_NS, FLAT, NS, StubHost, new_core


@pytest.fixture
def host() -> StubHost:
    """Long three shares behind their barriers; the broker answers no request for executions."""
    host = StubHost(new_core()).entered()
    host.tells = False
    return host


def exits(host: StubHost) -> list[tuple[str, int]]:
    """Market orders sent since the bracket."""
    return [(kind, units) for kind, units, *_ in host.wires(3)]


def all_told(host: StubHost, before_s: float = 0.0) -> None:
    """The answer to a request for executions that was made so many seconds before has come to its end."""
    host.execution.on_told(host.clock.timestamp_ns() - int(before_s * NS))


# An exit is backed by what the broker has told -----------------------------------------------------------------------


def test_an_exit_waits_until_every_execution_of_the_position_is_told(host: StubHost) -> None:
    host.execution.execute(FLAT)
    assert host.questions == [(CLOSE_NS + 99, ["x1"])], "since the entry's, which must be in the answer"
    host.cancel_all(host.sent[1])
    assert exits(host) == []
    all_told(host)
    assert exits(host) == [("MarketOrder", -3)]


@pytest.mark.parametrize("units", [1, 3])
def test_an_exit_is_for_what_a_stop_has_left_that_filled_unheard(host: StubHost, units: int) -> None:
    host.execution.execute(FLAT)
    host.cancel_all(host.sent[1])
    host.execute(host.sent[2], units, 49960)  # by the answer alone: execution and status were lost
    all_told(host)
    assert exits(host) == ([("MarketOrder", -2)] if units == 1 else [])
    assert host.units == 3 - units


def test_an_answer_to_a_request_from_before_does_not_count(host: StubHost) -> None:
    host.wait(5.0)
    host.execution.execute(FLAT)
    host.cancel_all(host.sent[1])
    all_told(host, before_s=0.1)
    assert exits(host) == []


def test_an_answer_counts_for_a_moment_alone(host: StubHost) -> None:
    host.execution.execute(FLAT)
    host.wait(0.1)
    all_told(host, before_s=0.1)
    host.wait(1.2)  # nothing of the take profit's cancel; what is filled meanwhile is not known
    assert exits(host) == []
    assert len(host.questions) == 2, "asked again"
    all_told(host, before_s=0.1)
    assert exits(host) == [("MarketOrder", -3)]


def test_every_attempt_asks_anew(host: StubHost) -> None:
    host.execution.execute(FLAT)
    host.cancel_all(host.sent[1])
    all_told(host)
    host.wait(0.1)
    host.reject(host.sent[3])
    all_told(host, before_s=0.1)
    host.wait(0.6)
    assert exits(host) == [("MarketOrder", -3)]
    all_told(host)
    assert exits(host) == [("MarketOrder", -3)] * 2


def test_without_an_answer_it_leaves_late_and_says_so(host: StubHost) -> None:
    host.execution.execute(FLAT)
    host.cancel_all(host.sent[1])
    for _ in range(9):
        host.wait(1.1)
    assert exits(host) == []
    assert 9 <= len(host.questions) <= 10, "once a second"
    host.wait(0.2)
    assert exits(host) == [("MarketOrder", -3)]
    assert "has not told its executions" in host.warned[-1]


def test_a_fill_known_from_its_status_alone_asks_for_the_whole_day() -> None:
    host = StubHost(new_core())
    host.execution.execute(FLAT._replace(side=1, units=3))
    host.accept(*host.sent)
    host.status(host.sent[0], "Filled", filled=3)
    host.wait(0.6)
    host.execution.execute(FLAT)
    assert host.questions[-1][0] == 0


def test_a_stop_that_ended_unheard_is_replaced_only_once_its_fill_would_be_known(host: StubHost) -> None:
    host.cancel_all(host.sent[2])
    host.wait(0.6)
    assert exits(host) == []
    all_told(host)
    assert exits(host) == [("StopMarketOrder", -3)]


def test_a_position_is_not_left_bare_for_an_answer_that_does_not_come(host: StubHost) -> None:
    host.cancel_all(host.sent[2])
    host.wait(2.9)
    assert exits(host) == []
    host.wait(0.2)
    assert exits(host) == [("StopMarketOrder", -3)]


# A cancel that never ends ---------------------------------------------------------------------------------------------


def listed(host: StubHost, *places: int) -> list[str]:
    """The broker lists these orders as working; those that are kept in spite of their cancel."""
    names = [host.sent[place].client_order_id.value for place in places]
    return host.execution.book.keep_listed(names, host.clock.timestamp_ns())


def test_beside_a_stop_that_is_being_cancelled_there_is_no_second_one(host: StubHost) -> None:
    host.tells = True
    host.status(host.sent[2], "PendingCancel")
    host.wait(CANCEL_LIFE_S - 0.1)
    assert (exits(host), listed(host, 1, 2)) == ([], [])
    assert not host.execution.is_protected, "its end may be told any moment"
    assert host.execution.is_in_flight()
    host.wait(0.2)
    assert listed(host, 1, 2) == [host.sent[2].client_order_id.value]
    assert host.execution.is_protected, "it works on"
    assert not host.execution.is_in_flight(), "decisions go on"
    host.cancel_all(host.sent[2])
    host.wait(0.6)
    assert exits(host) == [("StopMarketOrder", -3)]


def test_an_exit_beside_a_stop_that_cannot_be_cancelled_stays_in_its_group(host: StubHost) -> None:
    host.tells = True
    host.execution.execute(FLAT)
    host.cancel_all(host.sent[1])
    host.accept(host.sent[3])
    host.wait(2.1)  # held back in the group
    host.cancel_all(host.sent[3])
    host.status(host.sent[2], "PendingCancel")
    host.wait(CANCEL_LIFE_S - 0.1)
    assert (exits(host), listed(host, 2)) == ([("MarketOrder", -3)], [])
    host.wait(0.2)
    assert listed(host, 2) == [host.sent[2].client_order_id.value]
    host.wait(0.1)
    host.wait(0.6)  # a pause between attempts
    assert host.wires(3)[1:] == [host.wires(3)[0]], "in the stop's group: one reduces the other"


def test_while_an_order_may_fill_that_cannot_be_cancelled_nothing_is_opened(host: StubHost) -> None:
    host.tells = True
    host.execution.execute(FLAT)
    host.status(host.sent[1], "PendingCancel")
    host.wait(1.1)
    host.fill_order(host.sent[3], 3, 49990)
    host.cancel_all(host.sent[2])
    host.wait(60.0)
    listed(host, 1)
    assert host.execution.is_in_flight()
    host.fill_order(host.sent[1], 3, 50060)  # it fills all the same: what it opened is closed
    assert host.wires(4) == [("MarketOrder", 3, 0.0, "")]


def test_a_closing_order_that_cannot_be_cancelled_is_the_only_one(host: StubHost) -> None:
    host.tells = True
    host.execution.execute(FLAT)
    host.cancel_all(host.sent[1])
    host.accept(host.sent[3])
    host.wait(2.1)
    host.status(host.sent[3], "PendingCancel")
    for _ in range(60):
        host.wait(1.0)
        listed(host, 2, 3)
    assert exits(host) == [("MarketOrder", -3)]
    assert host.execution.is_protected
    assert host.cancelled.count(host.sent[3].client_order_id.value) >= 3, "it is tried again"

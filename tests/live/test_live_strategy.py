"""The guards around a live session's decisions: who may decide, who may open, and what must be closed."""

import asyncio
import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_strategies.live.journal.journal import read_journal
from tests.live.bars import MINUTE_NS
from tests.live.resumable_session import DAYS, ResumableSession

FIRST = 385  # five bars of the first day, then the second


def states(session: ResumableSession, what: str) -> list[tuple[str, str]]:
    """Changes of one kind in the journal: to what, and why."""
    rows = read_journal(session.journal).rows.to_pylist()
    found = [json.loads(row["text"]) for row in rows if row["kind"] == "state"]
    return [(state["to"], state["reason"]) for state in found if state["what"] == what]


def entered(folder: Path, level: str = "normal") -> ResumableSession:
    """A session that holds something."""
    session, chance = ResumableSession(folder, level), np.random.default_rng(3)
    bar = FIRST
    while session.units == 0:
        session.trade(chance, bar, 1)
        bar += 1
        assert bar < FIRST + 60
    session.bar = bar  # type: ignore[attr-defined]
    return session


def test_while_the_position_is_unknown_nothing_is_decided(tmp_path: Path) -> None:
    session = entered(tmp_path)
    decided, sent, before = session.strategy.decisions, len(session.cache.orders()), session.strategy.policy.snapshot()
    session.strategy.reconciler.known = False
    session.trade(np.random.default_rng(1), session.bar, 3)
    assert (session.strategy.decisions, session.strategy.refusals["unknown_position"]) == (decided, 3)
    assert session.strategy.policy.snapshot().tobytes() == before.tobytes(), "the policy has seen nothing"
    assert len(session.cache.orders()) == sent
    assert states(session, "decision") == [("skipped", "unknown_position")] * 3
    session.strategy.reconciler.known = True
    session.trade(np.random.default_rng(1), session.bar + 3, 1)
    assert session.strategy.decisions == decided + 1


@pytest.mark.parametrize("why", ["disconnected", "risk_halted", "ending"])
def test_nothing_is_decided_when_it_may_not_be(tmp_path: Path, why: str) -> None:
    session = entered(tmp_path)
    decided = session.strategy.decisions
    if why == "disconnected":
        session.strategy._link.is_connected = lambda: False
    elif why == "risk_halted":
        session.strategy.halt("the broker holds 2 units, the session 0")
    else:
        assert asyncio.run(session.strategy.protection.wind_down(flatten=False))
    session.trade(np.random.default_rng(1), session.bar, 2)
    assert (session.strategy.decisions, session.strategy.refusals[why]) == (decided, 2)
    assert not session.strategy.may_open()


def test_in_reduce_only_decisions_go_on_and_nothing_is_opened(tmp_path: Path) -> None:
    session = ResumableSession(tmp_path, "reduce_only")
    session.trade(np.random.default_rng(3), FIRST, 40)
    assert session.strategy.decisions == 35
    assert (session.units, session.cache.orders()) == (0, [])
    assert session.strategy.refusals["risk_reduce_only"] > 5
    assert ("reduced", "") in states(session, "permit")
    shown = [row["target"] for table, row in session.published if table == "decisions"]
    assert set(shown) == {0}, "telemetry shows what was permitted"


def test_in_reduce_only_positions_are_still_closed(tmp_path: Path) -> None:
    session = entered(tmp_path)
    session.restrict("reduce_only")
    chance = np.random.default_rng(8)
    for bar in range(session.bar, session.bar + 40):
        session.trade(chance, bar, 1)
    reasons = {fill.reason for fill in session.strategy.execution.fills}
    assert session.units == 0
    assert reasons & {"signal", "reverse", "time_limit"}
    assert [fill.reason for fill in session.strategy.execution.fills].count("entry") <= 2, "parts of the one before"


def test_in_flatten_closing_is_tried_until_it_succeeds(tmp_path: Path) -> None:
    session = entered(tmp_path)
    held, sent = session.units, len(session.cache.orders())
    session.strategy.protection.enforce()
    assert len(session.cache.orders()) == sent, "nothing is wrong yet"
    session.restrict("flatten")
    session.strategy.protection.enforce()
    session.strategy.protection.enforce()
    session.confirm_cancels()
    assert sum(int(order.quantity) for order in session.pending) == abs(held), "once while it is under way"
    session.refuse()
    session.clock.set_time(session.clock.timestamp_ns() + 10**9)
    session.strategy.execution.poll()
    session.settle(np.random.default_rng(1), 50000)
    assert session.units == 0
    assert session.strategy.execution.fills[-1].reason == "risk_halt"


def test_a_halted_session_gives_up_a_protected_position_only_once_the_markets_session_is_over(tmp_path: Path) -> None:
    session = entered(tmp_path)
    assert session.strategy.protection.is_protected()
    session.strategy.halt("nobody knows")
    protection, last_ns = session.strategy.protection, session.strategy.core.last_flat_ns
    wall_ns = itertools.count(2 * last_ns, 30 * 10**9)  # this machine's clock, long after the replayed session
    protection._wall_ns = lambda: next(wall_ns)

    async def leave(market_ns: int) -> bool:
        protection._market_ns = lambda: market_ns
        protection._tasks = {"SPY.EQUS": asyncio.create_task(asyncio.sleep(10))}  # nothing is closed
        async with asyncio.timeout(0.5):
            return await protection.leave(60.0)

    with pytest.raises(TimeoutError):
        asyncio.run(leave(last_ns - 1))
    assert not asyncio.run(leave(last_ns)), "a minute after the end"


def test_a_halted_session_leaves_the_market_before_it_ends(tmp_path: Path) -> None:
    session = entered(tmp_path)
    session.strategy.halt("nobody knows")
    assert states(session, "risk") == [("halted", "nobody knows")]

    async def leave() -> bool:
        left = asyncio.create_task(session.strategy.protection.leave(60.0))
        session.strategy.protection._tasks = {"SPY.EQUS": left}  # a guard of the test's own
        await asyncio.sleep(0)
        session.strategy.protection.enforce()
        session.settle(np.random.default_rng(1), 50000)
        session.strategy.reconciler.is_flat = True
        return await left

    assert asyncio.run(leave())
    assert session.units == 0
    assert session.strategy.execution.fills[-1].reason == "risk_halt"


def test_an_ordered_end_closes_the_position(tmp_path: Path) -> None:
    session = entered(tmp_path)

    async def end() -> bool:
        ended = asyncio.create_task(session.strategy.protection.wind_down(flatten=True, timeout_s=5.0))
        await asyncio.sleep(0)
        session.strategy.protection.enforce()
        session.settle(np.random.default_rng(1), 50000)
        session.strategy.reconciler.is_flat = True
        return await ended

    assert asyncio.run(end())
    assert session.units == 0
    assert session.strategy.execution.fills[-1].reason == "end_of_session"


async def checked_again(session: ResumableSession) -> None:
    """Wait until the end of the session has been checked twice more, however long that takes."""
    checks, execution = 0, session.strategy.execution
    is_in_flight = execution.is_in_flight

    def counted() -> bool:
        nonlocal checks
        checks += 1
        return is_in_flight()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "is_in_flight", counted)
        while checks < 2:
            await asyncio.sleep(0)


@pytest.mark.parametrize("closes", [False, True])
def test_an_end_that_the_broker_does_not_confirm_fails(tmp_path: Path, closes: bool) -> None:
    session = entered(tmp_path)

    async def end() -> bool:
        ended = asyncio.create_task(session.strategy.protection.wind_down(flatten=True, timeout_s=5.0))
        await asyncio.sleep(0)
        if closes:
            session.strategy.protection.enforce()
            session.settle(np.random.default_rng(1), 50000)
        session.strategy.reconciler.is_flat = False
        await checked_again(session)
        session.clock.set_time(session.clock.timestamp_ns() + 6 * 10**9)
        return await ended

    assert not asyncio.run(end())
    assert (session.units == 0) is closes


def test_before_the_close_positions_are_closed_by_the_market_clock(tmp_path: Path) -> None:
    session = ResumableSession(tmp_path)
    session.trade(np.random.default_rng(3), FIRST, 5)
    session.trade(np.random.default_rng(5), 745, 35)  # to the last bar
    closes = [fill for fill in session.strategy.execution.fills if fill.reason == "end_of_session"]
    flat_ns = DAYS[1] + 385 * MINUTE_NS  # five minutes before the close
    assert {fill.ts_ns for fill in closes} == {flat_ns}
    assert all(fill.ts_ns <= flat_ns for fill in session.strategy.execution.fills)
    assert session.units == 0
    assert session.strategy.decisions == 774 - 745


def test_fills_and_refusals_of_the_node_alone_change_nothing(tmp_path: Path) -> None:
    session = entered(tmp_path)
    fills, entry = len(session.strategy.execution.fills), session.strategy.execution._entry
    session.strategy.on_order_filled(SimpleNamespace(reconciliation=True))
    session.link.wire_ns = lambda name: 1  # it left this process
    rejected = SimpleNamespace(client_order_id=SimpleNamespace(value=entry.name), reason="UNKNOWN")
    session.strategy.on_order_rejected(rejected)
    assert len(session.strategy.execution.fills) == fills
    assert session.strategy.traded[0].rejects == 0


def test_others_in_the_contract_make_the_session_reduce_only(tmp_path: Path) -> None:
    session = entered(tmp_path)
    held = session.units
    side = 1 if held > 0 else -1
    fill = SimpleNamespace(trade_id="hand", order_ref="", ts_ns=1, units=side * 10, price=500.0)
    session.strategy.execution.on_execution(fill)
    assert (session.units, session.strategy.traded[0].may_open()) == (held, False)
    assert session.strategy.problem.startswith(f"others trade SPY.EQUS ({side * 10:+d}): reduce-only")
    session.die()
    again = ResumableSession(tmp_path)
    assert (again.units, again.strategy.execution.foreign.units, again.strategy.traded[0].may_open()) == (
        held,
        side * 10,
        False,
    )
    again.strategy.execution.on_execution(fill)
    assert again.strategy.execution.foreign.units == side * 10, "told again after the restart"


@settings(max_examples=6)
@given(seed=st.integers(0, 10**6))
def test_a_session_with_unknown_positions_is_resumed_like_any_other(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    session, chance = ResumableSession(tmp_path_factory.mktemp("doubts")), np.random.default_rng(seed)
    for bar in range(FIRST, FIRST + 40):
        session.strategy.reconciler.known = bool(chance.random() < 0.7)
        session.trade(chance, bar, 1)
    session.die()
    again = ResumableSession(session.journal.parent)
    assert again.state() == session.state()
    assert again.strategy.decisions == session.strategy.decisions < 35

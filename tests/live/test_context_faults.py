"""`rl-intraday paper` as a process of its own, its context harmed: what it decides on stays what a backtest has."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest

from adapters.ibkr.simulator.market import Step
from benchmarks.faults.audit import differences
from benchmarks.faults.bundle import Traded
from benchmarks.faults.host import LiveHost, hosted
from rl_strategies.live.journal.journal import read_journal
from run.trade.gateway import CON_ID
from run.trade.replay.session import Replay, replay_session
from tests.live.conftest import PAPER_DAY
from tests.live.context_day import CONTRACTS, make_beside

pytestmark = [pytest.mark.xdist_group("context-faults"), pytest.mark.slow]
DAY = date.fromisoformat(PAPER_DAY)
AAPL = "{symbol: AAPL, kind: STK, exchange: SMART}"
BAR = 15  # steps of a minute: five of each contract


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Traded:
    """A bundle that reads SPY, QQQ and VIX."""
    return make_beside(tmp_path_factory.mktemp("beside"))


@pytest.fixture(scope="module")
def host(beside: Traded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHost]:
    """One session, for all tests in their order; the contracts of its context stand in its configuration."""
    more = f"context: {{contracts: {{{CONTRACTS}}}, catalog: {beside.catalog}}}"
    with hosted(beside, tmp_path_factory.mktemp("host"), (DAY, DAY), more, contract=AAPL) as host:
        assert host.begin(), host.printed.read_text()
        host.step(6 * BAR)
        yield host


@contextmanager
def muted(host: LiveHost, number: int) -> Iterator[None]:
    """No live bars of a followed contract; history has them."""
    gateway = host.gateway.gateway
    feed = gateway._feed

    def silent(step: Step, quote: Any) -> None:
        if step.con_id != CON_ID + number:
            feed(step, quote)

    gateway._feed = silent  # type: ignore[method-assign]
    try:
        yield
    finally:
        gateway._feed = feed  # type: ignore[method-assign]


def rows(host: LiveHost, kind: str, name: str = "") -> list[dict[str, Any]]:
    """Rows of the session's journal."""
    found = read_journal(host.home.last_journal()).rows.to_pylist()
    return [row for row in found if row["kind"] == kind and name in ("", row["instrument_id"])]


def decides(host: LiveHost) -> None:
    """A minute to come to rest, and three more, each of them decided on."""
    host.step(BAR)
    host.pass_time(lambda: False, 1.0, moving=False)
    before = len(rows(host, "observation"))
    host.step(3 * BAR)
    assert host.pass_time(lambda: len(rows(host, "observation")) >= before + 3, 20, moving=False, pause_s=0.2)


def replayed(host: LiveHost, beside: Traded) -> Replay:
    """The session so far, gone through again."""
    return replay_session(host.home.last_journal().parent, beside.catalog)


def causes(replay: Replay) -> set[str]:
    """Of all divergences but those of executions: between two steps of this market nobody waits for a decision."""
    return {each.cause for each in replay.divergences if each.cause != "fill"}


def test_with_all_bars_every_minute_is_decided_on(host: LiveHost, beside: Traded) -> None:
    decides(host)
    assert {row["instrument_id"] for row in rows(host, "context")} == {"SPY", "QQQ", "VIX"}
    assert causes(replayed(host, beside)) <= {"state"}


def test_bars_that_do_not_come_are_fetched_for_the_very_minute(host: LiveHost, beside: Traded) -> None:
    with muted(host, 2):
        for _ in range(3):
            host.step(BAR)
            host.pass_time(lambda: False, 1.0, moving=False)
    decides(host)
    assert not [each for each in replayed(host, beside).divergences if each.cause in ("data", "feature")]


def test_bars_that_come_twice_or_late_change_nothing(host: LiveHost, beside: Traded) -> None:
    for fault in ("duplicate_bar", "stale_bar"):
        host.fault(fault)
        host.step(BAR)
    decides(host)
    assert not [each for each in replayed(host, beside).divergences if each.cause in ("data", "feature")]


def test_killed_it_goes_on_bit_for_bit(host: LiveHost, beside: Traded) -> None:
    host.kill()
    host.step(2 * BAR)
    assert host.begin(), host.printed.read_text()
    decides(host)
    assert host.pass_time(lambda: not differences(host), 10, moving=False), differences(host)
    replay = replayed(host, beside)
    late = {each.made for each in replay.divergences if each.cause == "data"}
    assert late <= {"taken"}, "minutes that nobody was there for"
    assert not [each for each in replay.divergences if each.cause == "feature"]


def test_after_a_drop_the_gaps_of_all_are_filled(host: LiveHost, beside: Traded) -> None:
    began_ns = time.time_ns()
    host.fault("drop")
    host.step(4 * BAR)
    assert host.pass_time(lambda: host.is_subscribed() and host.knows(began_ns), 60, moving=False)
    decides(host)
    replay = replayed(host, beside)
    assert {each.made for each in replay.divergences if each.cause == "data"} <= {"taken"}
    assert not [each for each in replay.divergences if each.cause == "feature"]
    assert len(rows(host, "context", "QQQ")) == len({row["ts_ns"] for row in rows(host, "context", "QQQ")})


def test_without_history_nothing_is_decided_until_it_answers(host: LiveHost, beside: Traded) -> None:
    host.fault("no_history", 1)
    with muted(host, 1):
        host.step(BAR)
        host.pass_time(lambda: False, 2.0, moving=False)
        before = len(rows(host, "observation"))
        host.step(2 * BAR)
        host.pass_time(lambda: False, 2.0, moving=False)
        assert len(rows(host, "observation")) == before
    host.fault("no_history", 0)
    decides(host)
    replay = replayed(host, beside)
    said = {each.written for each in replay.divergences if each.cause == "data"}
    assert "not taken: context_late" in said
    assert not [each for each in replay.divergences if each.cause == "feature"]


def test_it_ends_in_order(host: LiveHost) -> None:
    assert host.end() == 0
    assert host.units == 0

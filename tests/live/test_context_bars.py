"""A traded bar and the context of its minute arrive in any order, late or not at all: what is processed, and when."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogs.daily_values import context_path, write_context
from catalogs.instruments.specification import resolve
from configs import instruments_path
from rl_strategies.decision.core import DecisionCore
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.live.data import bar_feed, context_bars
from rl_strategies.live.data.bar_feed import BlindError
from rl_strategies.live.data.context_stream import ContextStream
from rl_strategies.live.journal.journal import read_journal
from rl_strategies.live.journal.rebuild import JournalReplay, journal_rows
from rl_strategies.policy.policies import OnnxPolicy
from tests.live.bars import MINUTE_NS, bar_at, utc_ns
from tests.live.resumable_session import network
from tests.live.two_markets import DAY, MARKET, Session, beside, make

Script = Callable[[Session], Awaitable[None]]


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Session]:
    """``played(script)``: a session after its warm-up, its first minute and a script."""
    monkeypatch.setattr(bar_feed, "RETRY_S", 0.0)
    monkeypatch.setattr(context_bars, "RETRY_S", 0.005)

    def run(
        script: Script, lag_s: int = 0, max_age_s: int = 300, daily: bool = False, catalog: Path | None = None
    ) -> Session:
        async def live() -> Session:
            session = make(tmp_path, lag_s, max_age_s, daily, catalog, MARKET)
            await session.market_data.warm_up()
            session.own(1)
            session.other(1)
            await until(lambda: session.taker.decided == [1])
            session.link.asked.clear()
            session.link.beside = [bar for bar in session.link.beside if bar.ts_event < DAY + MINUTE_NS]
            await script(session)
            session.market_data.stop()
            return session

        return asyncio.run(live())

    return run


async def until(is_so: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Wait for something to become so."""
    async with asyncio.timeout(timeout_s):
        while not is_so():
            await asyncio.sleep(0.001)


# Order ------------------------------------------------------------------------------------------------------------


def test_a_traded_bar_waits_for_the_context_of_its_minute(played: Callable[..., Session]) -> None:
    async def script(session: Session) -> None:
        session.own(2)
        assert (session.taker.taken[-1], session.market_data.settled_ns) == (1, 0)
        session.other(2)
        assert session.taker.decided == [1, 2]
        assert session.market_data.settled_ns == DAY + 2 * MINUTE_NS

    session = played(script)
    assert session.taker.seen[-1] == 300.02
    assert session.written() == [("QQQ", 1), ("bar", 1), ("QQQ", 2), ("bar", 2)]
    assert session.link.asked == [], "nothing was missing"


def test_context_that_comes_first_delays_nothing(played: Callable[..., Session]) -> None:
    async def script(session: Session) -> None:
        session.other(2)
        session.own(2)
        assert session.taker.decided == [1, 2]

    assert played(script).written()[2:] == [("QQQ", 2), ("bar", 2)]


def test_with_a_lag_of_a_bar_nobody_waits(played: Callable[..., Session]) -> None:
    async def script(session: Session) -> None:
        session.own(2)
        assert session.taker.decided == [1, 2]
        session.other(2)
        session.own(3)
        assert session.taker.decided == [1, 2, 3]
        session.own(4)
        assert session.taker.decided == [1, 2, 3], "the bar of the third minute should have been there by now"
        session.link.beside.append(beside(bar_at(DAY + 2 * MINUTE_NS, (31000, 31000, 31000, 31000))))
        await until(lambda: session.taker.decided == [1, 2, 3, 4])

    assert played(script, lag_s=60).taker.seen[1:] == [300.01, 300.02, 310.0]


# Late, missing, twice ---------------------------------------------------------------------------------------------


def test_a_bar_that_does_not_come_is_asked_for(played: Callable[..., Session]) -> None:
    async def script(session: Session) -> None:
        session.link.beside.append(beside(bar_at(DAY + MINUTE_NS, (31000, 31000, 31000, 31000))))
        session.own(2)
        await until(lambda: session.taker.decided == [1, 2])
        session.other(2, 31000)
        session.own(3)
        session.other(3)

    session = played(script)
    assert session.taker.seen[1:] == [310.0, 300.03]
    assert session.taker.reported == [("bar", "refused", "QQQ: duplicate")], "it came after all"
    assert session.written()[2:4] == [("QQQ", 2), ("bar", 2)]


def test_without_a_bar_in_history_the_row_before_is_used(played: Callable[..., Session]) -> None:
    async def script(session: Session) -> None:
        session.own(2)
        await until(lambda: session.taker.decided == [1, 2])
        assert len(session.link.asked) == 1
        session.own(3)
        session.other(3)
        # The gap before it is asked for, as in the traded bars.
        await until(lambda: session.taker.decided == [1, 2, 3])

    session = played(script)
    assert session.taker.seen == [300.01, 300.01, 300.03]
    assert session.taker.warned == []


def test_a_row_that_comes_too_late_is_used_from_the_next_bar_on_and_reported(played: Callable[..., Session]) -> None:
    async def script(session: Session) -> None:
        session.own(2)
        await until(lambda: session.taker.decided == [1, 2])
        session.other(2)
        session.other(3)
        session.own(3)

    session = played(script)
    assert session.taker.seen == [300.01, 300.01, 300.03]
    assert session.written()[2:] == [("bar", 2), ("QQQ", 2), ("QQQ", 3), ("bar", 3)]
    assert session.taker.reported == [("context", "late", "QQQ: a row arrived after the bar that should have used it")]


def test_without_answers_bars_are_held_and_only_the_newest_is_decided_on(
    played: Callable[..., Session],
) -> None:
    async def script(session: Session) -> None:
        session.link.silent = "QQQ"
        for minute in (2, 3, 4):
            session.own(minute)
        await until(lambda: session.link.unanswered >= 3)
        assert session.taker.taken[-1] == 1
        assert session.market_data.age_s() == 121.0, "the second minute waits since its close"
        session.link.silent = ""
        closes = [(31000 + n,) * 4 for n in (2, 3, 4)]
        session.link.beside += [beside(bar_at(DAY + n * MINUTE_NS, c)) for n, c in enumerate(closes, start=1)]
        await until(lambda: session.taker.taken[-1] == 4)
        assert session.market_data.age_s() == 0.0

    session = played(script)
    assert session.taker.decided == [1, 4]
    assert session.taker.seen[-1] == 310.04
    assert session.taker.skipped == [(2, "context_late"), (3, "context_late")]
    assert session.written()[2:] == [("QQQ", 2), ("bar", 2), ("QQQ", 3), ("bar", 3), ("QQQ", 4), ("bar", 4)]
    unanswered = "QQQ: history did not answer; nothing is decided until it does"
    assert session.taker.reported == [("context", "unanswered", unanswered)], "once, not every second"


def test_what_waited_too_long_is_not_decided_on(played: Callable[..., Session]) -> None:
    async def script(session: Session) -> None:
        session.link.silent = "QQQ"
        session.own(2)
        session.now_ns += 31 * 10**9
        session.link.beside.append(beside(bar_at(DAY + MINUTE_NS)))
        session.link.silent = ""
        await until(lambda: session.taker.taken[-1] == 2)

    session = played(script)
    assert (session.taker.decided, session.taker.skipped) == ([1], [(2, "context_late")])


@pytest.mark.parametrize("again", [1, 2])
def test_a_bar_that_comes_twice_is_used_once(again: int, played: Callable[..., Session]) -> None:
    async def script(session: Session) -> None:
        session.other(2)
        session.other(again, 99999)
        session.own(2)

    session = played(script)
    assert session.taker.seen[-1] == 300.02
    assert session.taker.reported == [("bar", "refused", "QQQ: duplicate")]


def test_a_corrupt_bar_is_ignored(played: Callable[..., Session]) -> None:
    async def script(session: Session) -> None:
        session.other(2, 0)
        session.own(2)
        session.other(2)

    session = played(script)
    assert session.taker.decided == [1, 2]
    assert session.taker.reported == [("bar", "refused", "QQQ: corrupt")]


def test_gaps_of_both_are_filled_in_the_order_of_time(played: Callable[..., Session]) -> None:
    async def script(session: Session) -> None:
        session.link.beside = [beside(bar) for bar in MARKET]
        session.own(5)
        session.other(5)
        await until(lambda: session.taker.decided == [1, 5])

    session = played(script)
    assert session.taker.taken[-5:] == [1, 2, 3, 4, 5]
    order = session.written()
    assert all(order.index(("QQQ", n)) < order.index(("bar", n)) for n in (2, 3, 4, 5))


def replayed(session: Session) -> DecisionCore:
    """A core after a replay of the session's journal."""
    session.taker.journal.flush()
    core = DecisionCore(
        [resolve("SPY", instruments_path())], session.taker.core.plan, TradingConfig(), ExecutionConfig()
    )
    policy = OnnxPolicy(network(len(core.observation_names)))
    JournalReplay(core, policy).feed(journal_rows(read_journal(session.folder / "journal").rows))
    return core


@settings(max_examples=20)
@given(
    arrivals=st.lists(
        st.tuples(st.sampled_from(["before", "after", "never", "late", "twice"]), st.booleans()), min_size=1, max_size=8
    ),
    lag_s=st.sampled_from([0, 60]),
)
def test_however_bars_come_the_journal_leads_to_the_same_state(
    tmp_path_factory: pytest.TempPathFactory, arrivals: list[tuple[str, bool]], lag_s: int
) -> None:
    async def live() -> Session:
        session = make(tmp_path_factory.mktemp("played"), lag_s, 300, False, None, MARKET)
        await session.market_data.warm_up()
        for minute, (arrival, in_history) in enumerate(arrivals, start=1):
            times = {"before": 1, "twice": 2}.get(arrival, 0)
            session.link.beside = [bar for bar in session.link.beside if bar.ts_event < DAY + (minute - 1) * MINUTE_NS]
            if in_history:
                session.link.beside.append(beside(bar_at(DAY + (minute - 1) * MINUTE_NS, (30000 + minute,) * 4)))
            for _ in range(times):
                session.other(minute)
            session.own(minute)
            if arrival == "after":
                session.other(minute)
            await until(lambda minute=minute: session.taker.taken[-1] == minute)
            if arrival == "late":
                session.other(minute)
        await until(lambda: not any(feed.is_filling for feed in session.market_data.feeds.values()))
        session.market_data.stop()
        return session

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bar_feed, "RETRY_S", 0.0)
        patch.setattr(context_bars, "RETRY_S", 0.005)
        session = asyncio.run(live())
    assert session.taker.taken[-len(arrivals) :] == list(range(1, len(arrivals) + 1))
    kept, made = session.taker.core.snapshot(), replayed(session).snapshot()
    assert {name: value.tobytes() for name, value in made.items()} == {n: v.tobytes() for n, v in kept.items()}


# What is known when -----------------------------------------------------------------------------------------------


def test_before_the_open_the_last_close_is_enough(tmp_path: Path) -> None:
    session = make(tmp_path, 0, 300, False, None, MARKET)
    (stream,) = session.market_data.context._streams
    monday_close = utc_ns("2024-12-02T21:00")
    assert stream.due_ns(DAY - MINUTE_NS) == stream.due_ns(DAY) == stream.due_ns(monday_close) == monday_close
    assert stream.due_ns(DAY + MINUTE_NS) == DAY + MINUTE_NS


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> dict[int, ContextStream]:
    """QQQ by its lag in seconds."""
    found = {}
    for lag_s in (0, 30, 60, 90, 3600):
        session = make(tmp_path_factory.mktemp("due"), lag_s, 7200, False, None, MARKET)
        (found[lag_s],) = session.market_data.context._streams
    return found


@given(minute=st.integers(0, 7 * 1440), lag_s=st.sampled_from([0, 30, 60, 90, 3600]))
def test_what_is_due_is_the_newest_bar_that_a_backtest_would_have_had(
    streams: dict[int, ContextStream], minute: int, lag_s: int
) -> None:
    ts_ns = utc_ns("2024-11-26T00:00") + minute * MINUTE_NS
    closes = [bar.ts_event + MINUTE_NS for bar in MARKET if bar.ts_event + MINUTE_NS <= ts_ns - lag_s * 10**9]
    assert streams[lag_s].due_ns(ts_ns) == max(closes)


def test_history_that_does_not_reach_back_far_enough_blinds(tmp_path: Path) -> None:
    session = make(tmp_path, 0, 300, False, None, [])
    with pytest.raises(BlindError, match=r"QQQ\.EQUS: history was refused or not answered"):
        asyncio.run(session.market_data.warm_up())


# Daily values -----------------------------------------------------------------------------------------------------


def store(catalog: Path, last: date) -> None:
    """Twenty days of VIX."""
    days = [last - timedelta(days=n) for n in range(19, -1, -1)]
    prices: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close"), np.arange(10.0, 30.0))
    write_context(catalog, {"VIX": pa.table({"date": days, **prices, "source": ["made up"] * 20})})


def test_daily_values_that_are_too_old_are_reported_until_the_file_has_newer_ones(
    played: Callable[..., Session], tmp_path: Path
) -> None:
    catalog = tmp_path / "catalog"
    store(catalog, date(2024, 11, 20))

    async def script(session: Session) -> None:
        assert session.market_data.context.missing == ("VIX",)
        store(catalog, date(2024, 12, 2))
        session.market_data.poll()
        session.other(2)
        session.own(2)
        assert session.market_data.context.missing == ()
        context_path(catalog).unlink()
        session.now_ns += 60 * 10**9
        session.market_data.poll()
        session.other(3)
        session.own(3)

    session = played(script, daily=True, catalog=catalog)
    assert session.taker.decided == [1, 2, 3]
    assert session.taker.warned == ["context VIX: no value younger than 432000 s"]
    kinds = [(new, reason.partition(":")[0]) for what, new, reason in session.taker.reported if what == "context"]
    assert [kind for kind in kinds if kind[0] != "late"][:2] == [("missing", "VIX"), ("known", "VIX")]
    assert kinds[-1][0] == "unreadable"


def test_a_market_that_should_trade_and_does_not_is_missed(played: Callable[..., Session]) -> None:
    async def script(session: Session) -> None:
        assert session.market_data.context.missing == ()
        for minute in range(2, 9):
            session.own(minute)
            await until(lambda minute=minute: session.taker.taken[-1] == minute)

    session = played(script)
    # Five minutes after its last bar QQQ is too old, and its exchange is open.
    assert session.market_data.context.missing == ("QQQ",)
    assert session.taker.warned == ["context QQQ: no value younger than 300 s"]

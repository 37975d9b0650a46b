"""The feed of a live session: every bar of the market once, in order, whatever the broker does to them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nautilus_trader.model.data import Bar

from catalogs.instruments.specification import InstrumentSpec, resolve
from configs import instruments_path
from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.data import bar_feed
from rl_strategies.live.data.bar_feed import BarFeed, BlindError
from rl_strategies.live.journal.session_journal import BarSource
from tests.live.bars import BAR_TYPE, MINUTE_NS, NYSE, TICK_RAW, ListLink, bar_at, sessions, utc_ns

DAY = utc_ns("2024-12-03T14:30")  # Tuesday's open
SECOND_NS = 10**9


@dataclass
class Taker:
    """What a feed hands on."""

    pushed: list[int] = field(default_factory=list)
    sources: list[BarSource] = field(default_factory=list)
    considered: list[int] = field(default_factory=list)
    reported: list[tuple[str, str, str]] = field(default_factory=list)

    def push(self, bar: Bar, source: BarSource) -> None:
        self.pushed.append(bar.ts_event)
        self.sources.append(source)

    def consider(self, ts_ns: int) -> None:
        assert ts_ns == self.pushed[-1]
        self.considered.append(ts_ns)

    def report(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        self.reported.append((what, new, reason))


@dataclass
class Scene:
    """A feed with everything around it; ``now_ns`` is the clock."""

    feed: BarFeed
    link: ListLink
    taker: Taker
    now_ns: int = DAY

    def send(self, minute: int, second: float = 1.0) -> None:
        """The bar that closes ``minute`` minutes after the open arrives, so many seconds after its close."""
        close_ns = DAY + minute * MINUTE_NS
        self.now_ns = close_ns + int(second * SECOND_NS)
        self.feed.on_bar(bar_at(close_ns - MINUTE_NS))

    @property
    def minutes(self) -> list[int]:
        """Bars pushed since the open, as minutes after it."""
        return [(ts_ns - DAY) // MINUTE_NS for ts_ns in self.taker.pushed if ts_ns > DAY]

    @property
    def decided(self) -> list[int]:
        """Minutes that were decided on."""
        return [(ts_ns - DAY) // MINUTE_NS for ts_ns in self.taker.considered]


MARKET = sessions("2024-11-25", "2024-12-03")  # with Thanksgiving and a half day in between


def make_scene(warmup: int = 5, now_ns: int = DAY, **timeouts: Any) -> Scene:
    taker, link = Taker(), ListLink(market=list(MARKET))
    scene: Scene
    feed = BarFeed(
        link, NYSE, BAR_TYPE, TICK_RAW, warmup, Timeouts(**timeouts), True, taker, taker, lambda: scene.now_ns
    )
    scene = Scene(feed, link, taker, now_ns)
    return scene


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """History that did not answer is asked again at once."""
    monkeypatch.setattr(bar_feed, "RETRY_S", 0.0)


async def settle(scene: Scene) -> None:
    """Let a fill come to its end."""
    for _ in range(200):
        await asyncio.sleep(0)
        if not scene.feed.is_filling:
            return
    raise AssertionError("the gap was never filled")


def after_open(script: Callable[[Scene], Any], **settings: Any) -> Scene:
    """A scene after its warm-up, the session's first bar and a script."""

    async def live() -> Scene:
        scene = make_scene(**settings)
        await scene.feed.warm_up()
        scene.send(1)
        await settle(scene)
        scene.link.asked.clear()
        done = script(scene)
        if done is not None:
            await done
        return scene

    return asyncio.run(live())


# Warm-up ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "warmup", "first", "last"),
    [
        # Before the open the last sessions are whole: 30 bars lie within Monday's 390.
        ("2024-12-03T14:00", 30, "2024-12-02T14:31", "2024-12-02T21:00"),
        ("2024-12-03T14:30", 390, "2024-12-02T14:31", "2024-12-02T21:00"),
        # One more, and the half day before it is needed, from its own first bar.
        ("2024-12-03T14:30", 391, "2024-11-29T14:31", "2024-12-02T21:00"),
        ("2024-12-03T14:30", 390 + 210, "2024-11-29T14:31", "2024-12-02T21:00"),
        ("2024-12-03T14:30", 390 + 211, "2024-11-27T14:31", "2024-12-02T21:00"),
        # In the middle of a session: warm before its first bar, and what it has had so far.
        ("2024-12-03T16:00:30", 30, "2024-12-02T14:31", "2024-12-03T16:00"),
        # The bar that closes with the session ends it.
        ("2024-12-02T21:00", 30, "2024-12-02T14:31", "2024-12-02T21:00"),
        ("2024-12-02T20:59", 30, "2024-11-29T14:31", "2024-12-02T20:59"),
    ],
)
def test_warm_up_takes_whole_sessions(now: str, warmup: int, first: str, last: str) -> None:
    scene = make_scene(warmup, utc_ns(now))
    asyncio.run(scene.feed.warm_up())
    assert scene.taker.pushed == list(range_of_bars(utc_ns(first), utc_ns(last)))
    assert set(scene.taker.sources) == {"warm-up"}
    assert scene.taker.considered == []


def range_of_bars(first_ns: int, last_ns: int) -> list[int]:
    closes = [bar.ts_event + MINUTE_NS for bar in MARKET]
    return [ts_ns for ts_ns in closes if first_ns <= ts_ns <= last_ns]


@pytest.mark.parametrize(("day", "warmup"), [("2024-12-03", 14), ("2024-12-03", 395), ("2024-12-02", 215)])
def test_it_begins_where_a_backtest_begins(day: str, warmup: int) -> None:
    from run.backtest.window import _session_start  # the rule that a backtest's window is made by

    spec: InstrumentSpec = resolve("SPY", instruments_path())
    open_ns = int(NYSE.open_ns[np.searchsorted(NYSE.session_date, np.datetime64(day))])
    closes = np.array([bar.ts_event + MINUTE_NS for bar in MARKET], np.int64)
    traded_from = int(np.searchsorted(closes, open_ns, side="right"))
    scene = make_scene(warmup, open_ns)
    asyncio.run(scene.feed.warm_up())
    assert scene.taker.pushed[0] == _session_start(spec, closes, traded_from - warmup)


@settings(max_examples=25)
@given(minutes=st.integers(0, 9 * 1440), warmup=st.integers(1, 700))
def test_warm_up_is_enough_and_begins_with_a_session(minutes: int, warmup: int) -> None:
    now_ns = utc_ns("2024-11-25T14:30") + minutes * MINUTE_NS
    scene = make_scene(warmup, now_ns)
    try:
        asyncio.run(scene.feed.warm_up())
    except BlindError:
        known = [bar for bar in MARKET if bar.ts_event + MINUTE_NS <= now_ns]
        assert len(known) < warmup + 2 * 390, "there was enough"
        return
    pushed = np.array(scene.taker.pushed)
    assert pushed[0] - MINUTE_NS in NYSE.open_ns
    assert pushed.tolist() == range_of_bars(pushed[0], now_ns)
    running = NYSE.locate(pushed[-1:])[0]
    before = pushed[pushed <= NYSE.open_ns[running]] if pushed[-1] < NYSE.close_ns[running] else pushed
    assert len(before) >= warmup


def test_a_cut_off_answer_is_not_taken_for_the_beginning_of_its_session() -> None:
    scene = make_scene(warmup=300)
    scene.link.oldest_ns = utc_ns("2024-12-02T15:00")
    with pytest.raises(BlindError, match="must reach back 300 bars in whole sessions, has 360 bars in 40 days"):
        asyncio.run(scene.feed.warm_up())
    assert scene.taker.pushed == []


def test_history_that_never_answers_blinds() -> None:
    scene = make_scene()
    scene.link.refusals = 10**6
    with pytest.raises(BlindError, match="history was refused or not answered"):
        asyncio.run(scene.feed.warm_up())


def test_history_that_is_not_answered_in_time_is_named_as_that() -> None:
    scene = make_scene()

    async def late(*asked: object) -> list[Bar]:
        raise TimeoutError("history did not answer within 10 s")

    scene.link.bars = late  # type: ignore[method-assign]
    said = "SPY.EQUS: history did not answer within 10 s; .*`request_timeout_s`"
    with pytest.raises(BlindError, match=said):
        asyncio.run(scene.feed.warm_up())


def test_history_asked_while_the_connection_is_lost_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bar_feed, "RETRY_S", 0.0)
    scene = make_scene()
    states = [False] * 20
    scene.link.refusals = 20  # more than there are spans to ask for

    monkeypatch.setattr(scene.link, "is_connected", lambda: not states or states.pop())
    asyncio.run(scene.feed.warm_up())
    assert scene.taker.pushed[0] == utc_ns("2024-12-02T14:31")


def test_an_answer_after_one_that_came_too_late_is_judged_by_itself() -> None:
    scene = make_scene(warmup=300)
    answered, late = scene.link.bars, [True, True]

    async def sometimes(*asked: Any) -> list[Bar]:
        if late and late.pop():
            raise TimeoutError("history did not answer within 10 s")
        return await answered(*asked)

    scene.link.bars = sometimes  # type: ignore[method-assign]
    scene.link.oldest_ns = utc_ns("2024-12-02T15:00")
    with pytest.raises(BlindError, match="must reach back 300 bars in whole sessions, has 360 bars in 40 days"):
        asyncio.run(scene.feed.warm_up())


def test_history_that_answers_late_is_asked_for_more_and_more() -> None:
    scene = make_scene()
    scene.link.refusals = 2
    asyncio.run(scene.feed.warm_up())
    assert scene.taker.pushed[0] == utc_ns("2024-12-02T14:31")
    days = [days for _, days in scene.link.asked]
    assert days == sorted(set(days))
    assert len(days) >= 3


def test_bars_of_history_that_are_none_are_left_out() -> None:
    scene = make_scene(now_ns=DAY + 10 * MINUTE_NS + 30 * SECOND_NS)
    spoilt = {DAY + 3 * MINUTE_NS: bar_at(DAY + 3 * MINUTE_NS, (0, 4, 0, 1))}
    outside = bar_at(utc_ns("2024-12-03T14:00"))
    scene.link.market = [spoilt.get(bar.ts_event, bar) for bar in MARKET]
    scene.link.market.insert(0, outside)
    asyncio.run(scene.feed.warm_up())
    assert scene.minutes == [1, 2, 3, 5, 6, 7, 8, 9, 10], "the fourth is corrupt, the eleventh not closed"
    assert utc_ns("2024-12-03T14:01") not in scene.taker.pushed


def test_a_session_taken_up_again_is_told_what_it_missed() -> None:
    scene = make_scene(now_ns=DAY + 10 * MINUTE_NS)
    scene.feed.continue_after(DAY + 4 * MINUTE_NS)
    asyncio.run(scene.feed.warm_up())
    assert scene.minutes == [5, 6, 7, 8, 9, 10] == [(ts - DAY) // MINUTE_NS for ts in scene.taker.pushed]
    assert set(scene.taker.sources) == {"backfill"}


def test_a_session_taken_up_again_that_missed_nothing_is_told_nothing() -> None:
    scene = make_scene(now_ns=DAY + 10 * MINUTE_NS)
    scene.feed.continue_after(DAY + 10 * MINUTE_NS)
    asyncio.run(scene.feed.warm_up())
    assert scene.taker.pushed == []
    assert scene.feed.last_ns == DAY + 10 * MINUTE_NS


def test_a_session_taken_up_again_is_blind_where_history_does_not_reach_its_last_bar() -> None:
    scene = make_scene(now_ns=DAY + 10 * MINUTE_NS)
    scene.feed.continue_after(DAY + 4 * MINUTE_NS)
    scene.link.oldest_ns = DAY + 5 * MINUTE_NS
    with pytest.raises(BlindError):
        asyncio.run(scene.feed.warm_up())
    assert scene.taker.pushed == []


# Bars as they come ------------------------------------------------------------------------------------------------


def test_bars_in_order_are_handed_on_and_decided_on_without_asking() -> None:
    def script(scene: Scene) -> None:
        for minute in (2, 3):
            scene.send(minute)
            assert scene.feed.arrived_ns == scene.feed.heard_ns == scene.now_ns
            assert scene.feed.considered_ns == scene.feed.last_ns == DAY + minute * MINUTE_NS

    scene = after_open(script)
    assert scene.minutes == scene.decided == [1, 2, 3]
    assert scene.taker.sources[-3:] == ["live"] * 3
    assert scene.link.asked == []


def test_a_gap_is_filled_first_and_only_the_newest_bar_decided_on() -> None:
    async def script(scene: Scene) -> None:
        scene.send(5)
        assert scene.minutes == [1], "nothing is handed on before the gap is filled"
        assert scene.feed.is_filling
        await settle(scene)

    scene = after_open(script)
    assert scene.minutes == [1, 2, 3, 4, 5]
    assert scene.taker.sources[-5:] == ["live", "backfill", "backfill", "backfill", "live"]
    assert scene.decided == [1, 5]


def test_a_gap_over_a_night_is_filled_from_further_back() -> None:
    async def live() -> Scene:
        scene = make_scene(now_ns=utc_ns("2024-11-29T17:50"))
        await scene.feed.warm_up()
        scene.link.asked.clear()
        scene.send(1)
        await settle(scene)
        return scene

    scene = asyncio.run(live())
    assert scene.taker.pushed == range_of_bars(scene.taker.pushed[0], DAY + MINUTE_NS)
    assert len(scene.link.asked) > 1, "a day reaches back to Monday only"
    assert scene.decided == [1]


@pytest.mark.parametrize("refusals", [1, 4])
def test_history_that_does_not_answer_is_asked_until_it_does(refusals: int) -> None:
    async def script(scene: Scene) -> None:
        scene.link.refusals = refusals
        scene.send(4)
        await settle(scene)

    scene = after_open(script)
    assert scene.minutes == [1, 2, 3, 4]
    assert scene.decided == [1, 4]
    silent = [said for said in scene.taker.reported if said[1] == "missing"]
    assert len(silent) == refusals


def test_an_answer_that_does_not_reach_back_is_none() -> None:
    async def script(scene: Scene) -> None:
        scene.link.oldest_ns = DAY + 2 * MINUTE_NS  # 3 and 4, but not 2

        def answered() -> None:
            if len(scene.link.asked) > 12:
                scene.link.oldest_ns = 0

        scene.link.before_answer = answered
        scene.send(4)
        for _ in range(10):
            await asyncio.sleep(0)
            assert scene.minutes == [1]
        await settle(scene)

    scene = after_open(script)
    assert scene.minutes == [1, 2, 3, 4]


@pytest.mark.parametrize(("lagging", "expected"), [(2, [1, 2, 3, 4]), (9, [1, 4])])
def test_history_that_does_not_know_the_newest_bar_is_not_believed_at_once(lagging: int, expected: list[int]) -> None:
    async def script(scene: Scene) -> None:
        whole = list(scene.link.market)
        known = [bar for bar in whole if bar.ts_event < DAY + MINUTE_NS]  # up to the bar of minute 1

        def answered() -> None:
            scene.link.market = known if len(scene.link.asked) <= lagging else whole

        scene.link.before_answer = answered
        scene.send(4)
        await settle(scene)

    scene = after_open(script)
    assert scene.minutes == expected, "after three such answers there was nothing to know"
    assert scene.decided == [1, 4]


@pytest.mark.parametrize("clock", ["wall", "bars"])
def test_bars_that_arrive_while_history_is_asked_are_not_lost(clock: str) -> None:
    async def script(scene: Scene) -> None:
        arrivals = iter([(5,), (7, 7), ()])
        scene.link.before_answer = lambda: [scene.send(minute) for minute in next(arrivals, ())]
        scene.send(3)
        await settle(scene)

    scene = after_open(script, clock=clock)
    # 4 and 6 were never sent: each is fetched before the bar after it.
    assert scene.minutes == [1, 2, 3, 4, 5, 6, 7]
    assert scene.decided == [1, 7], "what a newer bar has overtaken is not decided on"
    assert scene.taker.sources[-7:] == ["live", "backfill", "live", "backfill", "live", "backfill", "live"]


def test_bars_that_arrive_the_wrong_way_round_are_put_in_order() -> None:
    async def script(scene: Scene) -> None:
        scene.send(4)
        scene.feed.on_bar(bar_at(DAY + 2 * MINUTE_NS))  # the third
        scene.feed.on_bar(bar_at(DAY + MINUTE_NS))
        await settle(scene)

    scene = after_open(script)
    assert scene.minutes == [1, 2, 3, 4]
    assert scene.decided == [1, 4]


def test_a_bar_between_the_last_look_and_the_end_of_a_fill_is_handed_on() -> None:
    async def script(scene: Scene) -> None:
        scene.send(3)
        while scene.minutes[-1] != 3:
            await asyncio.sleep(0)
        scene.send(4)  # in the very step in which the fill pushed
        await settle(scene)

    assert after_open(script).decided == [1, 3, 4]


@pytest.mark.parametrize(
    ("minute", "second", "why"),
    [(1, 20.0, "duplicate"), (1, 3000.0, "duplicate"), (3, -30.0, "unfinished"), (2, 1.0, "untrusted")],
)
def test_bars_that_are_no_news_are_refused(minute: int, second: float, why: str) -> None:
    def script(scene: Scene) -> None:
        heard_ns = scene.feed.heard_ns
        scene.link.data = why != "untrusted"
        scene.send(minute, second)
        assert scene.feed.heard_ns == heard_ns, "no news must not calm whoever listens for bars"

    scene = after_open(script)
    assert scene.minutes == scene.decided == [1]
    assert scene.taker.reported == [("bar", "refused", why)]


@pytest.mark.parametrize(("behind_s", "why"), [(0.0, "unfinished"), (1.2, ""), (5.0, "")])
def test_bars_are_judged_by_the_brokers_clock(behind_s: float, why: str) -> None:
    def script(scene: Scene) -> None:
        scene.link.clock_drift_s = -behind_s
        scene.send(2, -1.1)  # by this machine's clock the minute has not ended

    scene = after_open(script)
    assert scene.minutes == scene.decided == ([1] if why else [1, 2])
    assert scene.taker.reported == ([("bar", "refused", why)] if why else [])


def test_a_bar_outside_every_session_is_refused() -> None:
    def script(scene: Scene) -> None:
        scene.send(391)

    scene = after_open(script)
    assert scene.minutes == [1]
    assert scene.taker.reported[-1] == ("bar", "refused", "outside")


def test_a_stale_bar_is_taken_in_and_not_acted_upon() -> None:
    async def script(scene: Scene) -> None:
        scene.send(2, 31.0)
        await settle(scene)
        scene.send(3)

    scene = after_open(script)
    assert scene.minutes == [1, 2, 3]
    assert scene.decided == [1, 3]


def test_a_bar_that_aged_while_history_was_asked_is_not_acted_upon() -> None:
    async def script(scene: Scene) -> None:

        def later() -> None:
            scene.now_ns += 40 * SECOND_NS

        scene.link.before_answer = later
        scene.send(3)
        await settle(scene)

    scene = after_open(script)
    assert scene.minutes == [1, 2, 3]
    assert scene.decided == [1]


def test_after_the_data_farm_came_back_what_was_refused_is_fetched() -> None:
    async def script(scene: Scene) -> None:
        scene.link.data = False
        scene.send(2)
        scene.send(3)
        scene.link.data = True
        scene.send(4)
        await settle(scene)

    scene = after_open(script)
    assert scene.minutes == [1, 2, 3, 4]
    assert scene.decided == [1, 4]


def test_a_failure_while_a_gap_is_filled_is_the_sessions() -> None:
    async def script(scene: Scene) -> None:

        def fail() -> None:
            raise RuntimeError("no contract")

        scene.link.before_answer = fail
        scene.send(3)
        await settle(scene)
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="no contract"):
            scene.feed.raise_failure()

    after_open(script)


def test_a_stopped_feed_asks_nothing_more() -> None:
    async def script(scene: Scene) -> None:
        scene.send(3)
        scene.feed.stop()
        for _ in range(5):
            await asyncio.sleep(0)
        scene.feed.raise_failure()

    assert after_open(script).minutes == [1]


@settings(max_examples=150)
@given(data=st.data())
def test_whatever_arrives_the_true_sequence_is_handed_on(data: st.DataObject) -> None:
    """Drops, repetitions, exchanges, late bars, refused questions: pushed is the market, once, in order."""
    sent = data.draw(st.lists(st.integers(2, 25), max_size=30), label="sent")
    slack = data.draw(st.lists(st.integers(0, 6), min_size=len(sent), max_size=len(sent)), label="turns of the loop")
    clock = data.draw(st.sampled_from(["wall", "bars"]), label="clock")
    refused = data.draw(st.lists(st.booleans(), max_size=6), label="refused questions")

    async def live() -> Scene:
        scene = make_scene(clock=clock)
        first = MARKET.index(bar_at(DAY))
        scene.link.market = MARKET[first - 1 : first + 30]
        scene.feed.continue_after(MARKET[first - 1].ts_event + MINUTE_NS)
        scene.send(1)
        await settle(scene)
        pattern = iter(refused)
        scene.link.before_answer = lambda: setattr(scene.link, "refusals", int(next(pattern, False)))
        minutes = 0
        for minute, turns in zip(sent, slack, strict=True):
            minutes = max(minutes, minute)
            scene.now_ns = DAY + minutes * MINUTE_NS + SECOND_NS
            scene.feed.on_bar(bar_at(DAY + (minute - 1) * MINUTE_NS))
            for _ in range(turns):
                await asyncio.sleep(0)
        await settle(scene)
        return scene

    scene = asyncio.run(live())
    assert scene.minutes == list(range(1, max(sent, default=1) + 1))
    assert scene.decided == sorted(set(scene.decided))
    assert set(scene.decided) <= {1, *sent}


# Clock ------------------------------------------------------------------------------------------------------------


def test_age_counts_from_when_a_bar_was_due() -> None:
    scene = make_scene()
    asyncio.run(scene.feed.warm_up())
    scene.now_ns = DAY + 90 * SECOND_NS
    assert scene.feed.age_s() == 30.0, "the first bar was due a minute after the open, whatever night came before"

    def script(scene: Scene) -> None:
        scene.now_ns = DAY + 2 * MINUTE_NS
        assert scene.feed.age_s() == 0.0
        scene.now_ns = DAY + 2 * MINUTE_NS + 5 * SECOND_NS
        assert scene.feed.age_s() == 5.0
        scene.now_ns = utc_ns("2024-12-03T22:00")
        assert scene.feed.age_s() == 0.0, "the exchange is closed"

    after_open(script)


def test_silence_is_noticed_once_and_only_while_the_exchange_is_open() -> None:
    def script(scene: Scene) -> None:
        scene.now_ns = scene.feed.heard_ns + 100 * SECOND_NS
        assert not scene.feed.is_silent()
        scene.now_ns += SECOND_NS
        assert [scene.feed.is_silent(), scene.feed.is_silent()] == [True, False]
        scene.now_ns += 101 * SECOND_NS
        assert scene.feed.is_silent()
        scene.now_ns = utc_ns("2024-12-03T22:00")
        assert not scene.feed.is_silent()

    after_open(script, silence_s=100.0)


def test_where_the_past_is_replayed_the_last_bar_is_the_clock() -> None:
    def script(scene: Scene) -> None:
        assert scene.feed.now_ns() == scene.feed.last_ns == DAY + MINUTE_NS
        scene.now_ns = utc_ns("2026-05-05T05:05")
        scene.feed.on_bar(bar_at(DAY + MINUTE_NS))
        assert scene.feed.now_ns() == DAY + 2 * MINUTE_NS
        assert scene.feed.age_s() == 0.0
        assert scene.feed.is_open()

    assert after_open(script, clock="bars").decided == [1, 2]

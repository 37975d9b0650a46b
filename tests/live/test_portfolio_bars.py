"""Bars of several traded instruments: one decision on each moment, whatever order they come in; none waits for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from nautilus_trader.model.data import Bar, BarType

from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.data import portfolio_bars
from rl_strategies.live.data.bar_feed import BarFeed, BarReceiver
from rl_strategies.live.data.portfolio_bars import PortfolioBars
from rl_strategies.live.journal.rebuild import LATE
from rl_strategies.live.journal.session_journal import BarSource
from tests.live.bars import BAR_TYPE, MINUTE_NS, NYSE, TICK_RAW, bar_at, sessions
from tests.live.two_markets import DAY, QQQ_BARS, TwoMarkets, beside

TYPES = (BAR_TYPE, BarType.from_str(QQQ_BARS))
SPY, QQQ = 0, 1


@dataclass
class Taker:
    """What came out: ``S1`` a bar of SPY's first minute, ``Q1`` of QQQ's, ``!1`` a decision, ``?1`` a skipped one."""

    told: list[str] = field(default_factory=list)
    history: list[tuple[int, str]] = field(default_factory=list)
    reported: list[tuple[str, str]] = field(default_factory=list)

    def push(self, bar: Bar, source: BarSource) -> None:
        name, minute = str(bar.bar_type)[0], (bar.ts_event - DAY) // MINUTE_NS
        if source == "warm-up":
            self.history.append((bar.ts_event, name))
        else:
            self.told.append(f"{name}{minute}")

    def consider(self, ts_ns: int) -> None:
        self.told.append(f"!{(ts_ns - DAY) // MINUTE_NS}")

    def skip(self, ts_ns: int, reason: str) -> None:
        assert reason == LATE
        self.told.append(f"?{(ts_ns - DAY) // MINUTE_NS}")

    def report(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        self.reported.append((what, new))


@dataclass
class Scene:
    """Two traded shares; ``now_ns`` is the clock."""

    link: TwoMarkets
    taker: Taker = field(default_factory=Taker)
    now_ns: int = DAY
    bars: PortfolioBars = field(init=False)

    def __post_init__(self) -> None:
        timeouts = Timeouts(context_s=0.02, missing_s=0.05)
        self.bars = PortfolioBars(2, self._feed, self.taker, timeouts, self.taker, lambda: self.now_ns)

    def _feed(self, k: int, receiver: BarReceiver) -> BarFeed:
        timeouts = Timeouts()
        return BarFeed(
            self.link, NYSE, TYPES[k], TICK_RAW, 5, timeouts, True, receiver, self.taker, lambda: self.now_ns
        )

    def send(self, k: int, minute: int) -> None:
        """The bar that closes so many minutes after the open arrives a second later."""
        self.now_ns = max(self.now_ns, DAY + minute * MINUTE_NS + 10**9)
        bar = bar_at(DAY + (minute - 1) * MINUTE_NS)
        self.bars.feeds[k].on_bar(bar if k == SPY else beside(bar))

    async def settle(self) -> None:
        """Wait until nothing waits any more."""
        for _ in range(2000):
            if not self.bars.is_holding and not any(feed.is_filling for feed in self.bars.feeds):
                return
            await asyncio.sleep(0.001)
        raise AssertionError(f"still waits, told {self.taker.told}")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """History that did not answer is asked again soon."""
    monkeypatch.setattr(portfolio_bars, "RETRY_S", 0.001)


MARKET = sessions("2024-11-25", "2024-12-03")


def play(script: Callable[[Scene], Awaitable[None]], untraded: tuple[int, ...] = ()) -> Scene:
    """A script after the warm-up and the first minute; QQQ does not trade in some minutes."""

    async def live() -> Scene:
        holes = {DAY + (minute - 1) * MINUTE_NS for minute in untraded}
        scene = Scene(TwoMarkets(market=list(MARKET), beside=[beside(b) for b in MARKET if b.ts_event not in holes]))
        await scene.bars.warm_up()
        for k in (SPY, QQQ):  # after the night there is a gap before the first bar
            scene.send(k, 1)
        await scene.settle()
        scene.taker.told.clear()
        await script(scene)
        await scene.settle()
        scene.bars.poll()
        return scene

    return asyncio.run(live())


@pytest.mark.parametrize("order", [(SPY, QQQ), (QQQ, SPY)])
def test_bars_of_a_moment_are_decided_on_once_in_the_policys_order(order: tuple[int, int]) -> None:
    async def two_minutes(scene: Scene) -> None:
        for minute in (2, 3):
            for k in order:
                scene.send(k, minute)

    assert play(two_minutes).taker.told == ["S2", "Q2", "!2", "S3", "Q3", "!3"]


def test_history_comes_in_the_order_of_time() -> None:
    async def nothing(scene: Scene) -> None:
        pass

    history = play(nothing).taker.history
    assert history == sorted(history, key=lambda each: (each[0], each[1] == "Q"))
    assert {name for _, name in history} == {"S", "Q"}


def test_a_minute_in_which_one_did_not_trade_is_decided_on_without_it() -> None:
    async def a_hole(scene: Scene) -> None:
        scene.send(SPY, 2)
        await scene.settle()
        scene.send(QQQ, 3)
        scene.send(SPY, 3)

    scene = play(a_hole, untraded=(2,))
    assert scene.taker.told == ["S2", "!2", "S3", "Q3", "!3"]
    assert ("bars", "missing") not in scene.taker.reported


def test_a_bar_that_did_not_arrive_is_fetched() -> None:
    async def a_lost_bar(scene: Scene) -> None:
        scene.send(SPY, 2)
        await scene.settle()

    assert play(a_lost_bar).taker.told == ["S2", "Q2", "!2"]


def test_an_instrument_of_which_nothing_is_known_does_not_stop_the_others() -> None:
    async def silence(scene: Scene) -> None:
        scene.link.silent = "QQQ"
        scene.send(SPY, 2)
        await scene.settle()
        scene.link.silent = ""
        scene.send(QQQ, 2)
        scene.send(SPY, 3)
        scene.send(QQQ, 3)

    scene = play(silence)
    assert scene.taker.told == ["S2", "!2", "Q2", "S3", "Q3", "!3"]
    assert [each for each in scene.taker.reported if each[0] == "bars"] == [("bars", "missing"), ("bars", "late")]
    assert scene.link.unanswered > 0


def test_of_several_moments_that_waited_only_the_newest_is_decided_on() -> None:
    async def behind(scene: Scene) -> None:
        scene.send(SPY, 2)
        scene.send(SPY, 3)
        scene.send(QQQ, 2)
        scene.send(QQQ, 3)

    assert play(behind).taker.told == ["S2", "Q2", "?2", "S3", "Q3", "!3"]


def test_bars_too_old_to_act_upon_are_passed_on_without_a_decision() -> None:
    async def late(scene: Scene) -> None:
        scene.send(SPY, 2)
        scene.now_ns += MINUTE_NS
        scene.send(QQQ, 2)

    assert play(late).taker.told == ["S2", "Q2", "?2"]


def test_a_resumed_session_goes_on_after_the_bars_that_it_knows() -> None:
    async def again(scene: Scene) -> None:
        scene.now_ns = DAY + 3 * MINUTE_NS + 10**9
        scene.bars.continue_after([DAY + MINUTE_NS, DAY + 2 * MINUTE_NS])
        await scene.bars.warm_up()
        scene.send(SPY, 4)
        scene.send(QQQ, 4)

    async def live() -> Scene:
        scene = Scene(TwoMarkets(market=list(MARKET), beside=[beside(bar) for bar in MARKET]))
        await again(scene)
        await scene.settle()
        return scene

    scene = asyncio.run(live())
    # QQQ's second minute was decided on without SPY's, which comes late.
    assert scene.taker.told == ["S2", "S3", "Q3", "S4", "Q4", "!4"]

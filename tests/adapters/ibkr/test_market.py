"""Recorded bars as a market: order of steps, history, bars of other lengths, several contracts."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ibkr.simulator.broker.matching import bar_path, offered_units
from adapters.ibkr.simulator.feeds import RealTimeBars
from adapters.ibkr.simulator.market import (
    ANNOUNCE,
    CLOSE,
    FIRST,
    OPEN,
    SECOND,
    SECOND_NS,
    Market,
    TapeBar,
    TapeError,
    tape_of,
)

MINUTE_NS = 60 * SECOND_NS
PRICES = st.tuples(*[st.integers(23_900, 24_100)] * 4)


def walk(market: Market) -> list[tuple[int, int, int]]:
    """(seconds since the first step, phase, contract) of every step."""
    first = market.next_ns
    assert first is not None
    found = []
    while not market.is_over:
        step, _ = market.step()
        found.append(((step.ts_ns - first) // SECOND_NS, step.phase, step.con_id))
    return found


def test_a_bar_takes_five_steps_and_its_close_comes_before_the_next_announcement(ib: SimpleNamespace) -> None:
    market = Market([ib.MES], {1: ib.minute_bars(*ib.RISING[:2])})
    assert [(second, phase) for second, phase, _ in walk(market)] == [
        (0, ANNOUNCE), (0, OPEN), (20, FIRST), (40, SECOND), (60, CLOSE),
        (60, ANNOUNCE), (60, OPEN), (80, FIRST), (100, SECOND), (120, CLOSE),
    ]  # fmt: skip


def test_all_contracts_close_before_any_is_announced(ib: SimpleNamespace) -> None:
    bars = ib.minute_bars(*ib.RISING[:2])
    market = Market([ib.MES, ib.SPY], {1: bars, 2: bars})
    at_the_boundary = [(phase, con_id) for second, phase, con_id in walk(market) if second == 60]
    assert at_the_boundary == [(CLOSE, 1), (CLOSE, 2), (ANNOUNCE, 1), (ANNOUNCE, 2), (OPEN, 1), (OPEN, 2)]


def test_every_bar_of_a_moment_is_announced_before_anybody_is_waited_for(ib: SimpleNamespace) -> None:
    bars = ib.minute_bars(*ib.RISING[:3])
    market = Market([ib.MES, ib.SPY], {1: bars, 2: bars[::2]})  # the second does not trade in the minute between
    announced = []
    while not market.is_over:
        step, _ = market.step()
        if market.is_announced:
            closes = [(market.last_close_ns(con_id) - bars[0].open_ns) // MINUTE_NS for con_id in (1, 2)]
            announced.append(((step.ts_ns - bars[0].open_ns) // MINUTE_NS, step.con_id, *closes))
    nothing = -bars[0].open_ns // MINUTE_NS
    assert announced == [(0, 2, nothing, nothing), (1, 1, 1, 1), (2, 2, 2, 1)]


@given(PRICES)
def test_a_path_visits_every_price_of_its_bar(prices: tuple[int, int, int, int]) -> None:
    open_, close = prices[0], prices[1]
    high, low = max(prices), min(prices)
    path = bar_path(open_, high, low, close)
    assert (path[0], path[3], max(path), min(path)) == (open_, close, high, low)
    assert abs(path[1] - open_) <= abs(path[2] - open_)


@given(st.integers(4, 10**9))
def test_what_is_offered_adds_up_to_the_volume(volume: int) -> None:
    quarter, rest = offered_units(volume)
    assert 3 * quarter + rest == volume


def test_history_holds_what_closed_and_nothing_later(ib: SimpleNamespace) -> None:
    bars = ib.minute_bars(*ib.RISING)
    market = Market([ib.MES], {ib.MES.con_id: bars}, start_ns=bars[10].open_ns)
    seen = []
    while not market.is_over:
        market.step()
        closed = market.history(ib.MES.con_id, market.now_ns, 10**18, MINUTE_NS, regular=False)
        assert closed[-1].open_ns + MINUTE_NS <= market.now_ns
        seen.append(len(closed))
    assert seen == [count for bar in range(10, 30) for count in [bar] * 4 + [bar + 1]]


def test_longer_bars_are_made_of_whole_ones(ib: SimpleNamespace) -> None:
    bars = ib.minute_bars(*ib.RISING)  # from 14:30, so five-minute bars begin with the first
    market = Market([ib.MES], {ib.MES.con_id: bars}, start_ns=bars[12].open_ns)
    market.step()
    fives = market.history(ib.MES.con_id, market.now_ns, 10**18, 5 * MINUTE_NS, regular=False)
    assert [(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in fives] == [
        (24000, 24012, 23997, 24010, 2000),
        (24010, 24022, 24007, 24020, 2000),
    ]
    for _ in range(4):
        market.step()
    now = market.bar_in_the_making(ib.MES.con_id, 5 * MINUTE_NS)
    assert now == TapeBar(bars[10].open_ns, 24020, 24028, 24017, 24026, 1200)


def test_the_bar_in_the_making_never_knows_more_than_its_past(ib: SimpleNamespace) -> None:
    bars = ib.minute_bars(*ib.RISING)
    other = [*bars[:15], *ib.minute_bars(*[(1, 2, 1, 2)] * 15, first_ns=bars[15].open_ns)]
    one, two = (Market([ib.MES], {ib.MES.con_id: tape}) for tape in (bars, other))
    for _ in range(15 * 5):
        one.step(), two.step()
        assert one.bar_in_the_making(ib.MES.con_id, MINUTE_NS) == two.bar_in_the_making(ib.MES.con_id, MINUTE_NS)


def test_regular_hours_are_those_of_the_exchange(ib: SimpleNamespace) -> None:
    night = ib.START_NS - 2 * 3600 * SECOND_NS  # 06:30 in Chicago
    bars = [*ib.minute_bars(*ib.RISING[:5], first_ns=night), *ib.minute_bars(*ib.RISING[:5])]
    market = Market([ib.MES], {ib.MES.con_id: bars})
    while not market.is_over:
        market.step()
    regular = market.history(ib.MES.con_id, market.now_ns, 10**18, MINUTE_NS, regular=True)
    assert [bar.open_ns for bar in regular] == [bar.open_ns for bar in bars[5:]]


def test_five_second_bars_stop_over_a_closed_market(ib: SimpleNamespace) -> None:
    later = ib.START_NS + 3600 * SECOND_NS
    bars = [*ib.minute_bars(*ib.RISING[:2]), *ib.minute_bars(*ib.RISING[:1], first_ns=later)]
    market = Market([ib.MES], {ib.MES.con_id: bars})
    feed = RealTimeBars(1, ib.MES.con_id, ib.MES)
    sent = []
    while not market.is_over:
        step, quote = market.step()
        sent += feed.messages(market, step, quote)
    assert len(sent) == 36
    assert sum(int(message.volume) for message in sent) == 1200
    assert sent[24].time == later // SECOND_NS


@pytest.mark.parametrize(
    ("close_ns", "high", "said"),
    [
        ([MINUTE_NS, MINUTE_NS + 1], 10, "bars must be 60 s apart or more, row 1 was 1 ns after"),
        ([MINUTE_NS, 2 * MINUTE_NS], 4, "high and low must enclose open and close, row 0 did not"),
    ],
)
def test_bars_that_cannot_be_replayed_are_refused(close_ns: list[int], high: int, said: str) -> None:
    flat, top = np.array([5, 5]), np.array([high, high])
    with pytest.raises(TapeError, match=said):
        tape_of(np.array(close_ns), flat, top, flat, flat, flat, MINUTE_NS)


def test_a_session_after_the_last_bar_is_refused(ib: SimpleNamespace) -> None:
    with pytest.raises(TapeError, match="no bars after the start of the session"):
        Market([ib.MES], {ib.MES.con_id: ib.minute_bars(*ib.RISING)}, start_ns=2**62)

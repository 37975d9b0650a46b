"""Which bars are news: once each, in order, whole, and young enough to act upon."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rl_strategies.live.data.bar_filter import BarFilter
from tests.live.bars import MINUTE_NS, TICK_RAW, bar_at, utc_ns

OPEN_NS = utc_ns("2024-12-02T14:30")
SECOND_NS = 10**9


@pytest.fixture
def gate() -> BarFilter:
    """A gate that has taken in the bar of 14:30 to 14:31."""
    gate = BarFilter(MINUTE_NS, TICK_RAW)
    gate.last_ns = OPEN_NS + MINUTE_NS
    return gate


@pytest.mark.parametrize(
    ("opened", "arrives", "verdict"),
    [
        ("14:31", "14:32:00", "next"),
        ("14:31", "14:32:29", "next"),
        ("14:31", "14:32:30", "next"),  # a minute and a half after its open, and not more
        ("14:31", "14:32:31", "stale"),
        ("14:32", "14:33:00", "gap"),
        ("14:39", "14:40:10", "gap"),
        ("14:39", "14:50:00", "stale"),
        ("14:30", "14:31:01", "duplicate"),
        ("14:29", "14:31:01", "duplicate"),
        ("14:30", "18:00:00", "duplicate"),
        ("14:31", "14:31:58", "unfinished"),
        ("14:31", "14:31:59", "next"),  # the broker tells its clock in whole seconds
        ("14:35", "14:32:00", "unfinished"),
    ],
)
def test_time_decides(gate: BarFilter, opened: str, arrives: str, verdict: str) -> None:
    open_ns = utc_ns(f"2024-12-02T{opened}")
    judged = gate.judge(bar_at(open_ns), utc_ns(f"2024-12-02T{arrives}"))
    assert judged.verdict == verdict
    assert judged.bar.ts_event == open_ns + MINUTE_NS


@pytest.mark.parametrize(
    "prices",
    [
        (0, 4, 0, 1),
        (-5, 4, -6, 1),
        (-5, -4, -6, -5),
    ],
)
def test_prices_that_are_none_are_refused(gate: BarFilter, prices: tuple[int, ...]) -> None:
    now_ns = OPEN_NS + 2 * MINUTE_NS
    assert gate.judge(bar_at(OPEN_NS + MINUTE_NS, prices), now_ns).verdict == "corrupt"
    assert gate.judge(bar_at(OPEN_NS + MINUTE_NS, (7, 7, 7, 7)), now_ns).verdict == "next"


def test_prices_between_two_ticks_are_refused() -> None:
    quarters = BarFilter(MINUTE_NS, 25 * TICK_RAW)
    quarters.last_ns = OPEN_NS
    on, off = bar_at(OPEN_NS, (50000, 50025, 49975, 50000)), bar_at(OPEN_NS, (50000, 50025, 49975, 50001))
    assert quarters.judge(on, OPEN_NS + MINUTE_NS).verdict == "next"
    assert quarters.judge(off, OPEN_NS + MINUTE_NS).verdict == "corrupt"


def test_everything_but_the_time_stays_as_the_broker_sent_it(gate: BarFilter) -> None:
    sent = bar_at(OPEN_NS + MINUTE_NS, (50000, 50004, 49997, 50001), volume=321)
    kept = gate.judge(sent, OPEN_NS + 2 * MINUTE_NS).bar
    assert [str(value) for value in (kept.open, kept.high, kept.low, kept.close)] == [
        "500.00", "500.04", "499.97", "500.01",
    ]  # fmt: skip
    assert (int(kept.volume), kept.ts_init, kept.bar_type) == (321, sent.ts_init, sent.bar_type)


@example(arrivals=[(0, 59)])
@given(arrivals=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 900)), max_size=40))
def test_what_passes_is_in_order_and_passes_once(arrivals: list[tuple[int, int]]) -> None:
    gate = BarFilter(MINUTE_NS, TICK_RAW)
    gate.last_ns = OPEN_NS
    passed = []
    for minute, seconds in arrivals:
        judged = gate.judge(bar_at(OPEN_NS + minute * MINUTE_NS), OPEN_NS + seconds * SECOND_NS)
        if judged.verdict in ("next", "gap", "stale"):
            assert (judged.verdict == "gap") <= (judged.bar.ts_event > gate.last_ns + MINUTE_NS)
            gate.last_ns = judged.bar.ts_event
            passed.append(minute)
            # The broker tells its clock in whole seconds: up to one less.
            assert seconds >= (minute + 1) * 60 - 1, "a bar passes only when it is closed"
    assert passed == sorted(set(passed))

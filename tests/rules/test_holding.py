"""How long a position is held: time limit and minimum hold. Numbered as in docs/risk.md."""

import pytest
from msgspec.structs import replace

from tests.rules.day import NO_LIMIT, At, Story

LONG, FLAT, SHORT = 1, 0, -1
HOLD_TWO = replace(NO_LIMIT, minimum_hold_bars=2)

STORIES = {
    "T1": Story(  # closed on the third bar after the entry's: not on the second, not on the fourth
        NO_LIMIT,
        [
            At("09:31", 500.0, LONG, "+100 approved"),
            At("09:32", 500.0, LONG, "+100 approved"),
            At("09:33", 500.0, LONG, "+100 approved"),
            At("09:34", 500.0, LONG, "+0 time_limit"),
            At("09:35", 500.0, LONG, "+100 approved"),
        ],
        time_limit_bars=3,
    ),
    "T2": Story(  # a short position whose reversal is wanted at that very bar only goes flat
        NO_LIMIT,
        [
            At("09:31", 500.0, SHORT, "-100 approved"),
            At("09:32", 500.0, SHORT, "-100 approved"),
            At("09:33", 500.0, LONG, "+0 time_limit"),
        ],
        time_limit_bars=2,
    ),
    "T3": Story(  # a reversal is an entry: its bars count from there
        NO_LIMIT,
        [
            At("09:31", 500.0, LONG, "+100 approved"),
            At("09:32", 500.0, SHORT, "-100 approved"),
            At("09:33", 500.0, SHORT, "-100 approved"),
            At("09:34", 500.0, SHORT, "+0 time_limit"),
        ],
        time_limit_bars=2,
    ),
    "T4": Story(  # a bar that is missing does not count
        NO_LIMIT,
        [
            At("09:31", (500.0, 50.0), (LONG, LONG), "+100 approved, +100 approved"),
            At("09:32", (500.0, None), (LONG, LONG), "+100 approved, +100 approved"),
            At("09:33", (500.0, 50.0), (LONG, LONG), "+0 time_limit, +100 approved"),
            At("09:34", (500.0, 50.0), (FLAT, LONG), "+0 approved, +0 time_limit"),
        ],
        time_limit_bars=2,
    ),
    "T5": Story(  # without a limit nothing ends by itself; flat, nothing ages
        NO_LIMIT,
        [
            At("09:31", (500.0, 50.0), (LONG, FLAT), "+100 approved, +0 approved"),
            At("15:58", (500.0, 50.0), (LONG, LONG), "+100 approved, +100 approved"),
        ],
    ),
    "T6": Story(  # kept on the first bar after the entry's, free on the second
        HOLD_TWO,
        [
            At("09:31", 500.0, LONG, "+100 approved"),
            At("09:32", 500.0, FLAT, "+100 minimum_hold"),
            At("09:33", 500.0, FLAT, "+0 approved"),
        ],
    ),
    "T7": Story(  # a reversal must wait as well
        HOLD_TWO,
        [
            At("09:31", 500.0, SHORT, "-100 approved"),
            At("09:32", 500.0, LONG, "-100 minimum_hold"),
            At("09:33", 500.0, LONG, "+100 approved"),
            At("09:34", 500.0, SHORT, "+100 minimum_hold"),
        ],
    ),
    "T8": Story(  # the time limit goes before the minimum hold
        replace(NO_LIMIT, minimum_hold_bars=9),
        [
            At("09:31", 500.0, LONG, "+100 approved"),
            At("09:32", 500.0, FLAT, "+0 time_limit"),
        ],
        time_limit_bars=1,
    ),
    "T9": Story(  # and so does a halt: 100 shares lost 10.00 USD each, 1 % of 100,000
        replace(NO_LIMIT, minimum_hold_bars=9, max_daily_loss=0.01),
        [
            At("09:31", 500.0, LONG, "+100 approved"),
            At("09:32", 490.0, LONG, "+0 daily_loss"),
        ],
    ),
    "T10": Story(  # a single unit ages as any other, long
        NO_LIMIT,
        [
            At("09:31", 500.0, LONG, "+1 approved"),
            At("09:32", 500.0, LONG, "+0 time_limit"),
        ],
        units=1,
        time_limit_bars=1,
    ),
    "T11": Story(  # and short
        NO_LIMIT,
        [
            At("09:31", 500.0, SHORT, "-1 approved"),
            At("09:32", 500.0, SHORT, "+0 time_limit"),
        ],
        units=1,
        time_limit_bars=1,
    ),
}


@pytest.mark.parametrize("story", [pytest.param(story, id=number) for number, story in STORIES.items()])
def test_holding(story: Story) -> None:
    assert story.outcome() == story.expected

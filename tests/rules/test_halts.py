"""Losses that end a session or all trading. Numbered as in docs/risk.md.

100 shares bought at 500.00: a move of 1.00 USD is 100 USD, a tenth of a percent of the 100,000 that a day begins with.
"""

import pytest
from msgspec.structs import replace

from tests.rules.day import NO_LIMIT, At, Story

LONG, FLAT, SHORT = 1, 0, -1
LOSS = replace(NO_LIMIT, max_daily_loss=0.01)
DRAWDOWN = replace(NO_LIMIT, max_daily_drawdown=0.01)

STORIES = {
    "H1": Story(  # 99,001 USD are enough, 99,000 are not
        LOSS,
        [
            At("09:31", 500.00, LONG, "+100 approved"),
            At("09:32", 490.01, LONG, "+100 approved"),
            At("09:33", 490.00, LONG, "+0 daily_loss"),
        ],
    ),
    "H2": Story(  # a short position loses when the price rises
        LOSS,
        [
            At("09:31", 500.00, SHORT, "-100 approved"),
            At("09:32", 509.99, SHORT, "-100 approved"),
            At("09:33", 510.00, SHORT, "+0 daily_loss"),
        ],
    ),
    "H3": Story(  # what is flat stays flat until the session ends; staying out is no refusal
        LOSS,
        [
            At("09:31", 500.00, LONG, "+100 approved"),
            At("09:32", 480.00, LONG, "+0 daily_loss"),
            At("09:33", 500.00, LONG, "+0 daily_loss"),
            At("09:34", 500.00, FLAT, "+0 approved"),
            At("15:58", 500.00, SHORT, "+0 daily_loss"),
        ],
    ),
    "H4": Story(  # a day that begins with 98,000 may lose 980: at 97,021 it trades, at 97,020 it does not
        LOSS,
        [
            At("09:31", 500.00, LONG, "+100 approved"),
            At("09:32", 480.00, LONG, "+0 daily_loss"),
            At("2024-12-04 09:31", 480.00, LONG, "+100 approved"),
            At("2024-12-04 09:32", 470.21, LONG, "+100 approved"),
            At("2024-12-04 09:33", 470.20, LONG, "+0 daily_loss"),
        ],
    ),
    "H5": Story(  # the peak is 101,000: 100,001 is enough, 100,000 is not
        DRAWDOWN,
        [
            At("09:31", 500.00, LONG, "+100 approved"),
            At("09:32", 510.00, LONG, "+100 approved"),
            At("09:33", 500.01, LONG, "+100 approved"),
            At("09:34", 500.00, LONG, "+0 daily_drawdown"),
            At("09:35", 510.00, LONG, "+0 daily_drawdown"),
        ],
    ),
    "H6": Story(  # a session that never rose has its peak where it began
        DRAWDOWN,
        [
            At("09:31", 500.00, SHORT, "-100 approved"),
            At("09:32", 509.99, SHORT, "-100 approved"),
            At("09:33", 510.00, SHORT, "+0 daily_drawdown"),
        ],
    ),
    "H7": Story(  # the next session has a peak of its own: it begins with 101,000 and may fall 1,010 below its highest
        DRAWDOWN,
        [
            At("09:31", 500.00, LONG, "+100 approved"),
            At("09:32", 515.00, LONG, "+100 approved"),
            At("09:33", 510.00, FLAT, "+0 approved"),
            At("2024-12-04 09:31", 510.00, LONG, "+100 approved"),
            At("2024-12-04 09:32", 499.91, LONG, "+100 approved"),
            At("2024-12-04 09:33", 499.90, LONG, "+0 daily_drawdown"),
        ],
    ),
    "H8": Story(  # where both are reached at once the loss is named
        replace(NO_LIMIT, max_daily_loss=0.01, max_daily_drawdown=0.01),
        [
            At("09:31", 500.00, LONG, "+100 approved"),
            At("09:32", 490.00, LONG, "+0 daily_loss"),
        ],
    ),
    "H9": Story(  # a position closed at a loss still counts; 50 shares each lost 10.00 USD
        LOSS,
        [
            At("09:31", (500.0, 100.0), (LONG, FLAT), "+50 approved, +0 approved"),
            At("09:32", (490.0, 100.0), (FLAT, SHORT), "+0 approved, -50 approved"),
            At("09:33", (490.0, 109.99), (FLAT, SHORT), "+0 approved, -50 approved"),
            At("09:34", (490.0, 110.0), (FLAT, SHORT), "+0 approved, +0 daily_loss"),
        ],
        units=50,
    ),
    "H10": Story(  # half of the starting balance: 50,001 USD go on, 50,000 do not, nor does the next day
        replace(NO_LIMIT, ruin=0.5),
        [
            At("09:31", 600.00, LONG, "+100 approved"),
            At("09:32", 100.01, LONG, "+100 approved"),
            At("09:33", 100.00, LONG, "ruined"),
            At("2024-12-04 09:31", 600.00, LONG, "ruined"),
        ],
    ),
    "H11": Story(  # it counts from the balance trading began with, not from a later peak or session
        replace(NO_LIMIT, ruin=0.5),
        [
            At("09:31", 500.00, LONG, "+100 approved"),
            At("2024-12-04 09:31", 1500.00, LONG, "+100 approved"),
            At("2024-12-05 09:31", 0.01, LONG, "+100 approved"),
        ],
    ),
    "H12": Story(  # without a limit, trading ends when nothing is left: 1 cent goes on, 0 does not
        NO_LIMIT,
        [
            At("09:31", 500.00, SHORT, "-1 approved"),
            At("09:32", 100_499.99, SHORT, "-1 approved"),
            At("09:33", 100_500.00, SHORT, "ruined"),
        ],
        units=1,
    ),
}


@pytest.mark.parametrize("story", [pytest.param(story, id=number) for number, story in STORIES.items()])
def test_halt(story: Story) -> None:
    assert story.outcome() == story.expected

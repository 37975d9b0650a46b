"""Which entries are granted, and when: counts, hours, missing bars, thin volume. Numbered as in docs/risk.md."""

import pytest
from msgspec.structs import replace

from rl_strategies.decision.core import DecisionCore
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from tests.rules.day import NO_LIMIT, PLAN, At, Story, share, time_ns

LONG, FLAT, SHORT = 1, 0, -1
TWO_ENTRIES = replace(NO_LIMIT, max_entries_per_session=2)
ONE_ENTRY = replace(NO_LIMIT, max_entries_per_session=1)
FIRST_FIVE = replace(NO_LIMIT, no_trade_first_minutes=5)
LAST_TEN = replace(NO_LIMIT, no_trade_last_minutes=10)
NO_ENTRY_IN_THE_LAST_HOUR = replace(NO_LIMIT, no_entry_before_expiry_minutes=60)
NO_ENTRY_IN_THE_LAST_DAY = replace(NO_LIMIT, no_entry_before_expiry_minutes=1440)
FLAT_BY_FIVE_TO = replace(NO_LIMIT, flatten_before_close_minutes=5)

STORIES = {
    "E1": Story(  # the third entry from flat is one too many
        TWO_ENTRIES,
        [
            At("09:31", 500.0, LONG, "+100 approved"),
            At("09:32", 500.0, FLAT, "+0 approved"),
            At("09:33", 500.0, SHORT, "-100 approved"),
            At("09:34", 500.0, FLAT, "+0 approved"),
            At("09:35", 500.0, LONG, "+0 entry_limit"),
        ],
    ),
    "E2": Story(  # a reversal is an entry; a refused one leaves the old side all the same
        TWO_ENTRIES,
        [
            At("09:31", 500.0, LONG, "+100 approved"),
            At("09:32", 500.0, SHORT, "-100 approved"),
            At("09:33", 500.0, LONG, "+0 entry_limit"),
        ],
    ),
    "E3": Story(  # the next session counts from zero
        ONE_ENTRY,
        [
            At("09:31", 500.0, LONG, "+100 approved"),
            At("09:32", 500.0, FLAT, "+0 approved"),
            At("15:50", 500.0, LONG, "+0 entry_limit"),
            At("2024-12-04 09:31", 500.0, LONG, "+100 approved"),
            At("2024-12-04 09:32", 500.0, FLAT, "+0 approved"),
            At("2024-12-04 09:33", 500.0, LONG, "+0 entry_limit"),
        ],
    ),
    "E4": Story(  # what is held at the limit is held on, and may be left
        ONE_ENTRY,
        [
            At("09:31", 500.0, SHORT, "-100 approved"),
            At("09:32", 500.0, SHORT, "-100 approved"),
            At("09:33", 500.0, FLAT, "+0 approved"),
        ],
    ),
    "E5": Story(  # every instrument has a count of its own
        ONE_ENTRY,
        [
            At("09:31", (500.0, 50.0), (LONG, FLAT), "+100 approved, +0 approved"),
            At("09:32", (500.0, 50.0), (FLAT, LONG), "+0 approved, +100 approved"),
            At("09:33", (500.0, 50.0), (LONG, LONG), "+0 entry_limit, +100 approved"),
        ],
    ),
    "E6": Story(  # the bar that closes four minutes after the open, and the one after five
        FIRST_FIVE,
        [
            At("09:34", 500.0, LONG, "+0 no_trade_window"),
            At("09:35", 500.0, LONG, "+100 approved"),
        ],
    ),
    "E7": Story(  # ten minutes before the close, and nine
        LAST_TEN,
        [
            At("15:50", (500.0, 50.0), (LONG, FLAT), "+100 approved, +0 approved"),
            At("15:51", (500.0, 50.0), (LONG, LONG), "+100 approved, +0 no_trade_window"),
        ],
    ),
    "E8": Story(  # exits are free inside the window, a reversal becomes an exit
        LAST_TEN,
        [
            At("15:50", (500.0, 50.0), (LONG, SHORT), "+100 approved, -100 approved"),
            At("15:51", (500.0, 50.0), (FLAT, LONG), "+0 approved, +0 no_trade_window"),
        ],
    ),
    "E9": Story(  # the last decision is a bar before the closing time; from then on the overlay changes nothing
        FLAT_BY_FIVE_TO,
        [
            At("15:53", (500.0, 50.0), (FLAT, LONG), "+0 approved, +100 approved"),
            At("15:54", (500.0, 50.0), (LONG, LONG), "+100 approved, +100 approved"),
            At("15:55", (500.0, 50.0), (FLAT, LONG), "+100 session_closed, +100 approved"),
        ],
    ),
    "E10": Story(  # without a bar an instrument is neither entered nor left
        NO_LIMIT,
        [
            At("09:31", (500.0, 50.0), (FLAT, LONG), "+0 approved, +100 approved"),
            At("09:32", (500.0, None), (LONG, FLAT), "+100 approved, +100 stale_bar"),
            At("09:33", (500.0, None), (LONG, LONG), "+100 approved, +100 approved"),
            At("09:34", (None, 50.0), (SHORT, FLAT), "+100 stale_bar, +0 approved"),
            At("09:35", (500.0, None), (LONG, LONG), "+100 approved, +0 stale_bar"),
        ],
    ),
    "E11": Story(  # a quarter of the bar's volume, and one share beyond it
        NO_LIMIT,
        [
            At("09:31", 500.0, LONG, "+0 thin_volume", volume=399),
            At("09:32", 500.0, LONG, "+100 approved", volume=400),
        ],
    ),
    "E12": Story(  # exits are free on thin bars, a reversal becomes an exit
        NO_LIMIT,
        [
            At("09:31", (500.0, 50.0), (LONG, SHORT), "+100 approved, -100 approved"),
            At("09:32", (500.0, 50.0), (FLAT, LONG), "+0 approved, +0 thin_volume", volume=7),
        ],
    ),
    "E13": Story(  # a single unit is always granted
        NO_LIMIT,
        [
            At("09:31", 500.0, LONG, "+1 approved", volume=0),
            At("09:32", 500.0, SHORT, "-1 approved", volume=3),
        ],
        units=1,
    ),
    "E16": Story(  # two need a volume of eight
        NO_LIMIT,
        [
            At("09:31", 500.0, LONG, "+0 thin_volume", volume=7),
            At("09:32", 500.0, LONG, "+2 approved", volume=8),
        ],
        units=2,
    ),
    "E21": Story(  # sixty minutes before the last trade, and fifty-nine; exits are free, a reversal becomes an exit
        NO_ENTRY_IN_THE_LAST_HOUR,
        [
            At("11:00", (500.0, 50.0), (LONG, FLAT), "+100 approved, +0 approved"),
            At("11:01", (500.0, 50.0), (SHORT, LONG), "+0 expiry, +100 approved"),
            At("11:02", (500.0, 50.0), (LONG, SHORT), "+0 expiry, -100 approved"),
        ],
        expires="12:00",
    ),
    "E22": Story(  # the limit may reach into the session before
        NO_ENTRY_IN_THE_LAST_DAY,
        [
            At("2024-12-02 12:00", 500.0, LONG, "+100 approved"),
            At("2024-12-02 12:01", 500.0, FLAT, "+0 approved"),
            At("2024-12-02 12:02", 500.0, LONG, "+0 expiry"),
            At("09:31", 500.0, LONG, "+0 expiry"),
        ],
        expires="12:00",
    ),
    "E23": Story(  # the session of the expiry closes at the last trade
        replace(LAST_TEN, flatten_before_close_minutes=5),
        [
            At("11:50", (500.0, 50.0), (FLAT, LONG), "+0 approved, +100 approved"),
            At("11:51", (500.0, 50.0), (LONG, LONG), "+0 no_trade_window, +100 approved"),
            At("11:55", (500.0, 50.0), (LONG, LONG), "+0 session_closed, +100 approved"),
        ],
        expires="12:00",
    ),
    "E26": Story(  # with the tick of prices below one dollar nothing is entered above it; exits are free
        NO_LIMIT,
        [
            At("09:31", (0.9999, 0.9999), (LONG, SHORT), "+100 approved, -100 approved"),
            At("09:32", (1.0, 1.0), (LONG, FLAT), "+100 approved, +0 approved"),
            At("09:33", (1.0, 1.0), (FLAT, LONG), "+0 approved, +0 one_dollar"),
            At("09:34", (0.9999, 1.2), (LONG, SHORT), "+100 approved, +0 one_dollar"),
        ],
        tick="0.0001",
    ),
}


@pytest.mark.parametrize("story", [pytest.param(story, id=number) for number, story in STORIES.items()])
def test_entry(story: Story) -> None:
    assert story.outcome() == story.expected


@pytest.mark.parametrize(
    ("day", "expires", "opens", "flat"),
    [
        pytest.param("2024-12-03", "", "09:30", "15:55", id="E14"),
        pytest.param("2024-11-29", "", "09:30", "12:55", id="E15"),  # a half day
        pytest.param("2024-12-03", "12:00", "09:30", "11:55", id="E24"),
        pytest.param("2024-12-02", "12:00", "09:30", "15:55", id="E25"),  # the day before
    ],
)
def test_hours_of_a_session(day: str, expires: str, opens: str, flat: str) -> None:
    core = DecisionCore([share("AAA", expires)], PLAN, TradingConfig(risk=FLAT_BY_FIVE_TO), ExecutionConfig())
    core.begin_session(core.instruments[0].on_bar(time_ns(f"{day} 09:31"), 50_000, 50_000, 50_000, 50_000, 400))
    assert core.flat_ns(0) == core.last_flat_ns == time_ns(f"{day} {flat}")
    assert core.instruments[0].session_hours(core.session_date)[0] == time_ns(f"{day} {opens}")


@pytest.mark.parametrize(
    ("clock", "is_open"),
    [
        pytest.param("09:30", 0, id="E17"),
        pytest.param("09:31", 1, id="E18"),
        pytest.param("15:54", 1, id="E19"),
        pytest.param("15:55", 0, id="E20"),
    ],
)
def test_when_a_decision_lies_in_the_session(clock: str, is_open: int) -> None:
    core = DecisionCore([share("AAA")], PLAN, TradingConfig(risk=FLAT_BY_FIVE_TO), ExecutionConfig())
    core.begin_session(core.instruments[0].on_bar(time_ns("09:31"), 50_000, 50_000, 50_000, 50_000, 400))
    core.look(time_ns(clock))
    assert core.legs["is_open"].item() == is_open

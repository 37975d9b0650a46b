"""Sessions against times written out by hand from the exchanges' published hours."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.errors import InputError
from catalogs.sessions import (
    SESSION_COLUMNS,
    has_extended_hours,
    session_arrays,
    session_calendar,
    session_columns,
    session_row,
)

NYSE = "NYSE"
GLOBEX = "CME Globex Equity"
MINUTE_NS = 60 * 10**9


def utc(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


def hours(name: str, day: str) -> tuple[str, str] | None:
    calendar = session_calendar(name)
    [found] = np.flatnonzero(calendar.session_date == np.datetime64(day)) if day_traded(name, day) else [None]
    if found is None:
        return None
    spans = (calendar.open_ns[found], calendar.close_ns[found])
    return tuple(str(np.datetime64(int(ts), "ns"))[:16] for ts in spans)


def day_traded(name: str, day: str) -> bool:
    return bool((session_calendar(name).session_date == np.datetime64(day)).any())


@pytest.mark.parametrize(
    ("name", "day", "opening", "closing"),
    [
        # New York is UTC-5 in winter and UTC-4 in summer; the clocks change on the Sundays between these days.
        (NYSE, "2025-03-07", "2025-03-07T14:30", "2025-03-07T21:00"),
        (NYSE, "2025-03-10", "2025-03-10T13:30", "2025-03-10T20:00"),
        (NYSE, "2024-11-01", "2024-11-01T13:30", "2024-11-01T20:00"),
        (NYSE, "2024-11-04", "2024-11-04T14:30", "2024-11-04T21:00"),
        (NYSE, "2024-11-29", "2024-11-29T14:30", "2024-11-29T18:00"),  # day after Thanksgiving, to 13:00
        (NYSE, "2025-07-03", "2025-07-03T13:30", "2025-07-03T17:00"),  # eve of Independence Day, to 13:00
        # Chicago is one hour behind: 17:00 is 23:00 UTC in winter, 22:00 in summer.
        (GLOBEX, "2025-03-07", "2025-03-06T23:00", "2025-03-07T22:00"),
        (GLOBEX, "2025-03-10", "2025-03-09T22:00", "2025-03-10T21:00"),
        (GLOBEX, "2024-11-04", "2024-11-03T23:00", "2024-11-04T22:00"),
        (GLOBEX, "2024-11-28", "2024-11-27T23:00", "2024-11-28T18:00"),  # Thanksgiving, to 12:00
        (GLOBEX, "2024-11-29", "2024-11-28T23:00", "2024-11-29T18:15"),  # the day after, to 12:15
        (GLOBEX, "2025-07-04", "2025-07-03T22:00", "2025-07-04T17:00"),  # Independence Day, to 12:00
        (GLOBEX, "2018-12-05", "2018-12-04T23:00", "2018-12-05T14:30"),  # mourning for G. H. W. Bush, to 08:30
        (GLOBEX, "2025-01-09", "2025-01-08T23:00", "2025-01-09T14:30"),  # mourning for Carter, to 08:30
        (GLOBEX, "2015-04-03", "2015-04-02T22:00", "2015-04-03T13:15"),  # Good Fridays with employment report,
        (GLOBEX, "2021-04-02", "2021-04-01T22:00", "2021-04-02T13:15"),  # to 08:15
        (GLOBEX, "2023-04-07", "2023-04-06T22:00", "2023-04-07T13:15"),
        (GLOBEX, "2026-04-03", "2026-04-02T22:00", "2026-04-03T13:15"),
    ],
)
def test_hours_are_those_the_exchange_kept(name: str, day: str, opening: str, closing: str) -> None:
    assert hours(name, day) == (opening, closing)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        (NYSE, "2018-12-05"),
        (NYSE, "2025-01-09"),
        (NYSE, "2025-04-18"),
        (NYSE, "2025-07-04"),
        (GLOBEX, "2022-04-15"),  # Good Fridays without employment report
        (GLOBEX, "2024-03-29"),
        (GLOBEX, "2025-04-18"),
        (GLOBEX, "2027-03-26"),
        (GLOBEX, "2024-12-25"),
    ],
)
def test_closed_days_have_no_session(name: str, day: str) -> None:
    assert not day_traded(name, day)


def test_a_bar_belongs_to_the_session_whose_open_it_follows_and_whose_close_it_meets() -> None:
    calendar = session_calendar(GLOBEX)
    times = [
        ("2025-03-09T22:00", None),  # the open itself closes no bar of the session
        ("2025-03-09T22:01", "2025-03-10"),
        ("2025-03-10T21:00", "2025-03-10"),
        ("2025-03-10T21:01", None),  # the daily pause
        ("2025-03-10T22:00", None),
        ("2025-03-10T22:01", "2025-03-11"),
        ("2025-03-15T12:00", None),  # Saturday
        ("1980-01-02T12:00", None),
    ]
    found = calendar.locate(np.array([utc(text) for text, _ in times]))
    assert [calendar.contains(utc(text)) for text, _ in times] == [day is not None for _, day in times]
    dates = [str(calendar.session_date[i]) if i >= 0 else None for i in found]
    assert dates == [day for _, day in times]


def row(name: str, text: str) -> dict[str, float]:
    values = session_columns(session_calendar(name), np.array([utc(text)]))[0]
    return dict(zip(SESSION_COLUMNS, values.tolist(), strict=True))


def test_columns_of_a_globex_bar_on_the_evening_after_the_clocks_changed() -> None:
    got = row(GLOBEX, "2025-03-09T22:30")  # Sunday 17:30 in Chicago, session of Monday
    session = int(got.pop("session"))
    assert str(session_calendar(GLOBEX).session_date[session]) == "2025-03-10"
    assert got == {
        "minutes_since_open": 30.0,
        "minutes_to_close": 1350.0,  # 23 hours less 30 minutes
        "minute_of_day": 1050.0,  # 17:30
        "weekday": 0.0,
        "rth": 0.0,
    }


@pytest.mark.parametrize(
    ("text", "rth"),
    [
        ("2025-03-10T13:30", 0.0),  # 09:30 in New York: the bar that ends there is before the open
        ("2025-03-10T13:31", 1.0),
        ("2025-03-10T20:00", 1.0),
        ("2025-03-10T20:01", 0.0),
        ("2024-11-29T18:00", 1.0),  # the NYSE closes at 13:00, Globex at 13:15
        ("2024-11-29T18:01", 0.0),
        ("2024-11-28T15:30", 0.0),  # Thanksgiving: the NYSE is closed
    ],
)
def test_regular_trading_hours_are_those_of_the_nyse_on_that_date(text: str, rth: float) -> None:
    assert row(GLOBEX, text)["rth"] == rth


def test_midnight_is_minute_zero() -> None:
    assert row(GLOBEX, "2025-03-10T05:00")["minute_of_day"] == 0.0
    assert row(GLOBEX, "2025-03-10T04:59")["minute_of_day"] == 1439.0


def test_a_bar_outside_every_session_has_nan_columns() -> None:
    outside = np.array([utc("1980-01-02T12:00"), utc("2025-03-10T21:30"), utc("2025-03-15T12:00")])
    assert np.isnan(session_columns(session_calendar(GLOBEX), outside)).all()


# Around the opens and closes of a week in which the clocks change, to the nanosecond.
edges = [
    utc(f"2024-11-0{day}T{hour}:00") + delta
    for day, hour in [(1, 21), (3, 23), (4, 22), (4, 23), (5, 22), (5, 23)]
    for delta in (-60 * 10**9, -1, 0, 1, 60 * 10**9)
]


@given(st.lists(st.sampled_from(edges), min_size=1, max_size=40))
def test_row_by_row_gives_the_bits_of_the_batch_in_any_order(times: list[int]) -> None:
    calendar = session_calendar(GLOBEX)
    batch = session_columns(calendar, np.array(times))
    sessions, cursor, live = session_arrays(calendar), np.full(1, -1), np.empty_like(batch)
    for ts_ns, row in zip(times, live, strict=True):
        session_row(ts_ns, sessions, cursor, row)
    assert live.tobytes() == batch.tobytes()
    located = calendar.locate(np.array(times))
    assert np.array_equal(np.where(np.isnan(batch[:, 0]), -1, batch[:, 0]), located)


def test_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        session_calendar(NYSE).open_ns[0] = 0


def test_the_hash_of_a_span_does_not_depend_on_the_rest_of_the_calendar() -> None:
    whole = session_calendar(NYSE)
    shorter = type(whole)(whole.name, *(column[:-200] for column in list(vars(whole).values())[1:]))
    start, end = utc("2024-01-02T15:00"), utc("2024-06-28T20:00")
    assert shorter.hash != whole.hash
    assert shorter.hash_between(start, end) == whole.hash_between(start, end)
    assert whole.hash_between(start, end) != whole.hash_between(start, utc("2024-07-01T20:00"))


def test_only_globex_trades_outside_regular_hours() -> None:
    assert has_extended_hours(GLOBEX)
    assert not has_extended_hours(NYSE)


def test_an_unknown_calendar_is_refused() -> None:
    with pytest.raises(InputError, match=r"'NYSE', 'CME Globex Equity', .*, was 'LSE'"):
        session_calendar("LSE")


@pytest.mark.parametrize("root", ["es", "nq"])
def test_globex_sessions_are_those_in_which_es_and_nq_really_traded(shared_data: Path, root: str) -> None:
    frame = pd.read_parquet(shared_data / f"{root}_5min_contracts_202405_202509.parquet")
    calendar = session_calendar(GLOBEX)
    closes = frame["ts_event"].astype("int64").to_numpy() + 5 * MINUTE_NS
    session = calendar.locate(closes)
    assert (session >= 0).all()
    traded = np.unique(session)
    silent = np.setdiff1d(np.arange(traded[0], traded[-1] + 1), traded)
    assert [str(day) for day in calendar.session_date[silent]] == ["2025-06-30"]  # a hole in the data
    # Every session but the last, which the data cut off, trades to its close.
    last_trade = pd.Series(closes).groupby(session).max().to_numpy()
    assert (calendar.close_ns[traded] - last_trade)[:-1].max() <= 10 * MINUTE_NS

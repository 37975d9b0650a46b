"""The cache of exchange hours, and the hours against an independent library."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from catalogs import exchange_hours as module
from catalogs.exchange_hours import exchange_hours

LAST_DAY = date(1991, 12, 31)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RL_INTRADAY_CACHE", str(tmp_path))
    return tmp_path


def test_hours_are_computed_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = exchange_hours("NYSE", LAST_DAY)
    monkeypatch.setattr(module, "_computed", lambda *_: pytest.fail("computed again"))
    again = exchange_hours("NYSE", LAST_DAY)
    assert first.keys() == again.keys()
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_a_damaged_cache_file_is_replaced(cache: Path) -> None:
    whole = exchange_hours("NYSE", LAST_DAY)
    [file] = (cache / "exchange_hours").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert np.array_equal(exchange_hours("NYSE", LAST_DAY)["open_ns"], whole["open_ns"])


def test_a_changed_override_is_not_answered_from_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = exchange_hours("CME Globex Equity", LAST_DAY)
    monkeypatch.setitem(module.OVERRIDES["CME Globex Equity"], date(1991, 3, 5), None)
    after = exchange_hours("CME Globex Equity", LAST_DAY)
    assert set(before["session_date"]) - set(after["session_date"]) == {np.datetime64("1991-03-05")}


EQUITY, RATES, METALS = "CME Globex Equity", "CME Globex Interest Rate Products", "CMEGlobex_EnergyAndMetals"


@pytest.mark.parametrize(
    ("name", "day", "closes"),
    [
        # A broker's copy of the exchange's schedule of 2026 (edgeclear.com).
        (EQUITY, "2026-01-19", "12:00"), (RATES, "2026-01-19", "12:00"), (METALS, "2026-01-19", "13:30"),
        # The exchange's files of 2026, as a user of the library compared them (its issue 464).
        (METALS, "2026-06-19", "12:00"), (METALS, "2026-07-03", "12:00"), (METALS, "2026-09-07", "13:30"),
        (METALS, "2026-11-27", "13:45"),
        # The exchange's notice of 2024-12-30.
        (EQUITY, "2025-01-09", "08:30"), (RATES, "2025-01-09", "12:15"), (METALS, "2025-01-09", "16:00"),
        # A list of the day (zerohedge.com): 1:45 in New York.
        (METALS, "2013-12-24", "12:45"),
        (METALS, "2024-09-02", "13:30"),
        # Good Friday: the employment report falls on that of 2026 alone.
        (EQUITY, "2026-04-03", "08:15"), (RATES, "2026-04-03", "10:15"), (METALS, "2026-04-03", ""),
        (EQUITY, "2025-04-18", ""), (RATES, "2025-04-18", ""), (METALS, "2025-04-18", ""),
        (METALS, "2025-07-08", "16:00"),
    ],
)  # fmt: skip
def test_days_on_which_globex_closes_early(name: str, day: str, closes: str) -> None:
    hours = exchange_hours(name, date(2027, 12, 31))
    [rows] = np.nonzero(hours["session_date"] == np.datetime64(day))
    local = [(hours["close_ns"][row] + hours["utc_offset_ns"][row]).astype("datetime64[ns]") for row in rows]
    assert [str(moment)[11:16] for moment in local] == ([closes] if closes else [])


def test_nyse_hours_equal_those_of_exchange_calendars() -> None:
    exchange_calendars = pytest.importorskip("exchange_calendars")
    independent = exchange_calendars.get_calendar("XNYS", start="2010-01-01", end="2026-06-30").schedule
    hours = exchange_hours("NYSE", date(2026, 6, 30))
    since_2010 = hours["session_date"] >= np.datetime64("2010-01-01")
    assert np.array_equal(hours["open_ns"][since_2010], independent["open"].astype("int64"))
    assert np.array_equal(hours["close_ns"][since_2010], independent["close"].astype("int64"))

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


def test_nyse_hours_equal_those_of_exchange_calendars() -> None:
    exchange_calendars = pytest.importorskip("exchange_calendars")
    independent = exchange_calendars.get_calendar("XNYS", start="2010-01-01", end="2026-06-30").schedule
    hours = exchange_hours("NYSE", date(2026, 6, 30))
    since_2010 = hours["session_date"] >= np.datetime64("2010-01-01")
    assert np.array_equal(hours["open_ns"][since_2010], independent["open"].astype("int64"))
    assert np.array_equal(hours["close_ns"][since_2010], independent["close"].astype("int64"))

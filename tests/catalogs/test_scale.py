"""Scales and stamps that are wrong as a whole, on numbers worked out by hand."""

import numpy as np
import pytest

from catalogs.errors import InputError
from catalogs.hygiene.scale import check_scale, factor_text, level_breaks, level_ratio
from catalogs.hygiene.stamps import misplaced
from catalogs.instruments.specification import InstrumentSpec
from catalogs.sessions import session_calendar

MINUTE_NS = 60 * 10**9


def closes(first: float, tick: float = 0.01, n: int = 200) -> np.ndarray:
    """Closes that rise by a tick."""
    return np.round(first + tick * np.arange(n), 6)


@pytest.mark.parametrize("price", [0.35, 4.2, 19.99, 650.0, 9_800.5])
def test_prices_in_usd_pass_at_any_level(spy: InstrumentSpec, price: float) -> None:
    check_scale(closes(price), closes(price), spy)


@pytest.mark.parametrize(
    ("factor", "said"), [(100, "100"), (1e4, "10,000"), (1e6, "1,000,000"), (1e9, "1,000,000,000")]
)
@pytest.mark.parametrize("price", [4.2, 19.99, 650.0])
def test_whole_numbers_are_found_by_their_digits(spy: InstrumentSpec, price: float, factor: float, said: str) -> None:
    prices = np.rint(closes(price) * factor)
    with pytest.raises(InputError, match=rf"look like USD times {said}[:;]"):
        check_scale(prices, prices, spy)


def test_a_future_in_another_unit(mes: InstrumentSpec) -> None:
    check_scale(closes(6000.0, 0.25), closes(6000.0, 0.25), mes)
    for factor, said in (
        (1e9, r"USD times 1,000,000,000"),
        (0.01, r"USD times 1/100: 9\d% of the closes are off the tick"),
    ):
        with pytest.raises(InputError, match=said):
            check_scale(closes(6000.0, 0.25) * factor, closes(6000.0, 0.25) * factor, mes)


def test_a_step_is_a_power_of_ten_within_a_quarter() -> None:
    before = np.full(5, 100.0)
    found = level_breaks(before, np.array([999.0, 790.0, 10.0, 12.4, 12.6]))
    assert [(each.row, each.factor) for each in found] == [(0, 10.0), (2, 0.1), (3, 0.1)]
    assert [factor_text(factor) for factor in (0.0001, 0.1, 10.0, 1e9)] == ["1/10,000", "1/10", "10", "1,000,000,000"]


def test_a_print_that_comes_back_is_no_level() -> None:
    close = np.array([100, 100, 100, 10, 100, 100, 100])
    assert level_ratio(close, 2) == 1.0
    assert level_ratio(np.array([100, 100, 100, 10, 10, 10]), 2) == 0.1


def session(first: str, n: int) -> np.ndarray:
    """Minutes from a close time on."""
    return np.datetime64(first, "ns").astype(np.int64) + MINUTE_NS * np.arange(n)


@pytest.mark.parametrize(
    ("times", "found"),
    [
        (session("2025-03-10T13:31", 390), ""),
        (session("2025-03-10T13:32", 390), "late"),
        (session("2025-03-10T13:30", 390), "early"),
        (session("2025-03-10T12:00", 600), ""),  # pre-market and after-hours
        (session("2025-03-10T14:10", 100), ""),  # part of a session
        (np.delete(session("2025-03-10T13:31", 391), 0), "late"),
        (session("2025-03-10T13:31", 391), ""),  # a closing auction beyond the session
    ],
)
def test_bars_one_bar_away(times: np.ndarray, found: str) -> None:
    assert misplaced(times, session_calendar("NYSE"), MINUTE_NS) == found


def test_regular_hours_of_a_future(mes: InstrumentSpec) -> None:
    # 08:30 to 15:00 in Chicago, on a calendar whose sessions last 23 hours.
    calendar = session_calendar(mes.calendar)
    assert misplaced(session("2025-03-10T13:31", 390), calendar, MINUTE_NS) == ""
    assert misplaced(session("2025-03-10T13:32", 390), calendar, MINUTE_NS) == "late"

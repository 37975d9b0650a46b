"""Gaps and islands inside a session of 390 minutes."""

from collections.abc import Callable

import numpy as np
import pytest

from catalogs.hygiene.cleaning import RawBars, clean
from catalogs.instruments.specification import InstrumentSpec

OPEN = "2025-03-10T13:31"
Minutes = Callable[..., RawBars]


@pytest.mark.parametrize("missing", [[50], [50, 51], [50, 52, 60, 61]])
def test_short_gaps_are_filled_flat_at_the_last_close(
    spy: InstrumentSpec, minutes: Minutes, without: Minutes, missing: list[int]
) -> None:
    raw = minutes(OPEN, 390)
    cleaned = clean(without(raw, missing), spy, "1-MINUTE")
    bars = cleaned.bars
    assert np.array_equal(bars.ts_ns, raw.ts_ns)
    assert np.array_equal(cleaned.filled_ns, raw.ts_ns[missing])
    assert cleaned.report.count("gap_filled") == len(missing)
    # The close of minute 49 is 100.49; bars 50 and 51 are flat there and nothing traded.
    assert {int(column[50]) for column in (bars.open, bars.high, bars.low, bars.close)} == {10_049}
    assert bars.volume[50] == 0
    assert bars.volume[49] == 1_000


def test_a_longer_gap_is_counted_and_left(spy: InstrumentSpec, minutes: Minutes, without: Minutes) -> None:
    cleaned = clean(without(minutes(OPEN, 390), [50, 51, 52]), spy, "1-MINUTE", strict=True)
    [finding] = cleaned.report.findings
    assert (finding.rule, finding.count, finding.first) == ("gap_left", 3, "2025-03-10T14:21:00Z")
    assert len(cleaned.bars) == 387


def test_the_night_between_two_sessions_is_no_gap(spy: InstrumentSpec, minutes: Minutes, without: Minutes) -> None:
    two_days = minutes(OPEN, 24 * 60 + 390)  # the night's minutes lie outside the session
    cleaned = clean(without(two_days, [0, 389, 1440]), spy, "1-MINUTE")
    assert {finding.rule for finding in cleaned.report.findings} == {"out_of_session"}
    assert len(cleaned.bars) == 777


def rows_of(*spans: tuple[int, int]) -> np.ndarray:
    return np.concatenate([np.arange(first, stop) for first, stop in spans])


@pytest.mark.parametrize("island", [(200, 201), (200, 202)])
def test_an_island_in_a_steady_session_is_dropped(
    spy: InstrumentSpec, minutes: Minutes, island: tuple[int, int]
) -> None:
    raw = minutes(OPEN, 390).take(rows_of((0, 190), island, (210, 390)))
    cleaned = clean(raw, spy, "1-MINUTE")
    size = island[1] - island[0]
    assert cleaned.report.count("island") == size
    assert len(cleaned.bars) == 370


def test_three_bars_are_no_island(spy: InstrumentSpec, minutes: Minutes) -> None:
    raw = minutes(OPEN, 390).take(rows_of((0, 190), (200, 203), (210, 390)))
    cleaned = clean(raw, spy, "1-MINUTE")
    assert cleaned.report.count("island") == 0
    assert len(cleaned.bars) == 373


@pytest.mark.parametrize("edge", [(0, 1), (2, 3), (388, 390), (387, 388)])
def test_bars_at_the_open_or_the_close_are_no_island(
    spy: InstrumentSpec, minutes: Minutes, edge: tuple[int, int]
) -> None:
    raw = minutes(OPEN, 390).take(np.union1d(np.arange(20, 370), rows_of(edge)))
    assert clean(raw, spy, "1-MINUTE").report.count("island") == 0


def test_a_stray_print_long_after_the_last_bar_is_an_island(spy: InstrumentSpec, minutes: Minutes) -> None:
    raw = minutes(OPEN, 390).take(rows_of((0, 300), (350, 351)))
    assert clean(raw, spy, "1-MINUTE").report.count("island") == 1


def test_a_thinly_traded_session_keeps_every_bar(spy: InstrumentSpec, minutes: Minutes) -> None:
    thin = minutes(OPEN, 390).take(np.arange(5, 390, 20))
    steady = minutes("2025-03-11T13:31", 390)  # so that the usual distance is a minute
    both = RawBars(**{name: np.concatenate([getattr(thin, name), getattr(steady, name)]) for name in vars(thin)})
    cleaned = clean(both, spy, "1-MINUTE")
    assert cleaned.report.count("island") == 0
    assert len(cleaned.bars) == len(thin) + 390


def test_a_half_day_is_not_eaten(spy: InstrumentSpec, minutes: Minutes) -> None:
    half_day = clean(minutes("2024-11-29T14:31", 210), spy, "1-MINUTE", strict=True)
    assert len(half_day.bars) == 210

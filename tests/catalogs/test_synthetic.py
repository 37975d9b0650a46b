"""Synthetic sessions hold what they claim: bars that are bars, the calendar's minutes, the planted edge."""

import numpy as np
import pytest

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.sessions import session_calendar
from catalogs.synthetic import PlantedEdge, SyntheticBars, synthetic_sessions
from configs import instruments_path


@pytest.fixture(scope="module")
def instrument() -> InstrumentSpec:
    """MES of March 2025."""
    return resolve("MESH5", instruments_path())


@pytest.fixture(scope="module")
def made(instrument: InstrumentSpec) -> SyntheticBars:
    """Three weeks with a half day."""
    return synthetic_sessions(instrument, np.datetime64("2025-01-06"), np.datetime64("2025-01-24"), seed=1)


def test_bars_are_bars(made: SyntheticBars) -> None:
    bars = made.bars
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.low > 0).all()
    assert (bars.volume > 0).all()
    assert (np.diff(bars.ts_ns) > 0).all()


def test_every_minute_of_the_calendar_is_there(made: SyntheticBars) -> None:
    calendar = session_calendar("CME Globex Equity")
    located = calendar.locate(made.bars.ts_ns)
    for session in np.unique(located):
        minutes = (calendar.close_ns[session] - calendar.open_ns[session]) // 60_000_000_000
        assert (located == session).sum() == minutes


def test_the_planted_rule_earns_its_drift(made: SyntheticBars) -> None:
    edge = PlantedEdge()
    calendar = session_calendar("CME Globex Equity")
    opened = calendar.open_ns[calendar.locate(made.bars.ts_ns)]
    minute = (made.bars.ts_ns - opened) // 60_000_000_000 - 1
    impulse = (minute % edge.segment_bars == 0)[1:]
    along = np.diff(made.bars.close) * made.oracle_side[1:]
    assert along[~impulse].mean() == pytest.approx(edge.drift_ticks, abs=0.05)
    assert along[impulse].mean() == pytest.approx(edge.impulse_ticks, abs=0.3)


def test_seed_repeats(instrument: InstrumentSpec, made: SyntheticBars) -> None:
    days = np.datetime64("2025-01-06"), np.datetime64("2025-01-24")
    assert synthetic_sessions(instrument, *days, seed=1).bars.hash == made.bars.hash
    assert synthetic_sessions(instrument, *days, seed=2).bars.hash != made.bars.hash


def test_days_without_a_session_are_refused(instrument: InstrumentSpec) -> None:
    with pytest.raises(InputError, match="no session from 2025-01-11 to 2025-01-11"):
        synthetic_sessions(instrument, np.datetime64("2025-01-11"), np.datetime64("2025-01-11"), seed=1)

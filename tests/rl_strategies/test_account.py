"""The account's path rebuilt from fills."""

import numpy as np
import pytest

from catalogs.bars import BarSeries
from catalogs.instruments import resolve
from configs import instruments_path
from rl_strategies.account import build_record
from rl_strategies.telemetry import Fill

MINUTE = 60_000_000_000


@pytest.fixture
def bars() -> BarSeries:
    """Four minutes of MES: 6,000.00, 6,001.00, 5,999.00, 6,002.00."""
    close = np.array([24_000, 24_004, 23_996, 24_008])
    ts_ns = MINUTE * np.arange(1, 5)
    return BarSeries("MESU5.XCME-1-MINUTE-LAST-EXTERNAL", ts_ns, close, close, close, close, close, True, 2.5e15)


def fill(ts_ns: int, units: int, price_ticks: int, cents: int) -> Fill:
    """A market fill."""
    return Fill(ts_ns, units, price_ticks, cents, "market", 0, "entry")


def test_marked_at_every_close(bars: BarSeries) -> None:
    instrument = resolve("MESU5", instruments_path())
    fills = [fill(MINUTE, 2, 24_000, 124), fill(3 * MINUTE, -2, 23_995, 124)]
    record = build_record(instrument, bars, np.array(["2025-08-01"] * 4, "datetime64[D]"), fills, 1_000_000, {"x": 1})
    # Bought 2 at 6,000.00 for 1.24; +1.00 is 10 USD; sold at 5,998.75: −12.50, another 1.24.
    assert record.equity_usd.tolist() == [9998.76, 10008.76, 9985.02, 9985.02]
    assert record.position_units.tolist() == [2, 2, 0, 0]
    assert record.refusals == {"x": 1}


def test_late_fill_belongs_to_the_last_bar_and_an_early_one_is_an_error(bars: BarSeries) -> None:
    instrument = resolve("MESU5", instruments_path())
    days = np.array(["2025-08-01"] * 4, "datetime64[D]")
    late = build_record(instrument, bars, days, [fill(9 * MINUTE, 1, 24_008, 62)], 1_000_000, {})
    assert late.position_units.tolist() == [0, 0, 0, 1]
    with pytest.raises(ValueError, match="lies before the window"):
        build_record(instrument, bars, days, [fill(1, 1, 24_000, 62)], 1_000_000, {})

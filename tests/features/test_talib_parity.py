"""Indicators against TA-Lib, on made-up and on real bars, from its first value on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import talib
from numpy.lib.stride_tricks import sliding_window_view

from rl_strategies.features import FeaturePlan, FeatureSpec
from rl_strategies.features.compiler.compile import Floats

COLUMNS = ("high", "low", "close")
SPECS = (
    FeatureSpec("sma", "sma", {"n": 20}),
    FeatureSpec("ema", "ema", {"n": 50}),
    FeatureSpec("sma_distance", "sma_distance", {"n": 20}),
    FeatureSpec("ema_distance", "ema_distance", {"n": 50}),
    FeatureSpec("rsi", "rsi", {"n": 14}),
    FeatureSpec("atr", "atr", {"n": 14}),
    FeatureSpec("macd", "macd"),
    FeatureSpec("macd", "macd_swift", {"fast": 5, "slow": 8, "signal": 3}),
    FeatureSpec("bollinger", "bollinger", {"n": 20, "width": 2.0}),
    FeatureSpec("standard_deviation", "deviation", {"n": 20}),
)
PLAN = FeaturePlan(SPECS, COLUMNS)


@pytest.fixture(scope="module", params=["made up", "spy_1min_202403_202504", "es_1min_202507_202509_novol"])
def bars(request: pytest.FixtureRequest) -> Floats:
    """float64[n, 3] of high, low, close."""
    if request.param != "made up":
        shared_data: Path = request.getfixturevalue("shared_data")
        return pd.read_parquet(shared_data / f"{request.param}.parquet")[list(COLUMNS)].to_numpy()[:30_000]
    rows: Floats = request.getfixturevalue("rows")
    return rows[:, 1:4].copy()


@pytest.fixture(scope="module")
def ours(bars: Floats) -> dict[str, Floats]:
    return dict(zip(PLAN.outputs, PLAN.batch(bars).T, strict=True))


def assert_agree(ours: Floats, theirs: Floats, first: int, tolerance: Floats | float = 0.0) -> None:
    """Agree from row ``first`` on to 1e-9 of the value, or to ``tolerance``; nothing is known before."""
    assert np.isnan(ours[:first]).all()
    assert np.isfinite(theirs[first:]).all()
    assert (np.abs(ours - theirs)[first:] <= np.maximum(1e-9 * np.abs(theirs), tolerance)[first:]).all()


def test_moving_averages(bars: Floats, ours: dict[str, Floats]) -> None:
    close = bars[:, 2].copy()
    assert_agree(ours["sma"], talib.SMA(close, 20), first=19)
    assert_agree(ours["ema"], talib.EMA(close, 50), first=49)
    # A distance is a difference of near equals: 1e-9 of the price ratio, which is near 1.
    assert_agree(ours["sma_distance"], close / talib.SMA(close, 20) - 1.0, first=19, tolerance=1e-12)
    assert_agree(ours["ema_distance"], close / talib.EMA(close, 50) - 1.0, first=49, tolerance=1e-12)


def test_rsi(bars: Floats, ours: dict[str, Floats]) -> None:
    assert_agree(ours["rsi"], talib.RSI(bars[:, 2].copy(), 14) / 100.0, first=14)


def test_atr(bars: Floats, ours: dict[str, Floats]) -> None:
    assert_agree(ours["atr"], talib.ATR(*bars.T.copy(), 14), first=14)


@pytest.mark.parametrize(("name", "periods"), [("macd", (12, 26, 9)), ("macd_swift", (5, 8, 3))])
def test_macd(bars: Floats, ours: dict[str, Floats], name: str, periods: tuple[int, int, int]) -> None:
    close = bars[:, 2].copy()
    line, signal, histogram = talib.MACD(close, *periods)
    known = periods[1] + periods[2] - 2
    # Differences of averages of the price: where they cross zero only the price's own rounding is left.
    rounding = 1e-12 * close
    assert_agree(ours[f"{name}_signal"] * close, signal, first=known, tolerance=rounding)
    assert_agree(ours[f"{name}_histogram"] * close, histogram, first=known, tolerance=rounding)
    # Ours is known as soon as both averages are; TA-Lib hides it until the signal is.
    assert np.isfinite(ours[f"{name}_line"][periods[1] - 1 :]).all()
    shown = np.where(np.isnan(line), np.nan, ours[f"{name}_line"] * close)
    assert_agree(shown, line, first=known, tolerance=rounding)


def test_standard_deviation(bars: Floats, ours: dict[str, Floats]) -> None:
    close = bars[:, 2].copy()
    exact = np.concatenate([np.full(19, np.nan), sliding_window_view(close, 20).std(axis=1)])
    assert_agree(ours["deviation"], exact, first=19)
    assert_agree(ours["deviation"], talib.STDDEV(close, 20, 1), first=19)


def test_bollinger(bars: Floats, ours: dict[str, Floats]) -> None:
    close = bars[:, 2].copy()
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    assert_agree(ours["bollinger_bandwidth"], (upper - lower) / middle, first=19)
    assert_agree(ours["bollinger_percent_b"], (close - lower) / (upper - lower), first=19, tolerance=1e-9)

"""The rest of the indicators against TA-Lib, on made-up and on real bars with volume."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import talib

from rl_strategies.features import FeaturePlan, FeatureSpec
from rl_strategies.features.compiler.compile import Floats

COLUMNS = ("open", "high", "low", "close", "volume", "session")
SPECS = (
    FeatureSpec("stochastic", "stochastic"),
    FeatureSpec("channel_position", "channel", {"n": 14}),
    FeatureSpec("cci", "cci", {"n": 20}),
    FeatureSpec("directional_movement", "dmi", {"n": 14}),
    FeatureSpec("aroon", "aroon", {"n": 14}),
    FeatureSpec("money_flow_index", "mfi", {"n": 14}),
    FeatureSpec("trix", "trix", {"n": 15}),
    FeatureSpec("swift_ema_distance", "swift", {"n": 20}),
    FeatureSpec("weighted_average", "weighted", {"n": 20}),
    FeatureSpec("ultimate_oscillator", "ultimate"),
    FeatureSpec("balance_of_power", "power"),
    FeatureSpec("on_balance_volume", "obv", reset="session"),
)
PLAN = FeaturePlan(SPECS, COLUMNS)

Bars = dict[str, Floats]


def in_ticks(bars: Bars) -> tuple[Floats, Floats, Floats]:
    """High, low and close in ten-thousandths, whole numbers: two equal movements are then equal for TA-Lib, too."""
    high, low, close = (np.round(bars[name] * 10_000.0) for name in ("high", "low", "close"))
    return high, low, close


REFERENCES: dict[str, tuple[int, float, Callable[[Bars], Floats]]] = {
    "stochastic_k": (17, 1e-12, lambda b: talib.STOCH(b["high"], b["low"], b["close"], 14, 3, 0, 3, 0)[0] / 100),
    "stochastic_d": (17, 1e-12, lambda b: talib.STOCH(b["high"], b["low"], b["close"], 14, 3, 0, 3, 0)[1] / 100),
    "channel": (13, 1e-12, lambda b: talib.WILLR(b["high"], b["low"], b["close"], 14) / 100 + 1),
    "cci": (19, 1e-9, lambda b: talib.CCI(b["high"], b["low"], b["close"], 20) / 100),
    "dmi_plus_di": (14, 1e-12, lambda b: talib.PLUS_DI(*in_ticks(b), 14) / 100),
    "dmi_minus_di": (14, 1e-12, lambda b: talib.MINUS_DI(*in_ticks(b), 14) / 100),
    "dmi_adx": (27, 1e-12, lambda b: talib.ADX(*in_ticks(b), 14) / 100),
    "aroon_up": (14, 1e-12, lambda b: talib.AROON(b["high"], b["low"], 14)[1] / 100),
    "aroon_down": (14, 1e-12, lambda b: talib.AROON(b["high"], b["low"], 14)[0] / 100),
    "mfi": (14, 1e-9, lambda b: talib.MFI(b["high"], b["low"], b["close"], b["volume"], 14) / 100),
    "trix": (43, 1e-12, lambda b: talib.TRIX(b["close"], 15) / 100),
    "swift_double": (38, 1e-12, lambda b: b["close"] / talib.DEMA(b["close"], 20) - 1),
    "swift_triple": (57, 1e-12, lambda b: b["close"] / talib.TEMA(b["close"], 20) - 1),
    "weighted_distance": (19, 1e-11, lambda b: b["close"] / talib.WMA(b["close"], 20) - 1),
    "weighted_slope": (19, 1e-11, lambda b: talib.LINEARREG_SLOPE(b["close"], 20) / b["close"]),
    "ultimate": (28, 1e-11, lambda b: talib.ULTOSC(b["high"], b["low"], b["close"], 7, 14, 28) / 100),
    "power": (0, 1e-12, lambda b: talib.BOP(b["open"], b["high"], b["low"], b["close"])),
    "obv": (0, 0.0, lambda b: talib.OBV(b["close"], b["volume"])),
}


@pytest.fixture(scope="module", params=["made up", "SPY"])
def bars(request: pytest.FixtureRequest) -> Bars:
    """Columns by name, all in one session."""
    if request.param == "made up":
        rows: Floats = request.getfixturevalue("rows")
        values = rows[:, :5]
    else:
        shared_data: Path = request.getfixturevalue("shared_data")
        table = pd.read_parquet(shared_data / "spy_1min_202403_202504.parquet")
        values = table[list(COLUMNS[:5])].to_numpy()[:30_000]
    return dict(zip(COLUMNS, [*values.T.copy(), np.ones(len(values))], strict=True))


@pytest.mark.parametrize("name", REFERENCES)
def test_indicator_equals_talib_from_its_first_value_on(bars: Bars, name: str) -> None:
    first, tolerance, reference = REFERENCES[name]
    ours = PLAN.batch(np.column_stack([*bars.values()]))[:, PLAN.index(name)]
    theirs = reference(bars)
    assert np.isfinite(theirs[first:]).all()
    assert np.isfinite(ours[first:]).all()
    assert (np.abs(ours - theirs)[first:] <= np.maximum(1e-9 * np.abs(theirs), tolerance)[first:]).all()


def test_every_output_has_a_reference() -> None:
    assert {*REFERENCES} == {*PLAN.outputs}

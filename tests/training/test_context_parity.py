"""Context keeps the promise: simulator and engine see the same features, whenever context bars come or fail to come."""

from dataclasses import replace as replaced

import numpy as np
import pytest
from msgspec.structs import replace

from catalogs.bars import BarSeries
from catalogs.instruments.specification import InstrumentSpec
from catalogs.sessions import session_calendar
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import DataAtHand, FeatureSpec, JoinedPlan, StreamRows, StreamSpec, input_rows, plan_for
from rl_strategies.features.plans.sets import DEFAULT_SPECS, context_set
from tests.training.conftest import synthetic_bars, with_holes
from tests.training.test_simulator_parity import assert_equal_fills
from training.simulator.market import build_portfolio_market

COLUMNS = ("ts_ns", "open", "high", "low", "close", "volume")
SMT = context_set("smt")
DAILY = StreamSpec("VIX", (FeatureSpec("value", "level", inputs={"x": "close"}),), lag_s=3600, max_age_s=5 * 86_400)
CROSS = (*SMT.cross, FeatureSpec("value", "vix", inputs={"x": "VIX.level"}))

Held = tuple[InstrumentSpec, BarSeries]


@pytest.fixture(scope="module")
def traded() -> tuple[Held, Held]:
    """Two instruments to trade, the second with holes."""
    spy, bars = synthetic_bars("AAPL", "2024-11-21", "2024-12-04", seed=7)
    other, others = synthetic_bars("MSFT", "2024-11-21", "2024-12-04", seed=8)
    return (spy, bars), (other, with_holes(others, seed=9, share=0.05))


@pytest.fixture(scope="module")
def context() -> dict[str, StreamRows]:
    """SPY with holes of up to a quarter of an hour, QQQ whole, a daily value."""
    rows = {}
    for seed, name in enumerate(("SPY", "QQQ")):
        spec, bars = synthetic_bars(name, "2024-11-21", "2024-12-04", seed=seed)
        if name == "SPY":
            bars = with_holes(bars, seed=3, share=0.2)
            silent = np.arange(len(bars)) % 200 < 15
            bars = replaced(bars, **{c: getattr(bars, c)[~silent] for c in COLUMNS})
        stream = next(stream for stream in SMT.streams if stream.name == name)
        rows[name] = StreamRows(bars.ts_ns, input_rows(bars, session_calendar(spec.calendar), stream.plan().columns))
    days = np.arange(np.datetime64("2024-11-18T21:15"), np.datetime64("2024-12-05"), np.timedelta64(1, "D"))
    levels = np.linspace(13.0, 16.0, len(days))
    prices = np.column_stack([levels] * 4 + [np.full(len(days), np.nan)])
    rows["VIX"] = StreamRows(days.astype("datetime64[ns]").astype(np.int64), prices)
    return rows


def joined(lag_s: int) -> JoinedPlan:
    """Default features, SMT with a lag, a daily index."""
    primary = plan_for((*DEFAULT_SPECS, *SMT.primary), DataAtHand(volume_known=True, extended_hours=False))
    return JoinedPlan(primary, [*(replace(stream, lag_s=lag_s) for stream in SMT.streams), DAILY], CROSS)


@pytest.mark.parametrize(
    ("instruments", "lag_s", "fill"),
    [(1, 0, "same_close"), (1, 60, "same_close"), (1, 0, "next_open"), (2, 0, "same_close")],
)
def test_simulator_and_engine_agree_with_context(
    traded: tuple[Held, Held], context: dict[str, StreamRows], instruments: int, lag_s: int, fill: str
) -> None:
    execution = ExecutionConfig(fill=fill)  # type: ignore[arg-type]
    held = list(traded[:instruments])
    market = build_portfolio_market(held, joined(lag_s), TradingConfig(100), execution, context=context)
    assert "smt_own_spy" in market.plan.outputs[: market.plan.observed]
    fresh = market.arrays.features[:, market.plan.index("SPY_fresh")]
    assert 0 < fresh.mean() < 1  # SPY is missed at times
    assert assert_equal_fills(market, episodes=2, seed=instruments) > 20


def test_days_before_the_context_is_warm_are_no_episodes(
    traded: tuple[Held, Held], context: dict[str, StreamRows]
) -> None:
    late = StreamRows(context["QQQ"].ts_ns[2000:], context["QQQ"].rows[2000:])
    rules = (TradingConfig(100), ExecutionConfig())
    whole = build_portfolio_market(list(traded[:1]), joined(0), *rules, context=context)
    market = build_portfolio_market(list(traded[:1]), joined(0), *rules, context=context | {"QQQ": late})
    assert len(market) < len(whole)
    first_row = market.arrays.time_ns[market.arrays.episodes["first"][0]]
    assert first_row > late.ts_ns[30], "swings of 30 bars"
    assert assert_equal_fills(market, episodes=1, seed=3) > 5

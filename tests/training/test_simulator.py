"""The simulator's own rules, worked by hand and held by properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from catalogs.bars import BarSeries
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.accounting.record import Fill
from rl_strategies.decision.barriers import BarrierConfig, Distance
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.risk.config import RiskConfig
from tests.training.conftest import market_of
from training.envs.session_env import SessionEnv
from training.simulator.lanes import Lanes, rollout
from training.simulator.market import TrainingMarket

SHORT, FLAT, LONG = 0, 1, 2
ONE_LOT = TradingConfig(100, BarrierConfig(None, None, 0), RiskConfig(0, 5, 0, 0))


def fills_of(market: TrainingMarket, actions: dict[int, int], default: int = FLAT) -> tuple[list[Fill], float]:
    """Play the first episode with ``actions`` by step number; fills and final equity."""
    env = SessionEnv(market)
    env.reset(options={"episode": 0})
    for step in range(10_000):
        _, _, over, _, info = env.step(actions.get(step, default))
        if over:
            return info["fills"][0], info["equity_usd"]
    raise AssertionError("the episode must end")


def flat_tape(spy: tuple[InstrumentSpec, BarSeries], moves: dict[int, int]) -> TrainingMarket:
    """First tradable session with every bar at 500.00, but for ``moves``: cents added to the bars from a row on."""
    instrument, bars = spy
    price = np.full(len(bars), 50_000)
    first = int(market_of(instrument, bars, ONE_LOT).arrays.episodes["first"][0])
    for row, cents in moves.items():
        price[first + row :] += cents
    wiggle = np.arange(len(bars)) % 2  # indicators need a range
    flat = BarSeries(
        bars.bar_type, bars.ts_ns, price, price + wiggle, price - 1, price.copy(), bars.volume, True, bars.tick_raw
    )
    return market_of(instrument, flat, ONE_LOT, ExecutionConfig(slippage_ticks=1))


def test_round_trip_by_hand(spy: tuple) -> None:
    # Bought at 500.00 + 1 tick, sold 100 ticks higher less 1 tick: 100 × 0.98 = 98.00; two orders of at least 1.00.
    fills, equity = fills_of(flat_tape(spy, {5: 100}), {3: LONG, 4: LONG, 5: LONG})
    assert [(fill.units, fill.price_ticks, fill.commission_cents, fill.reason) for fill in fills] == [
        (100, 50_001, 100, "entry"),
        (-100, 50_099, 100, "signal"),
    ]
    assert equity == 100_096.0


def test_reversal_is_a_close_and_an_entry(spy: tuple) -> None:
    fills, _ = fills_of(flat_tape(spy, {}), {0: LONG, 1: SHORT})
    assert [(fill.units, fill.reason) for fill in fills] == [
        (100, "entry"),
        (-100, "reverse"),
        (-100, "entry"),
        (100, "signal"),
    ]


def test_held_position_is_closed_five_minutes_before_the_close(spy: tuple) -> None:
    market = flat_tape(spy, {})
    fills, _ = fills_of(market, {}, default=LONG)
    assert [(fill.reason, fill.ts_ns) for fill in fills][-1] == ("end_of_session", int(market.arrays.flat_ns[0, 0]))
    assert market.close_ns(0) - market.arrays.flat_ns[0, 0] == 5 * 60 * 10**9


def test_stop_gapped_through_fills_at_the_open(spy: tuple) -> None:
    instrument, _ = spy
    stop = TradingConfig(100, BarrierConfig(Distance(10, "ticks"), None, 0), RiskConfig(0, 5, 0, 0))
    market = flat_tape(spy, {2: -50})
    market = market_of(instrument, market.bars, stop, ExecutionConfig(slippage_ticks=0))
    fills, _ = fills_of(market, {0: LONG, 1: LONG})
    # Entered at 500.00, stop 499.90; bar 2 opens at 499.50.
    assert [(fill.price_ticks, fill.trigger_ticks, fill.reason) for fill in fills] == [
        (50_000, 0, "entry"),
        (49_950, 49_990, "stop_loss"),
    ]


def test_next_open_by_hand(spy: tuple) -> None:
    # Decided at 500.00, the next bar opens at 501.00: bought a tick above that, sold at 502.00 less a tick.
    instrument, _ = spy
    market = flat_tape(spy, {4: 100, 6: 100})
    at_open = ExecutionConfig(slippage_ticks=1, fill="next_open")
    fills, equity = fills_of(market_of(instrument, market.bars, ONE_LOT, at_open), {3: LONG, 4: LONG})
    assert [(fill.price_ticks, fill.reason) for fill in fills] == [(50_101, "entry"), (50_199, "signal")]
    opened = int(market.bars.ts_ns[int(market.arrays.episodes["first"][0]) + 3])
    assert fills[0].ts_ns == opened + 1_000_000  # a moment after the decision's bar closed and the next opened
    assert equity == 100_000.0 + 98.0 - 2.0


@pytest.mark.parametrize(("limit", "entries"), [(1, 1), (3, 3)])
def test_entries_are_limited(spy: tuple, limit: int, entries: int) -> None:
    instrument, bars = spy
    market = market_of(instrument, bars, TradingConfig(1, BarrierConfig(None, None, 0), RiskConfig(limit, 5, 0, 0)))
    fills, _ = fills_of(market, {step: LONG if step % 2 else SHORT for step in range(100)})
    assert sum(fill.reason == "entry" for fill in fills) == entries


def test_entry_beyond_a_quarter_of_the_volume_is_refused(spy: tuple) -> None:
    instrument, bars = spy
    first = int(market_of(instrument, bars, ONE_LOT).arrays.episodes["first"][0])
    volume = bars.volume.copy()
    volume[first] = 399
    thin = BarSeries(bars.bar_type, bars.ts_ns, bars.open, bars.high, bars.low, bars.close, volume, True, bars.tick_raw)
    env = SessionEnv(market_of(instrument, thin, ONE_LOT))
    env.reset(options={"episode": 0})
    env.step(LONG)
    over = False
    while not over:
        _, _, over, _, info = env.step(FLAT)
    assert (info["refusals"], info["fills"]) == ({"thin_volume": 1}, [[]])


@settings(max_examples=25)
@given(
    tape=arrays.arrays(np.int64, 400, elements=st.integers(0, 2)),
    stop=st.integers(1, 12),
    target=st.integers(1, 12),
    limit=st.integers(0, 5),
)
def test_invariants_on_any_tape(spy: tuple, tape: np.ndarray, stop: int, target: int, limit: int) -> None:
    barriers = BarrierConfig(Distance(stop, "ticks"), Distance(target, "ticks"), 20)
    market = market_of(*spy, TradingConfig(100, barriers, RiskConfig(limit, 5, 0, 0)))
    step = {"count": -1}

    def decide(observations: np.ndarray, begun: np.ndarray, rows: np.ndarray) -> np.ndarray:
        step["count"] += 1
        return np.full(len(observations), tape[step["count"] % len(tape)])

    lanes = rollout(market, decide, range(len(market)))
    for lane in range(len(market)):
        assert_lane_is_sound(lanes, lane, limit)


def assert_lane_is_sound(lanes: Lanes, lane: int, limit: int) -> None:
    """Flat at the end, cash explained by fills alone, one barrier an entry, entries within the limit."""
    fills = lanes.fills_of(lane)
    assert sum(fill.units for fill in fills) == 0
    traded = -sum(fill.units * fill.price_ticks for fill in fills)  # cents, as a share's tick is one
    commission = sum(fill.commission_cents for fill in fills)
    assert lanes.state.lanes["balance_cents"][lane] == 10_000_000 + traded - commission
    assert lanes.state.lanes["equity"][lane] == pytest.approx(lanes.state.lanes["balance_cents"][lane] / 100, abs=1e-9)
    entries = sum(fill.reason == "entry" for fill in fills)
    barriers = sum(fill.reason in ("stop_loss", "take_profit") for fill in fills)
    assert barriers <= entries
    assert limit == 0 or entries <= limit


def test_constant_price_costs_exactly_the_costs(spy: tuple) -> None:
    market = flat_tape(spy, {})
    fills, equity = fills_of(market, {step: (LONG, FLAT, SHORT)[step % 3] for step in range(90)})
    orders = len(fills)
    # Each order: one tick (1.00 USD on 100 shares) and at least 1.00 USD commission.
    assert orders > 50
    assert equity == 100_000.0 - 2.0 * orders

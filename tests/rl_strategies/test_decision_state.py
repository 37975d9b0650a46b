"""A decision core that went through a file goes on as if nothing had happened."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.decision.core import DecisionCore
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import FeatureSpec, JoinedPlan, StreamSpec, default_plan
from rl_strategies.risk.config import RiskConfig
from tests.training.conftest import synthetic_bars

PLAN = default_plan(volume_known=True, extended_hours=False)
TRADING = TradingConfig(100, risk=RiskConfig(max_entries_per_session=30, max_daily_loss=0.02), mask_actions=True)

Held = list[tuple[InstrumentSpec, BarSeries]]


@pytest.fixture(scope="module")
def held() -> Held:
    """Two synthetic sessions and a half of two instruments, one of them with holes."""
    spy, bars = synthetic_bars("SPY", "2024-11-21", "2024-11-25", seed=1)
    aapl, others = synthetic_bars("AAPL", "2024-11-21", "2024-11-25", seed=2)
    kept = np.random.default_rng(3).random(len(others)) > 0.1
    columns = ("ts_ns", "open", "high", "low", "close", "volume")
    return [(spy, bars), (aapl, replace(others, **{name: getattr(others, name)[kept] for name in columns}))]


def new_core(held: Held) -> DecisionCore:
    """A core before its first bar."""
    return DecisionCore([spec for spec, _ in held], PLAN, TRADING, ExecutionConfig())


def live_through(core: DecisionCore, held: Held, times: np.ndarray, seed: int) -> list[Any]:
    """Bars, decisions and fills of ``times``; everything that the core says on the way."""
    random, said = np.random.default_rng(seed), list[Any]()
    for ts_ns in times.tolist():
        for k, (_, bars) in enumerate(held):
            row = int(np.searchsorted(bars.ts_ns, ts_ns))
            if row < len(bars) and bars.ts_ns[row] == ts_ns:
                prices = [int(getattr(bars, name)[row]) for name in ("open", "high", "low", "close", "volume")]
                day = core.instruments[k].on_bar(ts_ns, *prices)
                if day != core.session_date:
                    core.begin_session(day)
        core.look(ts_ns)
        said.append(core.observe().tobytes())
        answers = core.review(random.integers(0, 3, len(held)).tolist())
        for k, (answer, leg) in enumerate(zip(answers, core.instruments, strict=True)):
            wanted = answer.side * answer.units if answer.units else answer.side * abs(leg.units)
            if wanted != leg.units and leg.close_ticks:
                core.on_fill(k, wanted - leg.units, leg.close_ticks, 100)
                said.append((leg.lay_barrier("stop_loss", leg.close_ticks, leg.close_ticks), answer))
        said.append((core.account.balance_cents, core.mark(), core.flat_ns(0), core.is_warm_at(ts_ns)))
    return said


@settings(max_examples=12)
@given(cut=st.integers(0, 1000), instruments=st.integers(1, 2), seed=st.integers(0, 99))
def test_a_restored_core_says_what_the_first_one_says(held: Held, cut: int, instruments: int, seed: int) -> None:
    chosen = held[:instruments]
    times = np.unique(np.concatenate([bars.ts_ns for _, bars in chosen]))
    before, after = times[max(0, cut - 60) : cut], times[cut : cut + 30]
    first = new_core(chosen)
    live_through(first, chosen, before, seed)
    kept = first.snapshot()
    expected = live_through(first, chosen, after, seed + 1)
    used = new_core(chosen)
    live_through(used, chosen, times[200:230], seed + 2)
    used.restore(kept)
    assert live_through(used, chosen, after, seed + 1) == expected
    assert {name: value.tobytes() for name, value in used.snapshot().items()} == {
        name: value.tobytes() for name, value in first.snapshot().items()
    }


def test_a_state_goes_through_a_file_without_pickle(held: Held, tmp_path: Path) -> None:
    times = held[0][1].ts_ns[400:430]
    first, second = new_core(held), new_core(held)
    live_through(first, held, times, 5)
    np.savez(tmp_path / "state.npz", allow_pickle=False, **first.snapshot())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as kept:
        second.restore(dict(kept))
    assert second.session_date == np.datetime64("2024-11-22")
    assert second.observe().tobytes() == first.observe().tobytes()
    assert second.legs["units"].tolist() == first.legs["units"].tolist() != [0, 0]


def test_a_snapshot_does_not_move_on_with_its_core(held: Held) -> None:
    core = new_core(held)
    kept = core.snapshot()
    before = {name: value.tobytes() for name, value in kept.items()}
    live_through(core, held, held[0][1].ts_ns[:20], 1)
    assert {name: value.tobytes() for name, value in kept.items()} == before


def test_the_state_of_another_core_is_refused(held: Held) -> None:
    alone, both = new_core(held[:1]), new_core(held)
    with pytest.raises(InputError, match="named arrays"):
        both.restore(alone.snapshot())
    with pytest.raises(InputError, match=r"instruments of the state must be \['SPY.EQUS'\], was \['AAPL.EQUS'\]"):
        alone.restore(new_core(held[1:]).snapshot())
    with pytest.raises(InputError, match="plan of the state must be"):
        alone.restore({**alone.snapshot(), "plan": np.array("0" * 64)})


@settings(max_examples=10)
@given(cut=st.integers(0, 59))
def test_context_goes_through_the_state_even_between_a_bar_and_its_context(held: Held, cut: int) -> None:
    stream = StreamSpec("OTHER", (FeatureSpec("sma", "average", {"n": 3}),), lag_s=0, max_age_s=180, fill=True)
    plan = JoinedPlan(PLAN, [stream], [FeatureSpec("z_score", "z", {"n": 5}, inputs={"close": "OTHER.average"})])
    (spec, bars), (_, others) = held
    first, second = (DecisionCore([spec], plan, TRADING, ExecutionConfig()) for _ in range(2))

    def take_bar(core: DecisionCore, row: int) -> None:
        prices = [int(getattr(bars, name)[row]) for name in ("open", "high", "low", "close", "volume")]
        core.instruments[0].on_bar(int(bars.ts_ns[row]), *prices)

    def decide(core: DecisionCore, row: int) -> bytes:
        core.push_context("OTHER", int(bars.ts_ns[row]), [float(others.close[row])] * 4 + [np.nan])
        core.look(int(bars.ts_ns[row]))
        return core.observe().tobytes()

    for row in range(cut):
        take_bar(first, row)
        decide(first, row)
    take_bar(first, cut)
    second.restore(first.snapshot())
    assert decide(second, cut) == decide(first, cut)
    heard = set()
    for row in range(cut + 1, cut + 20):
        take_bar(first, row)
        take_bar(second, row)
        assert decide(second, row) == decide(first, row)
        heard.add(float(first.instruments[0].values[plan.index("z")]))
    assert len(heard) > 5, "the context must be heard"


def test_keys_of_a_stored_state_keep_their_names(held: Held) -> None:
    state = new_core(held).snapshot()
    assert {"account.balance_cents", "legs.stop_ticks", "legs.target_ticks", "legs.target_filled"} <= state.keys()

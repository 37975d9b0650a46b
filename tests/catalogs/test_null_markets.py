"""Markets without an edge keep what they should of the bars they are made of, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.synthetic import synthetic_sessions
from catalogs.synthetic.null_markets import KINDS, mirrored, null_market, shuffled_blocks, sign_flipped
from configs import instruments_path


@pytest.fixture(scope="module")
def spec() -> InstrumentSpec:
    return resolve("SPY", instruments_path())


@pytest.fixture(scope="module")
def bars(spec: InstrumentSpec) -> BarSeries:
    """Forty sessions with a planted edge, one of them a half day."""
    first, last = np.datetime64("2024-11-04"), np.datetime64("2024-12-31")
    return synthetic_sessions(spec, first, last, seed=3, start_price=500.0).bars


def returns(bars: BarSeries) -> np.ndarray:
    return np.diff(bars.close, prepend=bars.open[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_bars_stay_bars(kind: str, seed: int, bars: BarSeries, spec: InstrumentSpec) -> None:
    made = null_market(kind, bars, spec.sessions, seed)
    np.testing.assert_array_equal(made.ts_ns, bars.ts_ns)
    assert made.bar_type == bars.bar_type
    assert (made.high >= np.maximum(made.open, made.close)).all()
    assert (made.low <= np.minimum(made.open, made.close)).all()
    assert made.open[0] == bars.open[0]
    assert not np.array_equal(made.close, null_market(kind, bars, spec.sessions, seed + 10).close)


@pytest.mark.parametrize("kind", KINDS)
def test_the_planted_edge_is_gone_and_the_volatility_is_not(kind: str, bars: BarSeries, spec: InstrumentSpec) -> None:
    # The planted drift: the sum of the 29 bars after an impulse follows the impulse.
    def follows(series: BarSeries) -> float:
        moves = returns(series).astype(float)
        impulses = np.flatnonzero(np.abs(returns(bars)) >= 10)
        impulses = impulses[impulses < len(bars) - 30]
        after = np.array([moves[i + 1 : i + 30].sum() for i in impulses])
        return float(np.corrcoef(np.sign(moves[impulses]), after)[0, 1])

    made = null_market(kind, bars, spec.sessions, 5)
    assert follows(bars) > 0.8
    if kind != "shuffled_blocks":  # whose blocks are as long as the segments and keep them whole
        assert abs(follows(made)) < 0.15
    assert np.std(returns(made)) == pytest.approx(np.std(returns(bars)), rel=0.1)


def test_mirrored_twice_is_the_market_itself(bars: BarSeries) -> None:
    once = mirrored(bars)
    np.testing.assert_array_equal(returns(once), -returns(bars))
    np.testing.assert_array_equal(once.high - once.open, bars.open - bars.low)
    assert mirrored(once).hash == bars.hash


@given(seed=st.integers(0, 10_000))
def test_every_range_and_size_of_a_move_survives_a_new_direction(seed: int, bars: BarSeries) -> None:
    made = sign_flipped(bars, seed)
    np.testing.assert_array_equal(np.abs(returns(made)), np.abs(returns(bars)))
    np.testing.assert_array_equal(made.high - made.low, bars.high - bars.low)


def test_blocks_are_exchanged_whole_at_their_time_of_day(bars: BarSeries, spec: InstrumentSpec) -> None:
    made = shuffled_blocks(bars, spec.sessions, 7)
    session = spec.sessions.locate(bars.ts_ns)
    blocks = {name: np.stack([np.abs(returns(s)[session == d][60:90]) for d in np.unique(session)])
              for name, s in (("from", bars), ("to", made))}  # fmt: skip
    assert sorted(map(tuple, blocks["to"])) == sorted(map(tuple, blocks["from"]))
    assert not np.array_equal(blocks["to"], blocks["from"])
    assert sorted(made.volume) == sorted(bars.volume)


def test_a_price_that_would_not_be_positive_is_refused(bars: BarSeries) -> None:
    low = replace(bars, **{name: getattr(bars, name) - bars.low.min() + 1 for name in ("open", "high", "low", "close")})
    with pytest.raises(InputError, match=r"a market made of its moves would have a price of -\d+ ticks"):
        mirrored(low)


def test_another_kind_is_refused(bars: BarSeries, spec: InstrumentSpec) -> None:
    with pytest.raises(InputError, match="null market must be one of sign_flipped, shuffled_blocks, random_walk"):
        null_market("bootstrap", bars, spec.sessions, 1)

"""What every registered kernel must keep, whoever wrote it; kernels are found in the registry, not listed here."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_strategies.features import ALL_COLUMNS, REGISTRY
from rl_strategies.features.compiler.compile import interpreted


@pytest.mark.parametrize("kind", sorted(REGISTRY))
def test_outputs_are_finite_after_warmup_and_vary(contract: Any, kind: str) -> None:
    spec, _ = contract.specs(kind)
    outputs = contract.outputs[contract.warmup(spec) - 1 :, contract.places(spec)]
    assert len(outputs) > 1000
    assert np.isfinite(outputs).all()
    assert (outputs.std(axis=0) > 0).all()


@pytest.mark.parametrize("kind", sorted(REGISTRY))
@pytest.mark.parametrize("start", [1, 389, 391, 1234])
def test_start_after_warmup_rows_equals_a_run_from_the_beginning(contract: Any, kind: str, start: int) -> None:
    restarted, beginning = contract.plan.batch(contract.rows[start:]), contract.outputs[start:]
    for spec in contract.specs(kind):
        warm, places = contract.warmup(spec) - 1, contract.places(spec)
        assert len(restarted) > warm
        assert restarted[warm:, places].tobytes() == beginning[warm:, places].tobytes()


@pytest.mark.parametrize("kind", sorted(REGISTRY))
def test_docstring_says_what_it_is_in_one_line(kind: str) -> None:
    assert REGISTRY[kind].summary.endswith(".")


def test_rows_are_left_untouched(contract: Any) -> None:
    before = contract.rows.copy()
    contract.plan.batch(contract.rows)
    assert contract.rows.tobytes() == before.tobytes()


def test_read_only_and_strided_rows_give_the_same(contract: Any) -> None:
    locked = contract.rows[:500].copy()
    locked.flags.writeable = False
    assert contract.differing(contract.plan.batch(locked), contract.outputs[:500]) == []
    strided = np.asfortranarray(contract.rows[:500])
    assert contract.differing(contract.plan.batch(strided), contract.outputs[:500]) == []
    assert len(contract.plan.compiled_loop.signatures) == 1  # and nothing was compiled again for them


def test_live_equals_batch_and_reset_repeats(contract: Any) -> None:
    live = contract.plan.live()
    first = np.array([live.push(row).copy() for row in contract.rows[:1500]])
    assert contract.differing(first, contract.outputs[:1500]) == []
    live.reset()
    again = np.array([live.push(tuple(row)).copy() for row in contract.rows[:900]])
    assert contract.differing(again, contract.outputs[:900]) == []


def test_snapshot_restores(contract: Any) -> None:
    live = contract.plan.live()
    for row in contract.rows[:700]:
        live.push(row)
    state = live.snapshot()
    for row in contract.rows[700:900]:
        live.push(row)
    other = contract.plan.live()
    other.restore(state)
    went_on = np.array([other.push(row).copy() for row in contract.rows[700:1200]])
    assert contract.differing(went_on, contract.outputs[700:1200]) == []


@settings(max_examples=40)
@given(cuts=st.lists(st.integers(0, 1500), max_size=8))
def test_chunks_equal_one_batch(contract: Any, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), 1500]
    state = np.zeros(contract.plan.state_size)
    chunks = [contract.plan.batch(contract.rows[a:b], state) for a, b in pairwise(edges)]
    assert contract.differing(np.concatenate(chunks), contract.outputs[:1500]) == []


@settings(max_examples=40)
@given(now=st.integers(1, 1499), seed=st.integers(0, 2**32 - 1))
def test_changing_the_future_never_changes_the_past(contract: Any, now: int, seed: int) -> None:
    rows = contract.rows[:1500].copy()
    rows[now:] = np.random.default_rng(seed).permuted(rows[now:] * 1.01, axis=0)
    assert contract.differing(contract.plan.batch(rows)[:now], contract.outputs[:now]) == []


@settings(max_examples=40)
@given(at=st.integers(0, 1200), missing=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_missing_row_gives_nan_and_leaves_the_state_untouched(contract: Any, at: int, missing: float) -> None:
    live = contract.plan.live()
    live.restore(_state_after(contract, at))
    before = live.snapshot()
    assert np.isnan(live.push(np.full(len(ALL_COLUMNS), missing))).all()
    assert live.snapshot().tobytes() == before.tobytes()


@pytest.mark.parametrize("column", ALL_COLUMNS)
def test_one_missing_input_touches_only_the_features_that_read_it(contract: Any, column: str) -> None:
    at = 28 * 390 + 380  # late in a session, so that what is reset by session is warm again
    rows = contract.rows[: at + 100].copy()
    rows[at, ALL_COLUMNS.index(column)] = np.nan
    outputs = contract.plan.batch(rows)
    features = {spec.name: contract.places(spec) for spec in contract.plan.specs}
    warm = {name for name, places in features.items() if np.isfinite(contract.outputs[at, places]).all()}
    missing = {name for name in warm if np.isnan(outputs[at, features[name]]).all()}
    differing = contract.differing(outputs, contract.outputs[: at + 100])
    touched = {name for name, places in features.items() if {contract.plan.outputs[j] for j in places} & {*differing}}
    assert len(features) - len(warm) <= 4  # those that compare sessions know nothing when reset by session
    assert missing == touched == {name for name in warm if column in contract.plan.needs[name]}


def test_interpreted_equals_compiled(contract: Any) -> None:
    rows, state = contract.rows[:1500], np.zeros(contract.plan.state_size)
    outputs = np.empty((1500, len(contract.plan.outputs)))
    scratch = np.zeros(contract.plan.scratch_size)
    interpreted(contract.plan.source, contract.plan.kernels)(rows, state, scratch, outputs)
    assert contract.differing(outputs, contract.outputs[:1500]) == []
    assert state.tobytes() == _state_after(contract, 1500).tobytes()


def test_reset_by_session_equals_a_fresh_start_each_session(contract: Any) -> None:
    sessions = contract.rows[:, ALL_COLUMNS.index("session")]
    kept = [name for name in contract.plan.outputs if "_by_session" in name]
    plain = [contract.plan.index(name.replace("_by_session", "")) for name in kept]
    fresh = [contract.plan.batch(contract.rows[sessions == session]) for session in np.unique(sessions)]
    by_session = contract.outputs[:, [contract.plan.index(name) for name in kept]]
    np.testing.assert_array_equal(by_session, np.concatenate(fresh)[:, plain])


def _state_after(contract: Any, count: int) -> np.ndarray:
    state = np.zeros(contract.plan.state_size)
    contract.plan.batch(contract.rows[:count], state)
    return state

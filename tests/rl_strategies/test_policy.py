"""Policies: the exported network by hand-worked numbers, the baselines by their definition."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.errors import InputError
from rl_strategies.decision.actions import FLAT, LONG, SHORT
from rl_strategies.policy.policies import FlatPolicy, OnnxPolicy, Policy, RandomPolicy

POLICIES = ("onnx", "flat", "random")


def make_policy(kind: str, network: bytes) -> Policy:
    made: dict[str, Policy] = {
        "onnx": OnnxPolicy(network),
        "flat": FlatPolicy(),
        "random": RandomPolicy(seed=3, switch_probability=0.4),
    }
    return made[kind]


def observation(value: float) -> np.ndarray:
    return np.array([value, 99.0], np.float32)


def test_onnx_policy_remembers_within_a_session(summing_network: bytes) -> None:
    policy = OnnxPolicy(summing_network)
    # sums: 0.25, 0.75, -0.25, -1.25
    assert [policy.act(observation(v)) for v in (0.25, 0.5, -1.0, -1.0)] == [FLAT, LONG, FLAT, SHORT]
    np.testing.assert_array_equal(policy.logits, np.array([1.25, 0.5, -1.25], np.float32))


def test_onnx_policy_forgets_at_reset(summing_network: bytes) -> None:
    policy = OnnxPolicy(summing_network)
    policy.act(observation(5.0))
    policy.reset()
    assert policy.act(observation(0.25)) == FLAT
    assert policy.snapshot().ravel().tolist() == [0.25, 1.0], "sum and number of steps since the reset"


def test_onnx_policy_goes_on_from_a_snapshot(summing_network: bytes) -> None:
    policy, other = OnnxPolicy(summing_network), OnnxPolicy(summing_network)
    policy.act(observation(2.0))
    taken = policy.snapshot()
    policy.act(observation(-10.0))
    assert taken.ravel().tolist() == [2.0, 1.0], "a snapshot does not change as the policy goes on"
    other.act(observation(7.0))
    other.restore(taken)
    other.act(observation(0.5))
    np.testing.assert_array_equal(other.logits, np.array([-2.5, 0.5, 2.5], np.float32))


def test_batch_keeps_lanes_apart_and_resets_them_singly(summing_network: bytes) -> None:
    lanes = OnnxPolicy(summing_network).batch(3)
    start = np.array([True, True, True])
    first = lanes.act_batch(np.array([[1, 0], [-1, 0], [0, 0]], np.float32), start)
    assert first.tolist() == [LONG, SHORT, FLAT]
    again = np.array([[-2, 0], [0.25, 0], [3, 0]], np.float32)  # sums -1, 0.25 after a reset, 3
    assert lanes.act_batch(again, np.array([False, True, False])).tolist() == [SHORT, FLAT, LONG]
    np.testing.assert_array_equal(lanes.logits[:, 2], np.array([-1.0, 0.25, 3.0], np.float32))


def test_batch_leaves_the_policy_it_came_from_alone(summing_network: bytes) -> None:
    policy = OnnxPolicy(summing_network)
    policy.act(observation(1.0))
    policy.batch(2).act_batch(np.full((2, 2), -9, np.float32), np.array([False, False]))
    assert policy.snapshot().ravel().tolist() == [1.0, 1.0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_observation_that_is_not_finite_is_refused_and_not_remembered(summing_network: bytes, value: float) -> None:
    policy = OnnxPolicy(summing_network)
    policy.act(observation(0.25))
    with pytest.raises(InputError, match=f"observations must be finite, was {value} in lane 0, column 0"):
        policy.act(observation(value))
    assert policy.snapshot().ravel().tolist() == [0.25, 1.0]


def test_an_observation_of_another_size_is_refused(summing_network: bytes) -> None:
    with pytest.raises(InputError, match=r"must have shape \(1, 2\), was \(1, 3\)"):
        OnnxPolicy(summing_network).act(np.zeros(3, np.float32))
    with pytest.raises(InputError, match=r"recurrent state must have shape \(2, 1, 1, 1\), was \(2, 1, 2, 1\)"):
        OnnxPolicy(summing_network).restore(np.zeros((2, 1, 2, 1), np.float32))
    with pytest.raises(InputError, match="n_lanes must be at least 1, was 0"):
        OnnxPolicy(summing_network).batch(0)


def test_a_file_that_is_no_policy_is_refused(tmp_path: Path, summing_network: bytes) -> None:
    with pytest.raises(InputError, match=r"policy file not found: .*absent\.onnx"):
        OnnxPolicy(tmp_path / "absent.onnx")
    with pytest.raises(InputError, match="policy network is not a readable ONNX graph"):
        OnnxPolicy(b"not a graph")
    unmarked = onnx.load_from_string(summing_network)
    del unmarked.metadata_props[:]
    with pytest.raises(InputError, match=r"not an export of this project: its metadata lack 'rl_intraday.network'"):
        OnnxPolicy(unmarked.SerializeToString())


@pytest.mark.parametrize("kind", POLICIES)
def test_every_policy_repeats_itself_and_says_what_it_chose(kind: str, summing_network: bytes) -> None:
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(50, 2)).astype(np.float32)
    kept = observations.copy()
    runs = []
    for policy in (make_policy(kind, summing_network), make_policy(kind, summing_network)):
        policy.reset()
        actions = []
        for row in observations:
            actions.append(policy.act(row))
            assert policy.logits.shape == (3,)
            assert np.isfinite(policy.logits[actions[-1]]), "an action that was taken was possible"
        runs.append(actions)
    assert runs[0] == runs[1]
    assert set(runs[0]) <= {SHORT, FLAT, LONG}
    np.testing.assert_array_equal(observations, kept)


@pytest.mark.parametrize("kind", POLICIES)
def test_every_policy_works_in_lanes(kind: str, summing_network: bytes) -> None:
    lanes = make_policy(kind, summing_network).batch(4)
    actions = lanes.act_batch(np.ones((4, 2), np.float32), np.ones(4, np.bool_))
    assert actions.shape == (4,)
    assert actions.dtype == np.int64


def test_flat_policy_stays_flat() -> None:
    policy = FlatPolicy()
    assert {policy.act(observation(v)) for v in (-5.0, 0.0, 5.0)} == {FLAT}
    assert policy.batch(3).act_batch(np.ones((3, 2), np.float32), np.zeros(3, np.bool_)).tolist() == [FLAT] * 3


@given(st.floats(0.0, 1.0), st.integers(0, 2**32 - 1))
def test_random_policy_switches_as_often_as_told(probability: float, seed: int) -> None:
    lanes = RandomPolicy(seed, probability).batch(20_000)
    observations = np.zeros((20_000, 2), np.float32)
    targets = lanes.act_batch(observations, np.ones(20_000, np.bool_))
    deviation = np.sqrt(probability * (1 - probability) / 20_000)
    assert abs((targets != FLAT).mean() - probability) <= 6 * deviation + 1e-12
    moved = lanes.act_batch(observations, np.zeros(20_000, np.bool_)) != targets
    assert abs(moved.mean() - probability) <= 6 * deviation + 1e-12


def test_random_policy_picks_both_other_targets_equally() -> None:
    targets = RandomPolicy(0, 1.0).batch(10_000).act_batch(np.zeros((10_000, 2), np.float32), np.ones(10_000, bool))
    counts = np.bincount(targets, minlength=3)
    assert counts[FLAT] == 0
    assert abs(counts[SHORT] - 5_000) < 6 * 50  # six standard deviations of a fair coin


def test_random_policy_starts_every_session_flat() -> None:
    policy = RandomPolicy(seed=0, switch_probability=0.0)
    assert policy.act(observation(0.0)) == FLAT
    always = RandomPolicy(seed=5, switch_probability=1.0)
    for _ in range(20):
        always.reset()
        assert always.act(observation(0.0)) != FLAT, "it switched away from flat, whatever it held before"


def test_random_policy_states_the_probabilities_it_draws_from() -> None:
    policy = RandomPolicy(seed=0, switch_probability=0.4)
    policy.act(observation(0.0))
    np.testing.assert_allclose(np.exp(policy.logits), [0.2, 0.6, 0.2], rtol=1e-6)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_random_policy_refuses_what_is_no_probability(probability: float) -> None:
    with pytest.raises(InputError, match=rf"switch_probability must be in \[0, 1\], was {probability}"):
        RandomPolicy(0, probability)

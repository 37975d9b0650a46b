"""An ensemble's file decides as its members do together, by arithmetic that is written here anew."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from catalogs.errors import InputError
from catalogs.plain import PLAIN_VARIABLE
from rl_strategies.bundle.golden import Golden
from rl_strategies.decision.actions import FLAT, LONG, SHORT
from rl_strategies.policy.onnx_network import Combine
from rl_strategies.policy.policies import OnnxPolicy
from tests.summing_network import summing_network
from tests.training.test_exploration import HELD, HoldingEnv, MaskedHoldingEnv, TwoSidesEnv
from tests.training.test_masking import CONFIG
from training.ensemble import ensemble_golden, export_ensemble, smallest_margin
from training.export import export_onnx, golden_observations, golden_outputs
from training.learning.fit import FitResult, fit

LANES, STEPS = 4, 120


class SometimesMaskedEnv(HoldingEnv):
    """As its parent with a mask; the observations of the tests mask flat now and then."""

    mask_columns = 3


class Members:
    """Exported members whose weights are spread, so that all actions and deep memory occur."""

    def __init__(self, folder: Path, env: type[HoldingEnv], abstaining: Sequence[int], algorithm: str) -> None:
        self.mask = env.mask_columns
        results = [self._train(folder / str(seed), env, seed, algorithm) for seed in (1, 2, 3)]
        self.observations = golden_observations(results[0].vecnormalize, n_steps=STEPS, n_envs=LANES)
        if env is SometimesMaskedEnv:
            # Flat is forbidden only while a side has to be kept, and then nothing but that side is granted.
            rng = np.random.default_rng(3)
            kept = np.eye(3)[rng.integers(3, size=(STEPS, LANES))]
            free = rng.random((STEPS, LANES, 1)) < 0.5
            self.observations[..., -3:] = np.where(free, 1.0, kept)
        self.contents, self.goldens = [], []
        for k, result in enumerate(results):
            export_onnx(result.model, result.vecnormalize, folder / "one.onnx", abstains=k in abstaining)
            self.contents.append((folder / "one.onnx").read_bytes())
            self.goldens.append(
                golden_outputs(result.model, result.vecnormalize, self.observations, abstains=k in abstaining)
            )

    @staticmethod
    def _train(folder: Path, env: type[HoldingEnv], seed: int, algorithm: str) -> FitResult:
        envs = VecMonitor(DummyVecEnv([lambda place=place: env(place) for place in range(4)]))
        config = msgspec.structs.replace(CONFIG, persistence_bars=1.8, algorithm=algorithm, total_timesteps=256)
        result = fit(
            config, envs, folder, seed=seed, mask_columns=env.mask_columns, held_columns=HELD[: env.instruments],
            on_update=lambda _: None,
        )  # fmt: skip
        with torch.no_grad():
            for parameter in result.model.policy.parameters():
                parameter.add_(0.7 * torch.randn_like(parameter))
        return result

    def export(self, path: Path, combine: Combine, *, abstains: bool = False) -> tuple[OnnxPolicy, Golden]:
        options = {"combine": combine, "mask_columns": self.mask, "abstains": abstains}
        export_ensemble(self.contents, path, **options)  # type: ignore[arg-type]
        return OnnxPolicy(path), ensemble_golden(self.goldens, **options)  # type: ignore[arg-type]


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    raised = np.exp(logits.astype(np.float64) - logits.max())
    return raised / raised.sum()


def decided(each: list[NDArray[np.float32]], mask: NDArray[np.float32], combine: str) -> NDArray[np.float64]:
    """Probabilities of one instrument's actions from the members' logits, float32[3] each, not yet divided by a sum."""
    together = sum(probabilities(logits) for logits in each) / len(each)
    wanted = {int(np.argmax(logits)) for logits in each}
    if combine == "agree" and len(wanted) > 1 and mask[FLAT] > 0.5:
        together = together * np.array([0.0, 1.0, 0.0])
    return together * (mask > 0.5)


@pytest.mark.parametrize("combine", ["mean", "agree"])
@pytest.mark.parametrize("plain", ["", "network"])
@pytest.mark.parametrize(
    ("env", "abstaining", "algorithm"),
    [
        (HoldingEnv, (), "recurrent_ppo"),
        (HoldingEnv, (1,), "recurrent_ppo"),
        (TwoSidesEnv, (), "recurrent_ppo"),
        (TwoSidesEnv, (), "ppo_mlp"),
        (MaskedHoldingEnv, (), "recurrent_ppo"),
        (SometimesMaskedEnv, (0,), "recurrent_ppo"),
    ],
)
def test_the_file_decides_as_its_members_do_together(
    env: type[HoldingEnv],
    abstaining: tuple[int, ...],
    algorithm: str,
    combine: Combine,
    plain: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    members = Members(tmp_path, env, abstaining, algorithm)
    monkeypatch.setenv(PLAIN_VARIABLE, plain)
    policy, golden = members.export(tmp_path / "policy.onnx", combine)
    assert policy.shape.abstaining_members == abstaining
    alone = [OnnxPolicy(content) for content in members.contents]
    seen, differed = set(), 0
    for row in members.observations[:, 0]:
        likeliest = np.atleast_1d(policy.act(row))
        found = policy.logits.reshape(-1, 3)
        each = [(member.act(row), member.logits.reshape(-1, 3))[1] for member in alone]
        mask = row[-members.mask :].reshape(-1, 3) if members.mask else np.ones((len(found), 3))
        for k, logits in enumerate(found):
            expected = decided([of[k] for of in each], mask[k], combine)
            np.testing.assert_array_equal(np.isneginf(logits), expected == 0.0)
            with np.errstate(divide="ignore"):
                np.testing.assert_allclose(logits, np.log(expected), rtol=0, atol=2e-5)
            assert likeliest[k] == expected.argmax()
            seen.add(int(likeliest[k]))
            differed += len({int(of[k].argmax()) for of in each}) > 1
    assert differed > STEPS / 10, "members of one opinion would show little"
    if combine == "agree" and abstaining and not members.mask:
        assert seen == {FLAT}
    else:
        assert len(seen) > 1
    assert golden.difference(policy) <= golden.tolerance


def test_its_memory_is_that_of_all_members_and_goes_on_from_a_snapshot(tmp_path: Path) -> None:
    members = Members(tmp_path, HoldingEnv, (), "recurrent_ppo")
    policy, _ = members.export(tmp_path / "policy.onnx", "mean")
    alone = [OnnxPolicy(content) for content in members.contents]
    for row in members.observations[:20, 0]:
        policy.act(row)
        for member in alone:
            member.act(row)
    taken = policy.snapshot()
    np.testing.assert_allclose(taken, np.concatenate([m.snapshot() for m in alone], axis=1), rtol=0, atol=1e-6)
    rest = [(policy.act(row), policy.logits)[1] for row in members.observations[20:40, 0]]
    fresh = OnnxPolicy(tmp_path / "policy.onnx")
    fresh.restore(taken)
    for row, expected in zip(members.observations[20:40, 0], rest, strict=True):
        fresh.act(row)
        np.testing.assert_array_equal(fresh.logits, expected)
    with pytest.raises(InputError, match="recurrent state must have shape"):
        fresh.restore(taken[:, 1:])
    fresh.reset()
    assert not fresh.snapshot().any()


def test_each_lane_has_the_memory_of_all_members(tmp_path: Path) -> None:
    members = Members(tmp_path, TwoSidesEnv, (), "recurrent_ppo")
    policy, golden = members.export(tmp_path / "policy.onnx", "mean")
    lanes = policy.batch(LANES)
    found = []
    for row, begun in zip(golden.observations, golden.episode_start, strict=True):
        lanes.act_batch(row, begun)
        found.append(lanes.logits)
    assert golden.episode_start[1:].any()
    np.testing.assert_allclose(np.array(found), golden.log_probs, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("combine", "expected"), [("mean", [LONG, FLAT, SHORT]), ("agree", [FLAT, FLAT, FLAT])])
def test_three_members_by_hand(combine: Combine, expected: list[int], tmp_path: Path) -> None:
    # Members want the side of 3, 2 and -1 times the sum of what they saw: -1.5, then -1.4 to 1.4, then 1.5.
    members = [summing_network(2, scale) for scale in (3.0, 2.0, -1.0)]
    export_ensemble(members, tmp_path / "policy.onnx", combine=combine)
    policy = OnnxPolicy(tmp_path / "policy.onnx")
    sums, seen = [1.5, 0.1, -1.5], []
    before = 0.0
    for total in sums:
        seen.append(policy.act(np.array([total - before, 9.0], np.float32)))
        before = total
    assert seen == expected
    # Hidden states are the members' sums, cell states count the steps.
    np.testing.assert_allclose(policy.snapshot().ravel(), [-4.5, -3.0, 1.5, 3.0, 3.0, 3.0], atol=1e-6)


def test_members_that_agree_are_heard(tmp_path: Path) -> None:
    members = [summing_network(2, scale) for scale in (3.0, 2.0, 1.0)]
    export_ensemble(members, tmp_path / "policy.onnx", combine="agree")
    policy = OnnxPolicy(tmp_path / "policy.onnx")
    assert policy.act(np.array([1.5, 9.0], np.float32)) == LONG
    assert policy.act(np.array([-1.2, 9.0], np.float32)) == FLAT, "with the sum 0.3 the third wants to be flat"
    assert policy.act(np.array([-1.8, 9.0], np.float32)) == SHORT


@pytest.mark.parametrize("plain", ["", "network"])
def test_an_abstaining_ensemble_stays_flat(plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLAIN_VARIABLE, plain)
    members = Members(tmp_path, MaskedHoldingEnv, (), "recurrent_ppo")
    policy, golden = members.export(tmp_path / "policy.onnx", "mean", abstains=True)
    assert policy.shape.abstains
    assert golden.difference(policy) == 0.0
    assert {policy.act(row) for row in members.observations[:, 0]} == {FLAT}


def test_members_that_all_abstain_are_an_ensemble_that_does(tmp_path: Path) -> None:
    members = Members(tmp_path, HoldingEnv, (0, 1, 2), "recurrent_ppo")
    policy, golden = members.export(tmp_path / "policy.onnx", "mean")
    assert policy.shape.abstains
    assert golden.difference(policy) == 0.0


def test_what_is_no_ensemble_is_refused(tmp_path: Path) -> None:
    for members in ([summing_network(2, 1.0)], [summing_network(2, 1.0), summing_network(3, 1.0)]):
        with pytest.raises(InputError, match="an ensemble must have two or more members of equal shape"):
            export_ensemble(members, tmp_path / "policy.onnx", combine="mean")
    assert list(tmp_path.iterdir()) == []


def test_a_margin_is_that_of_the_closest_decision() -> None:
    log_probs = np.log(np.array([[[0.2, 0.3, 0.5]], [[0.1, 0.5, 0.4]]], np.float32))
    golden = Golden(np.zeros((2, 1, 1), np.float32), np.ones((2, 1), bool), log_probs, 1e-5)
    assert smallest_margin(golden) == pytest.approx(np.log(0.5 / 0.4), abs=1e-6)

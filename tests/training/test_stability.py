"""What watches over a run: best state, plateau, KL, entropy, a hand on the rate, findings and the live table."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from rich.console import Console

from catalogs.errors import InputError
from rl_strategies.policy.policies import BatchPolicy
from tests.training.test_fit import SMALL, quiet, remember_envs
from training.algorithms.config import StabilityConfig
from training.algorithms.schedules import RateSchedule
from training.learning.findings import findings
from training.learning.fit import FitResult, fit
from training.learning.live_table import LiveTable
from training.learning.model_selection import Validate
from training.learning.stability import take_bump
from training.learning.update_metrics import UpdateMetrics


def run(path: Path, rollouts: int, results: Sequence[float | list[float]] | None = None, **stability: Any) -> FitResult:
    """Rollouts of 128 steps at a constant rate of 1e-3; every session of a validation scores ``results`` in turn."""
    config = msgspec.structs.replace(
        SMALL, total_timesteps=128 * rollouts, learning_rate=1e-3, final_learning_rate=None,
        stability=StabilityConfig(**{"evaluate_every": 1, **stability}),
    )  # fmt: skip
    return fit(config, remember_envs(), path, seed=1, on_update=quiet, validate=scripted(results) if results else None)


def scripted(results: Sequence[float | list[float]]) -> Validate:
    remaining = iter(results)

    def validate(fresh: Callable[[], BatchPolicy]) -> np.ndarray:
        observations, start = np.zeros((3, 2), np.float32), np.ones(3, bool)
        assert fresh().act_batch(observations, start).shape == (3,)
        return np.atleast_1d(next(remaining))

    return validate


def rates(result: FitResult) -> list[float]:
    return [u.learning_rate for u in result.updates]


def test_the_best_state_is_the_result(tmp_path: Path) -> None:
    best = run(tmp_path / "two", 2)
    result = run(tmp_path / "five", 5, [1.0, 7.0, 3.0, 2.0, 6.0])
    assert (result.summary.best_validation, result.summary.best_step) == (7.0, 256)
    assert result.checkpoint == tmp_path / "five" / "best"
    for name, value in result.model.policy.state_dict().items():
        assert torch.equal(value, best.model.policy.state_dict()[name]), name
    np.testing.assert_array_equal(result.vecnormalize.obs_rms.mean, best.vecnormalize.obs_rms.mean)


@pytest.mark.parametrize(
    ("scores", "error", "beats"),
    [
        ([1.0, 3.0] * 5, 1 / 3, True),  # mean 2, deviation sqrt(10 / 9), error a third: six errors above zero
        ([-4.0, 6.0] * 5, 5 / 3, False),  # mean 1: 0.6 errors
        ([-1.0, -3.0] * 5, 1 / 3, False),
        ([0.0] * 10, 0.0, False),  # it never traded
        ([1.0, 3.0] * 4 + [2.0], None, None),  # nine sessions say too little
    ],
)
def test_the_kept_state_must_beat_doing_nothing(
    scores: list[float], error: float | None, beats: bool | None, tmp_path: Path
) -> None:
    summary = run(tmp_path, 2, [[-50.0] * len(scores), scores]).summary
    assert summary.best_step == 256
    assert summary.best_error == (None if error is None else pytest.approx(error))
    assert summary.beats_flat is beats


def test_without_validation_nothing_is_said_of_doing_nothing(tmp_path: Path) -> None:
    summary = run(tmp_path, 1).summary
    assert (summary.best_error, summary.beats_flat) == (None, None)


def test_evaluations_come_when_asked_for_and_at_the_end(tmp_path: Path) -> None:
    result = run(tmp_path, 5, [1.0, 2.0, 3.0], evaluate_every=2)
    assert [u.validation for u in result.updates] == [None, 1.0, None, 2.0, 3.0]


def test_a_plateau_halves_the_rate_and_then_ends_the_run(tmp_path: Path) -> None:
    result = run(tmp_path, 9, [5.0, *[4.0] * 8], halve_after=2, stop_after=5)
    # Worse after updates 2 to 6: halved after the second and the fourth of them, ended after the fifth.
    assert rates(result) == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4])
    assert result.summary.steps == 6 * 128
    assert not result.summary.interrupted


def test_the_rate_follows_the_divergence(tmp_path: Path) -> None:
    calm, wild = run(tmp_path / "a", 3, kl_target=10.0), run(tmp_path / "b", 3, kl_target=1e-9)
    assert rates(calm) == pytest.approx([1e-3, 1.5e-3, 2.25e-3])
    assert rates(wild) == pytest.approx([1e-3, 1e-3 / 1.5, 1e-3 / 2.25])


def test_entropy_below_its_floor_raises_its_weight_until_it_is_back(tmp_path: Path) -> None:
    # Nothing exceeds the largest entropy, and a fresh policy is within a few per cent of it.
    assert run(tmp_path / "a", 4, entropy_floor=0.999999).model.ent_coef == pytest.approx(1e-3 * 1.5**3)
    assert run(tmp_path / "b", 4, entropy_floor=0.5).model.ent_coef == 0.0


@pytest.mark.parametrize(("content", "factor"), [("", 2.0), ("0.5\n", 0.5)])
def test_a_touched_file_moves_the_rate_once(tmp_path: Path, content: str, factor: float) -> None:
    def listen(metrics: UpdateMetrics) -> None:
        if metrics.steps == 256:
            (tmp_path / ".lr_bump").write_text(content)

    config = msgspec.structs.replace(SMALL, total_timesteps=4 * 128, learning_rate=1e-3, final_learning_rate=None)
    result = fit(config, remember_envs(), tmp_path, seed=1, on_update=listen)
    assert rates(result) == pytest.approx([1e-3, 1e-3, factor * 1e-3, factor * 1e-3])
    assert not (tmp_path / ".lr_bump").exists()


@pytest.mark.parametrize("content", ["fast", "-1", "nan", "inf", "0"])
def test_a_bump_that_is_no_factor_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / ".lr_bump").write_text(content)
    with pytest.raises(InputError, match=f"must be empty or hold a number above 0, was '{content}'"):
        take_bump(tmp_path)


def test_the_schedule_is_linear_times_its_factor_within_bounds() -> None:
    rate = RateSchedule(3e-4, 1e-5)
    assert [rate(1.0), rate(0.5), rate(0.0)] == pytest.approx([3e-4, 1.55e-4, 1e-5])
    rate.scale(1e9)
    assert rate.factor == 1000.0
    assert rate(1.0) == 0.1
    rate.scale(1e-9)
    assert rate(0.0) == pytest.approx(1e-7)


def update(**changes: Any) -> UpdateMetrics:
    """A healthy update."""
    healthy: dict[str, Any] = {
        "steps": 500, "total_steps": 1000, "seconds": 10.0, "rollout_s": 4.0, "env_s": 1.0, "update_s": 6.0,
        "episodes": 3, "mean_episode_reward": 1.5, "mean_episode_length": 390.0, "policy_loss": 0.1,
        "value_loss": 0.2, "loss": 0.3, "entropy": 0.9, "approx_kl": 0.005, "clip_fraction": 0.05,
        "explained_variance": 0.6, "learning_rate": 3e-4, "clip_range": 0.2, "action_shares": (0.25, 0.25, 0.5),
    }  # fmt: skip
    return UpdateMetrics(**(healthy | changes))


def test_a_healthy_run_has_no_findings() -> None:
    assert findings([update()] * 4) == []
    assert findings([update(approx_kl=9.0)]) == [], "one update is no run"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"approx_kl": 0.05},
            "approx_kl is 0.05, healthy is 0.003 to 0.01: the policy changes too fast; lower learning",
        ),
        ({"approx_kl": 0.0001}, "approx_kl is 0.0001, healthy is 0.003 to 0.01: the policy hardly changes"),
        ({"clip_fraction": 0.3}, "clip_fraction is 0.3, healthy is 0.03 to 0.08: many updates hit clip_range"),
        ({"explained_variance": -0.2}, "explained_variance is -0.2, healthy is 0.1 to 1: the critic explains little"),
        (
            {"action_shares": (0.5, 0.5, 0.0)},
            "share of action 2 is 0, healthy is at least 0.01: the policy hardly ever",
        ),
    ],
)
def test_what_is_out_of_range_is_said_with_advice(changes: dict[str, Any], line: str) -> None:
    settled = [update(**changes)] * 3
    (finding,) = findings([update()] * 2 + settled)  # the first half does not count
    assert str(finding).startswith(line)


def test_figures_that_an_algorithm_lacks_are_no_findings() -> None:
    assert findings([update(approx_kl=None, clip_fraction=None, explained_variance=float("nan"))] * 3) == []


def test_the_live_table_fits_eighty_columns() -> None:
    console = Console(width=80, record=True, force_terminal=True, file=io.StringIO())
    table = LiveTable(12_345_678, console)
    components = {"pnl": -123.456, "costs": -45.6, "drawdown": -7.8}
    table(update(mean_episode_reward=-1234.5678, validation=-56.7))
    metrics = update(
        total_steps=12_345_678,
        steps=11_345_678,
        seconds=98_765.0,
        mean_episode_reward=None,
        reward_components=components,
    )
    console.print(table.render(metrics))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    # 500 steps in 10 s are no guide here: 11,345,678 in 98,765 s are 115 a second, and a million is left.
    for part in (
        "115 samples/s", "rollout 30%", "env 10%", "update 60%", "-1235 per episode", "costs -45.6",
        "KL 0.005", "short 25%", "long 50%", "best -56.7 at step 500", "2:25:05 left",
    ):  # fmt: skip
        assert part in text, part


def test_metrics_survive_their_csv_row(tmp_path: Path) -> None:
    before = update(entropy=None, reward_components={"pnl": 1.25}, validation=3.5)
    path = tmp_path / "progress.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, before.to_row().keys())
        writer.writeheader()
        writer.writerow(before.to_row())
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert UpdateMetrics.from_row(row) == before

"""Metrics after every update, and the stop of a run that diverges."""

import csv
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from catalogs.errors import InputError
from rl_strategies.decision.actions import ACTIONS
from training.envs.timed_env import TimedVecEnv
from training.learning.model_selection import ModelSelectionCallback
from training.learning.update_metrics import COLUMNS, UpdateMetrics


class MetricsCallback(BaseCallback):
    """Collects `UpdateMetrics`, appends them to a CSV file and TensorBoard, and stops a run that diverges.

    Parameters
    ----------
    csv_path : Path
        One row per update; rows beyond ``resumed_at`` are dropped.
    total_steps : int
    listener : callable
        Called with every `UpdateMetrics`.
    timed_env : TimedVecEnv
    validation : ModelSelectionCallback, optional
        Evaluates the validation sessions after an update.
    resumed_at : int
        Environment steps of the checkpoint that the run continues from; 0 for a new run.

    Attributes
    ----------
    updates : list of UpdateMetrics

    Raises
    ------
    InputError
        After an update whose loss or weights are not finite.

    Notes
    -----
    Draws no random numbers: minibatches come from NumPy's global generator, and a draw here would change the run.
    """

    def __init__(
        self,
        csv_path: Path,
        total_steps: int,
        listener: Callable[[UpdateMetrics], None],
        timed_env: TimedVecEnv,
        validation: ModelSelectionCallback | None = None,
        resumed_at: int = 0,
    ) -> None:
        super().__init__()
        self._csv_path, self._total_steps, self._listener = csv_path, total_steps, listener
        self._timed_env, self._validation = timed_env, validation
        self._episodes: list[dict[str, Any]] = []
        self.updates = [update for update in read_updates(csv_path) if update.steps <= resumed_at]
        self._seconds_before = self.updates[-1].seconds if self.updates else 0.0
        with csv_path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(update.to_row() for update in self.updates)

    def _on_training_start(self) -> None:
        self._started = time.perf_counter()
        self._rollout_began = self._rollout_ended = self._started
        self._env_before = self._timed_env.seconds
        self._updates_seen = self.model._n_updates

    def _on_step(self) -> bool:
        for i in np.flatnonzero(self.locals["dones"]):
            self._episodes.append(self.locals["infos"][i])
        taken = np.asarray(self.locals["actions"], np.int64).ravel()
        self._action_counts += np.bincount(taken, minlength=len(self._action_counts))
        return True

    def _on_rollout_start(self) -> None:
        self._after_update()
        self._rollout_began = time.perf_counter()
        self._env_before = self._timed_env.seconds
        space: Any = self.model.action_space
        self._action_counts = np.zeros(int(space.n) if hasattr(space, "n") else int(space.nvec.max()), np.int64)

    def _on_rollout_end(self) -> None:
        self._rollout_ended = time.perf_counter()
        self._choices = share_of_choices(self.model)  # now, because the next rollout empties the buffer first

    def _on_training_end(self) -> None:
        self._after_update()

    def _after_update(self) -> None:
        if self.model._n_updates == self._updates_seen:
            return
        self._updates_seen = self.model._n_updates
        update_s = time.perf_counter() - self._rollout_ended
        self._stop_if_diverged()
        self._judge_choices_alone()
        metrics = self._measure(update_s, self._validation.evaluate() if self._validation else None)
        self.updates.append(metrics)
        self._episodes.clear()
        with self._csv_path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow(metrics.to_row())
        self._record(metrics)
        self._listener(metrics)

    def _measure(self, update_s: float, validation: float | None) -> UpdateMetrics:
        train = {key.removeprefix("train/"): float(v) for key, v in self.logger.name_to_value.items()}
        episodes = [info["episode"] for info in self._episodes]
        return UpdateMetrics(
            steps=self.model.num_timesteps,
            total_steps=self._total_steps,
            seconds=self._seconds_before + time.perf_counter() - self._started,
            rollout_s=self._rollout_ended - self._rollout_began,
            env_s=self._timed_env.seconds - self._env_before,
            update_s=update_s,
            episodes=len(episodes),
            mean_episode_reward=float(np.mean([e["r"] for e in episodes])) if episodes else None,
            mean_episode_length=float(np.mean([e["l"] for e in episodes])) if episodes else None,
            policy_loss=train.get("policy_gradient_loss", train.get("policy_objective")),
            value_loss=train.get("value_loss"),
            loss=train.get("loss"),
            entropy=-train["entropy_loss"] if "entropy_loss" in train else None,
            approx_kl=train.get("approx_kl", train.get("kl_divergence_loss")),
            clip_fraction=train.get("clip_fraction"),
            explained_variance=train.get("explained_variance"),
            learning_rate=train["learning_rate"],
            clip_range=train.get("clip_range"),
            action_shares=tuple((self._action_counts / self._action_counts.sum()).tolist()),
            reward_components=self._reward_components(),
            validation=validation,
        )

    def _judge_choices_alone(self) -> None:
        # Where a mask leaves one action, entropy and divergence are zero whatever the policy is: a mean over such steps
        # says little of it, and a learning rate or an entropy weight that follows it would be driven by them.
        for name in ("train/entropy_loss", "train/approx_kl", "train/kl_divergence_loss"):
            if name in self.logger.name_to_value and self._choices > 0.0:
                self.logger.name_to_value[name] /= self._choices

    def _reward_components(self) -> dict[str, float]:
        found = defaultdict(list)
        for info in self._episodes:
            for name, value in info.get("reward_components", {}).items():
                found[name].append(float(value))
        return {name: float(np.mean(values)) for name, values in found.items()}

    def _record(self, metrics: UpdateMetrics) -> None:
        if metrics.mean_episode_reward is not None:
            self.logger.record("rollout/ep_rew_mean", metrics.mean_episode_reward)
            self.logger.record("rollout/ep_len_mean", metrics.mean_episode_length)
        for name, value in metrics.reward_components.items():
            self.logger.record(f"reward/{name}", value)
        for action, share in enumerate(metrics.action_shares):
            self.logger.record(f"actions/{action}", share)
        if metrics.validation is not None:
            self.logger.record("validation/result", metrics.validation)
        self.logger.record("time/fps", metrics.samples_per_s)
        self.logger.dump(metrics.steps)

    def _stop_if_diverged(self) -> None:
        steps, rate = self.model.num_timesteps, self.logger.name_to_value["train/learning_rate"]
        advice = f"lower learning_rate (now {rate:g}) or max_grad_norm"
        for name in ("policy_gradient_loss", "policy_objective", "value_loss", "loss"):
            value = float(self.logger.name_to_value.get(f"train/{name}", 0.0))
            if not np.isfinite(value):
                raise InputError(f"{name} at step {steps}: must be finite, was {value}; {advice}")
        if not all(bool(torch.isfinite(p).all()) for p in self.model.policy.parameters()):
            raise InputError(f"network weights at step {steps}: must be finite, some are not; {advice}")


def share_of_choices(model: Any) -> float:
    """Share of the last rollout's steps at which the action mask allowed more than one action; 1 without a mask."""
    buffer, columns = getattr(model, "rollout_buffer", None), getattr(model.policy, "mask_columns", 0)
    if buffer is None or columns == 0:
        return 1.0
    mask = buffer.observations[..., -columns:]
    allowed = mask.reshape(-1, columns // ACTIONS, ACTIONS).sum(axis=-1)
    return float((allowed > 1).any(axis=-1).mean())


def read_updates(csv_path: Path) -> list[UpdateMetrics]:
    """Rows that `MetricsCallback` wrote; none if there is no file."""
    if not csv_path.is_file():
        return []
    with csv_path.open(newline="", encoding="utf-8") as file:
        return [UpdateMetrics.from_row(row) for row in csv.DictReader(file)]

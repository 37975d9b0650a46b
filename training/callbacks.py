"""What happens beside learning: figures after every update, and checkpoints."""

import csv
import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from catalogs.errors import InputError
from training.progress import UpdateMetrics


class MetricsCallback(BaseCallback):
    """Collects `UpdateMetrics`, appends them to a CSV file and TensorBoard, and stops a run that diverged.

    Parameters
    ----------
    csv_path : Path
        One row per update; created with its header.
    total_steps : int
    listener : callable
        Called with every `UpdateMetrics`.

    Attributes
    ----------
    updates : list of UpdateMetrics

    Raises
    ------
    InputError
        After an update whose loss or weights are not finite.

    Notes
    -----
    Nothing here draws random numbers: minibatches come from NumPy's global generator, and a draw would change the
    run.
    """

    def __init__(self, csv_path: Path, total_steps: int, listener: Callable[[UpdateMetrics], None]) -> None:
        super().__init__()
        self.updates: list[UpdateMetrics] = []
        self._csv_path, self._total_steps, self._listener = csv_path, total_steps, listener
        self._episodes: list[tuple[float, int]] = []
        with csv_path.open("w", newline="") as file:
            csv.writer(file).writerow(field.name for field in dataclasses.fields(UpdateMetrics))

    def _on_training_start(self) -> None:
        self._started = time.perf_counter()

    def _on_step(self) -> bool:
        for i in np.flatnonzero(self.locals["dones"]):
            episode = self.locals["infos"][i]["episode"]
            self._episodes.append((float(episode["r"]), int(episode["l"])))
        return True

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps > 0:
            self._after_update()

    def _on_training_end(self) -> None:
        self._after_update()

    def _after_update(self) -> None:
        metrics = self._measure()
        self._stop_if_diverged(metrics)
        self.updates.append(metrics)
        self._episodes.clear()
        with self._csv_path.open("a", newline="") as file:
            csv.writer(file).writerow(dataclasses.astuple(metrics))
        if metrics.mean_episode_reward is not None:
            self.logger.record("rollout/ep_rew_mean", metrics.mean_episode_reward)
            self.logger.record("rollout/ep_len_mean", metrics.mean_episode_length)
        self.logger.record("time/fps", metrics.samples_per_s)
        self.logger.dump(metrics.steps)
        self._listener(metrics)

    def _measure(self) -> UpdateMetrics:
        train = {key.removeprefix("train/"): float(v) for key, v in self.logger.name_to_value.items()}
        rewards, lengths = zip(*self._episodes, strict=True) if self._episodes else ((), ())
        return UpdateMetrics(
            steps=self.model.num_timesteps,
            total_steps=self._total_steps,
            seconds=time.perf_counter() - self._started,
            episodes=len(rewards),
            mean_episode_reward=float(np.mean(rewards)) if rewards else None,
            mean_episode_length=float(np.mean(lengths)) if lengths else None,
            policy_loss=train["policy_gradient_loss"],
            value_loss=train["value_loss"],
            loss=train["loss"],
            entropy=-train["entropy_loss"],
            approx_kl=train["approx_kl"],
            clip_fraction=train["clip_fraction"],
            explained_variance=train["explained_variance"],
            learning_rate=train["learning_rate"],
            clip_range=train["clip_range"],
        )

    def _stop_if_diverged(self, metrics: UpdateMetrics) -> None:
        for name in ("policy_loss", "value_loss", "loss"):
            value = getattr(metrics, name)
            if not np.isfinite(value):
                raise InputError(
                    f"{name} at step {metrics.steps}: must be finite, was {value}; "
                    f"lower learning_rate (was {metrics.learning_rate:g}) or max_grad_norm"
                )
        if not all(bool(torch.isfinite(p).all()) for p in self.model.policy.parameters()):
            raise InputError(
                f"network weights at step {metrics.steps}: must be finite, were not; "
                f"lower learning_rate (was {metrics.learning_rate:g}) or max_grad_norm"
            )


class CheckpointCallback(BaseCallback):
    """Keeps the last checkpoints of a run: ``step_<steps>/`` with ``model.zip`` and ``vecnormalize.pkl``.

    Parameters
    ----------
    folder : Path
        Created if missing.
    vecnormalize : VecNormalize
        Its statistics belong to the model: without them a policy sees other observations than it learned on.
    interval_s : float
        Seconds between checkpoints, taken between two updates; `save` takes one at any time.
    keep : int
        Older ones are removed.
    """

    def __init__(self, folder: Path, vecnormalize: VecNormalize, *, interval_s: float = 300.0, keep: int = 3) -> None:
        super().__init__()
        self._folder, self._vecnormalize = folder, vecnormalize
        self._interval_s, self._keep = interval_s, keep
        folder.mkdir(parents=True, exist_ok=True)

    def _on_training_start(self) -> None:
        self._saved = time.monotonic()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps > 0 and time.monotonic() - self._saved >= self._interval_s:
            self.save()
            self._saved = time.monotonic()

    def save(self) -> Path:
        """Write a checkpoint of the present state, whole or not at all, and return its folder."""
        target = self._folder / f"step_{self.model.num_timesteps:012d}"
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".") as aside:
            content = Path(aside) / "checkpoint"
            content.mkdir()
            self.model.save(content / "model.zip")
            self._vecnormalize.save(str(content / "vecnormalize.pkl"))
            if target.exists():
                shutil.rmtree(target)
            content.rename(target)
        for old in sorted(self._folder.glob("step_*"))[: -self._keep]:
            shutil.rmtree(old)
        return target

"""Adjustments during a run: learning rate by KL divergence, entropy floor, and a learning-rate factor by the user."""

from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from catalogs.errors import InputError
from training.algorithms.config import DEFAULT_BUMP, LearnerConfig
from training.algorithms.schedules import rate_of
from training.learning.callbacks import MetricsCallback

BUMP_FILE = ".lr_bump"
ADAPTATION = 1.5


class StabilityCallback(BaseCallback):
    """Adjusts learning rate and entropy weight before each rollout, by the figures of the last update.

    Parameters
    ----------
    config : LearnerConfig
    metrics : MetricsCallback
        Must come before this one in the list of callbacks.
    bump_dir : Path
        A file ``.lr_bump`` in it multiplies the learning rate once, by its content or by 2 if empty.

    References
    ----------
    Schulman et al. (2017), section 4 (adaptive KL penalty; here the learning rate adapts instead, as in rsl_rl).
    """

    def __init__(self, config: LearnerConfig, metrics: MetricsCallback, bump_dir: Path) -> None:
        super().__init__()
        self._config, self._ent_coef = config.stability, config.ent_coef
        self._metrics, self._bump_dir = metrics, bump_dir
        self._answered = len(metrics.updates)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        factor = take_bump(self._bump_dir)
        if factor is not None:
            rate_of(self.model).scale(factor)
        if len(self._metrics.updates) == self._answered:
            return
        self._answered = len(self._metrics.updates)
        last = self._metrics.updates[-1]
        if self._config.kl_target is not None and last.approx_kl is not None:
            self._adapt_rate(last.approx_kl, self._config.kl_target)
        if self._config.entropy_floor > 0 and last.entropy is not None:
            self._hold_entropy(last.entropy)

    def _adapt_rate(self, kl: float, target: float) -> None:
        if kl > 2 * target:
            rate_of(self.model).scale(1 / ADAPTATION)
        elif 0 < kl < target / 2:
            rate_of(self.model).scale(ADAPTATION)

    def _hold_entropy(self, entropy: float) -> None:
        # A weight of zero cannot grow by a factor: start at 0.001.
        model: Any = self.model
        smallest = max(self._ent_coef, 1e-3)
        floor = self._config.entropy_floor * largest_entropy(model.action_space)
        if entropy < floor:
            model.ent_coef = min(max(model.ent_coef, smallest) * ADAPTATION, 1.0)
        elif model.ent_coef > self._ent_coef:
            lowered = model.ent_coef / ADAPTATION
            model.ent_coef = lowered if lowered > smallest else self._ent_coef


def largest_entropy(space: object) -> float:
    """Entropy of a uniform policy over a Discrete or MultiDiscrete space, nats."""
    choices = getattr(space, "nvec", None)
    return float(np.log(choices).sum() if choices is not None else np.log(space.n))  # type: ignore[attr-defined]


def take_bump(folder: Path) -> float | None:
    """Read and remove the factor file in a folder; None if there is none.

    Raises
    ------
    InputError
        If its content is not a number above 0; the file is removed first.
    """
    path = folder / BUMP_FILE
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8").strip()
    path.unlink()
    try:
        factor = float(text) if text else DEFAULT_BUMP
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise InputError(f"{path}: must be empty or hold a number above 0, was {text!r}")
    return factor

"""Findings: figures of a run outside the ranges in which PPO usually learns, each with advice."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from training.learning.update_metrics import UpdateMetrics


class Finding(msgspec.Struct, frozen=True):
    """A figure outside its healthy range.

    Attributes
    ----------
    figure : str
    value : float
        Median over the second half of the run.
    healthy : str
    advice : str
    """

    figure: str
    value: float
    healthy: str
    advice: str

    def __str__(self) -> str:
        return f"{self.figure} is {self.value:.3g}, healthy is {self.healthy}: {self.advice}"


class _Range(NamedTuple):
    low: float
    high: float
    too_low: str
    too_high: str


RANGES: dict[str, _Range] = {
    "approx_kl": _Range(
        0.003, 0.010,
        "the policy hardly changes; raise learning_rate or n_epochs",
        "the policy changes too fast; lower learning_rate or n_epochs, or set target_kl",
    ),
    "clip_fraction": _Range(
        0.03, 0.08,
        "few updates reach clip_range; raise learning_rate or n_epochs",
        "many updates hit clip_range; lower learning_rate or n_epochs",
    ),
    "explained_variance": _Range(
        0.1, 1.0,
        "the critic explains little of the returns; train longer, raise vf_coef or n_steps; perhaps rewards are noise",
        "",
    ),
}  # fmt: skip
SMALLEST_ACTION_SHARE = 0.01


def findings(updates: Sequence[UpdateMetrics]) -> list[Finding]:
    """Figures out of range over the second half of a run; none for a run of fewer than two updates.

    Parameters
    ----------
    updates : sequence of UpdateMetrics
    """
    settled = updates[len(updates) // 2 :] if len(updates) > 1 else []
    found = []
    for figure, limits in RANGES.items():
        value = _median(settled, lambda update, figure=figure: getattr(update, figure))  # type: ignore[misc]
        if value is None or limits.low <= value <= limits.high:
            continue
        advice = limits.too_low if value < limits.low else limits.too_high
        found.append(Finding(figure, value, f"{limits.low:g} to {limits.high:g}", advice))
    return found + _unused_actions(settled)


def _unused_actions(settled: Sequence[UpdateMetrics]) -> list[Finding]:
    count = len(settled[-1].action_shares) if settled else 0
    found = []
    for action in range(count):
        share = _median(settled, lambda update, action=action: update.action_shares[action])  # type: ignore[misc]
        if share is not None and share < SMALLEST_ACTION_SHARE:
            advice = "the policy hardly ever takes it; if that is too early, raise ent_coef or stability.entropy_floor"
            found.append(Finding(f"share of action {action}", share, f"at least {SMALLEST_ACTION_SHARE:g}", advice))
    return found


def _median(updates: Sequence[UpdateMetrics], figure: Callable[[UpdateMetrics], float | None]) -> float | None:
    values = [value for value in map(figure, updates) if value is not None and np.isfinite(value)]
    return float(np.median(values)) if values else None

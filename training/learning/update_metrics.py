"""Metrics of one update of the policy, also as a row of ``metrics/progress.csv``."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class UpdateMetrics:
    """Figures of one rollout and the update after it; None if the algorithm has no such figure.

    Attributes
    ----------
    steps, total_steps : int
        Environment steps so far and planned, over all environments.
    seconds : float
        Time since training began.
    rollout_s, env_s, update_s : float
        Time of this rollout, of the environments in it, and of the update.
    episodes : int
        Episodes that ended in this rollout.
    mean_episode_reward, mean_episode_length : float or None
        Means of those episodes, reward before normalisation; None if none ended.
    policy_loss, value_loss, loss : float or None
    entropy : float or None
        Entropy of the action distribution, nats.
    approx_kl : float or None
        Estimated KL divergence of the new from the old policy, mean of the last epoch.
    clip_fraction, explained_variance : float or None
        The latter is NaN if the returns did not vary.
    learning_rate : float
        Value during the update.
    clip_range : float or None
    action_shares : tuple of float
        Share of each action in the rollout.
    reward_components : dict of str to float
        Mean per episode of the ``reward_components`` that the environment reports.
    validation : float or None
        Result on the validation sessions if they were evaluated after this update.
    """

    steps: int
    total_steps: int
    seconds: float
    rollout_s: float
    env_s: float
    update_s: float
    episodes: int
    mean_episode_reward: float | None
    mean_episode_length: float | None
    policy_loss: float | None
    value_loss: float | None
    loss: float | None
    entropy: float | None
    approx_kl: float | None
    clip_fraction: float | None
    explained_variance: float | None
    learning_rate: float
    clip_range: float | None
    action_shares: tuple[float, ...] = ()
    reward_components: dict[str, float] = field(default_factory=dict)
    validation: float | None = None

    @property
    def samples_per_s(self) -> float:
        """Environment steps per second, updates included, since training began."""
        return self.steps / self.seconds

    @property
    def remaining_s(self) -> float:
        """Seconds left at that speed."""
        return max(self.total_steps - self.steps, 0) / self.samples_per_s

    def to_row(self) -> dict[str, str]:
        """Cells of a CSV row, each JSON; empty for None."""
        return {name: "" if value is None else json.dumps(value) for name, value in asdict(self).items()}

    @classmethod
    def from_row(cls, row: dict[str, str]) -> "UpdateMetrics":
        """Read back what `to_row` wrote."""
        values: dict[str, Any] = {name: json.loads(cell) if cell else None for name, cell in row.items()}
        return cls(**values | {"action_shares": tuple(values["action_shares"])})


COLUMNS = tuple(entry.name for entry in fields(UpdateMetrics))

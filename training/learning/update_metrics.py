"""What is known after every update of the policy, and as a row of a CSV file."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class UpdateMetrics:
    """Figures of one rollout and the update that followed it; None where the algorithm has no such figure.

    Attributes
    ----------
    steps, total_steps : int
        Environment steps so far, over all environments, and those planned.
    seconds : float
        Since training began.
    rollout_s, env_s, update_s : float
        Of this rollout, the environments' part of it, and this update.
    episodes : int
        Episodes that ended in this rollout.
    mean_episode_reward, mean_episode_length : float or None
        Of those episodes, reward before normalisation; None where none ended.
    policy_loss, value_loss, loss : float or None
    entropy : float or None
        Of the action distribution, nats.
    approx_kl : float or None
        Estimated KL divergence of the new from the old policy, mean of the last epoch.
    clip_fraction, explained_variance : float or None
        The latter is NaN where the returns did not vary.
    learning_rate : float
        In force during the update.
    clip_range : float or None
    action_shares : tuple of float
        How often each action was taken, over the rollout.
    reward_components : dict of str to float
        Mean per episode of what the environment reports as ``reward_components``.
    validation : float or None
        Result on the validation sessions, where they were walked after this update.
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
        """Seconds to the end at that pace."""
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

"""What is known after every update of the policy, and the progress bar that shows it."""

from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn


@dataclass(frozen=True)
class UpdateMetrics:
    """Figures of one rollout and the update that followed it.

    Attributes
    ----------
    steps, total_steps : int
        Environment steps so far, over all environments, and those planned.
    seconds : float
        Since training began.
    episodes : int
        Episodes that ended in this rollout.
    mean_episode_reward, mean_episode_length : float or None
        Of those episodes, reward before normalisation; None where none ended.
    policy_loss, value_loss, loss : float
    entropy : float
        Of the action distribution, nats.
    approx_kl : float
        Estimated KL divergence of the new from the old policy, mean of the last epoch.
    clip_fraction, explained_variance : float
        The latter is NaN where the returns did not vary.
    learning_rate, clip_range : float
        In force during the update.
    """

    steps: int
    total_steps: int
    seconds: float
    episodes: int
    mean_episode_reward: float | None
    mean_episode_length: float | None
    policy_loss: float
    value_loss: float
    loss: float
    entropy: float
    approx_kl: float
    clip_fraction: float
    explained_variance: float
    learning_rate: float
    clip_range: float

    @property
    def samples_per_s(self) -> float:
        """Environment steps per second, updates included, since training began."""
        return self.steps / self.seconds

    @property
    def remaining_s(self) -> float:
        """Seconds to the end at that pace."""
        return max(self.total_steps - self.steps, 0) / self.samples_per_s


class RichProgress:
    """Progress bar on standard error, advanced once per update.

    The time left is computed from the pace since the start: rollouts and updates alternate, and a pace measured over
    seconds would swing between the two.
    """

    def __init__(self, total_steps: int) -> None:
        columns = (BarColumn(bar_width=10), TextColumn("{task.fields[figures]}"))  # fits 80 characters
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task("training", total=total_steps, figures="first rollout ...")
        self._reward = "-"

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, metrics: UpdateMetrics) -> None:
        """Show the figures of an update, with the reward of the last rollout in which an episode ended."""
        if metrics.mean_episode_reward is not None:
            self._reward = f"{metrics.mean_episode_reward:.3g}"
        remaining = str(timedelta(seconds=round(metrics.remaining_s))).removeprefix("0:")
        figures = (
            f"{remaining} left  {metrics.samples_per_s:,.0f} samples/s  reward {self._reward}  "
            f"KL {metrics.approx_kl:.1g}  entropy {metrics.entropy:.2f}"
        )
        self._bar.update(self._task, completed=metrics.steps, figures=figures)

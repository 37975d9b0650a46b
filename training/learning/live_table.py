"""The live table of a training run: speed, reward, policy figures, actions, validation, time left."""

from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from training.learning.update_metrics import UpdateMetrics

ACTION_NAMES = ("short", "flat", "long")


class LiveTable:
    """Shows every update on standard error, within 80 columns. Without a terminal only the last one is printed.

    The time left is computed from the speed since the start, because rollouts and updates alternate.
    """

    def __init__(self, total_steps: int, console: Console | None = None) -> None:
        self._total_steps = total_steps
        self._reward: float | None = None
        self._best: tuple[float, int] | None = None
        self._live = Live(
            "first rollout ...",
            console=console or Console(stderr=True, markup=False, emoji=False),
            refresh_per_second=4,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()
        if not self._live.console.is_terminal:
            self._live.console.line()  # rich ends without a newline

    def __call__(self, metrics: UpdateMetrics) -> None:
        """Show an update, with the reward of the last rollout in which an episode ended."""
        if metrics.mean_episode_reward is not None:
            self._reward = metrics.mean_episode_reward
        if metrics.validation is not None and (self._best is None or metrics.validation > self._best[0]):
            self._best = (metrics.validation, metrics.steps)
        self._live.update(self.render(metrics))

    def render(self, metrics: UpdateMetrics) -> RenderableType:
        """The table after an update."""
        left = str(timedelta(seconds=round(metrics.remaining_s))).removeprefix("0:")
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=self._total_steps, completed=metrics.steps, width=24)
        head.add_row(bar, f"{metrics.steps:,} of {self._total_steps:,} steps", f"{left} left")
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim")
        for name, cells in self._rows(metrics).items():
            if cells:
                rows.add_row(name, "  ".join(cells))
        return Group(head, rows)

    def _rows(self, metrics: UpdateMetrics) -> dict[str, list[str]]:
        reward = "-" if self._reward is None else f"{self._reward:.4g}"
        best = [] if self._best is None else [f"best {self._best[0]:,.4g} at step {self._best[1]:,}"]
        return {
            "speed": [f"{metrics.samples_per_s:,.0f} samples/s", *_time_shares(metrics)],
            "reward": [f"{reward} per episode", *(f"{n} {v:.3g}" for n, v in metrics.reward_components.items())],
            "policy": _policy(metrics),
            "actions": _actions(metrics.action_shares),
            "validation": best,
        }


def _time_shares(metrics: UpdateMetrics) -> list[str]:
    whole = metrics.rollout_s + metrics.update_s
    parts = {"rollout": metrics.rollout_s - metrics.env_s, "env": metrics.env_s, "update": metrics.update_s}
    return [f"{name} {seconds / whole:.0%}" for name, seconds in parts.items()]


def _policy(metrics: UpdateMetrics) -> list[str]:
    figures = {
        "KL": (metrics.approx_kl, ".2g"),
        "clipped": (metrics.clip_fraction, ".0%"),
        "entropy": (metrics.entropy, ".2f"),
        "explained": (metrics.explained_variance, ".2f"),
        "rate": (metrics.learning_rate, ".1e"),
    }
    return [f"{name} {value:{form}}" for name, (value, form) in figures.items() if value is not None]


def _actions(shares: tuple[float, ...]) -> list[str]:
    names = ACTION_NAMES if len(shares) == len(ACTION_NAMES) else tuple(str(i) for i in range(len(shares)))
    return [f"{name} {share:.0%}" for name, share in zip(names, shares, strict=True)]

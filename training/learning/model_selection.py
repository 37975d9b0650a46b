"""Model selection: keeps the state that does best on the validation sessions, if it beats doing nothing there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from rl_strategies.policy.policies import BatchPolicy
from training.algorithms.config import StabilityConfig
from training.algorithms.schedules import rate_of
from training.learning.checkpoint import save_model
from training.learning.torch_policy import TorchBatchPolicy

# Score of each validation session, float64[n]; doing nothing scores 0, and the largest mean is the best. Takes a
# function that makes a policy with empty memory.
Validate = Callable[[Callable[[], BatchPolicy]], NDArray[np.float64]]
FEWEST_SESSIONS = 10  # a standard error of fewer says little


class ModelSelectionCallback(BaseCallback):
    """Evaluates every few rollouts, saves the best state, halves the learning rate on a plateau and may end the run.

    Parameters
    ----------
    validate : callable
    normalizer : VecNormalize
    config : StabilityConfig
    best : Path
        Folder for ``model.zip`` and ``vecnormalize.pkl`` of the best state.

    Attributes
    ----------
    state : dict
        ``rollouts``, ``best`` (mean score), ``best_error`` (its standard error; None with fewer than `FEWEST_SESSIONS`
        sessions), ``best_steps``, ``worse`` (evaluations since the best); saved in checkpoints.
    """

    def __init__(self, validate: Validate, normalizer: VecNormalize, config: StabilityConfig, best: Path) -> None:
        super().__init__()
        self._validate, self._normalizer, self._config = validate, normalizer, config
        self.best_folder = best
        self.state: dict[str, Any] = {"rollouts": 0, "best": None, "best_error": None, "best_steps": None, "worse": 0}

    @property
    def wants_to_stop(self) -> bool:
        """Whether the plateau has lasted for ``stop_after`` evaluations."""
        return 0 < self._config.stop_after <= self.state["worse"]

    def _on_step(self) -> bool:
        return not self.wants_to_stop

    def evaluate(self) -> float | None:
        """Result on the validation sessions if an evaluation is due, else None."""
        state = self.state
        state["rollouts"] += 1
        is_last = self.model._current_progress_remaining <= 0
        if state["rollouts"] % self._config.evaluate_every and not is_last:
            return None
        scores = self._validate(lambda: TorchBatchPolicy(self.model, self._normalizer))
        result = float(np.mean(scores))
        if state["best"] is None or result > state["best"]:
            state |= {"best": result, "best_error": standard_error(scores)}
            state |= {"best_steps": self.model.num_timesteps, "worse": 0}
            save_model(self.model, self._normalizer, self.best_folder)
        else:
            state["worse"] += 1
            if self._config.halve_after and state["worse"] % self._config.halve_after == 0:
                rate_of(self.model).scale(0.5)
        return result


def standard_error(scores: NDArray[np.float64]) -> float | None:
    """Standard error of the mean of float64[n]; None if there are fewer than `FEWEST_SESSIONS`.

    >>> standard_error(np.arange(10.0))
    0.9574271077563381
    """
    if len(scores) < FEWEST_SESSIONS:
        return None
    return float(np.std(scores, ddof=1) / np.sqrt(len(scores)))


def beats_flat(mean: float | None, error: float | None, standard_errors: float) -> bool | None:
    """Whether a mean score lies at least so many standard errors above that of doing nothing, 0; None if unknown.

    >>> beats_flat(12.0, 5.0, 2.0), beats_flat(9.9, 5.0, 2.0), beats_flat(0.0, 0.0, 2.0)
    (True, False, False)
    """
    if mean is None or error is None:
        return None
    return mean > 0.0 and mean >= standard_errors * error

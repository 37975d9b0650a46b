"""Sessions that the policy never learns from decide which of its states is kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from rl_strategies.policy.policies import BatchPolicy
from training.algorithms.config import StabilityConfig
from training.algorithms.schedules import rate_of
from training.learning.checkpoint import save_model
from training.learning.torch_policy import TorchBatchPolicy

# Walks the validation sessions with policies that it asks for, each without memory; larger is better.
Validate = Callable[[Callable[[], BatchPolicy]], float]


class ModelSelectionCallback(BaseCallback):
    """Evaluates now and then, keeps the best state, and answers a plateau: half the learning rate, then the end.

    Parameters
    ----------
    validate : callable
    normalizer : VecNormalize
    config : StabilityConfig
    best : Path
        Folder that receives the best state, ``model.zip`` and ``vecnormalize.pkl``.

    Attributes
    ----------
    state : dict
        ``rollouts``, ``best``, ``best_steps``, ``worse`` (evaluations since the best); kept in checkpoints.
    """

    def __init__(self, validate: Validate, normalizer: VecNormalize, config: StabilityConfig, best: Path) -> None:
        super().__init__()
        self._validate, self._normalizer, self._config = validate, normalizer, config
        self.best_folder = best
        self.state: dict[str, Any] = {"rollouts": 0, "best": None, "best_steps": None, "worse": 0}

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
        result = self._validate(lambda: TorchBatchPolicy(self.model, self._normalizer))
        if state["best"] is None or result > state["best"]:
            state |= {"best": result, "best_steps": self.model.num_timesteps, "worse": 0}
            save_model(self.model, self._normalizer, self.best_folder)
        else:
            state["worse"] += 1
            if self._config.halve_after and state["worse"] % self._config.halve_after == 0:
                rate_of(self.model).scale(0.5)
        return result

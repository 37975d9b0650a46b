"""A model in training as a policy over many sessions at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecNormalize


class TorchBatchPolicy:
    """Most likely actions of a stable-baselines3 model, as a `rl_strategies.policy.policies.BatchPolicy`.

    Draws no random numbers, so that evaluating a model does not change its training.

    Parameters
    ----------
    model : BaseAlgorithm
    normalizer : VecNormalize
    """

    def __init__(self, model: BaseAlgorithm, normalizer: VecNormalize) -> None:
        self._model, self._normalizer = model, normalizer
        self._state: Any = None

    def act_batch(self, observations: NDArray[np.float32], episode_start: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Actions of all sessions; see `BatchPolicy.act_batch`."""
        seen = self._normalizer.normalize_obs(observations)
        actions, self._state = self._model.predict(seen, self._state, episode_start, deterministic=True)
        return np.asarray(actions, np.int64)

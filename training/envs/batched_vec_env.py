"""Base of the ``VecEnv`` classes that keep all environments in shared arrays."""

from typing import Any

import gymnasium as gym
from stable_baselines3.common.vec_env import VecEnv


class BatchedVecEnv(VecEnv):
    """A stable-baselines3 ``VecEnv`` without environment objects: no single one has attributes, methods or wrappers."""

    render_mode = None

    def close(self) -> None:
        """Nothing to release."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The shared attribute, once per environment."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: environments have no attributes of their own."""
        raise AttributeError(f"environments in shared arrays have no attributes of their own, cannot set {attr_name!r}")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Refused: environments have no methods of their own."""
        raise AttributeError(f"environments in shared arrays have no methods of their own, cannot call {method_name!r}")

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        """False: no environment is wrapped by itself."""
        return [False for _ in self._get_indices(indices)]

"""What every stable-baselines3 ``VecEnv`` of lanes says of them: they are rows of one state, not environments."""

from typing import Any

import gymnasium as gym
from stable_baselines3.common.vec_env import VecEnv


class LaneVecEnv(VecEnv):
    """A ``VecEnv`` whose lanes share everything: attributes are the whole's, methods and wrappers of one are none."""

    render_mode = None

    def close(self) -> None:
        """Nothing to release."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute, once per lane."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Lanes share everything: setting an attribute of one is refused."""
        raise AttributeError(f"lanes have no attributes of their own, cannot set {attr_name!r}")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Lanes have no methods of their own."""
        raise AttributeError(f"lanes have no methods of their own, cannot call {method_name!r}")

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        """Lanes are never wrapped one by one."""
        return [False for _ in self._get_indices(indices)]

"""Policies: from an observation to a target position.

A policy names a target (short, flat or long), never an order. The trained one needs neither torch nor pickle. The two
others are baselines: flat, and random with a given turnover.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.decision.actions import ACTIONS, FLAT
from rl_strategies.policy.network import session_network
from rl_strategies.policy.onnx_network import NetworkShape, RecurrentNetwork


class BatchPolicy(Protocol):
    """Decides for many independent sessions (lanes) at once."""

    def act_batch(self, observations: NDArray[np.float32], episode_start: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Targets of all lanes.

        Parameters
        ----------
        observations : float32[n_lanes, n]
        episode_start : bool[n_lanes]
            Lanes whose observation is the first of a session; their memory is cleared first.

        Returns
        -------
        int64[n_lanes], or int64[n_lanes, K] for K instruments
            `SHORT`, `FLAT` or `LONG`.
        """
        ...


class Policy(Protocol):
    """Decides for one instrument, bar by bar."""

    @property
    def logits(self) -> NDArray[np.float32]:
        """float32[3], unnormalised log-probabilities of the last decision; -inf for an impossible action."""
        ...

    def reset(self) -> None:
        """Clear the memory; called at the start of every session."""
        ...

    def act(self, observation: NDArray[np.float32]) -> int | list[int]:
        """Target for the observation, float32[n]: `SHORT`, `FLAT` or `LONG`; a list for several instruments."""
        ...

    def batch(self, n_lanes: int) -> BatchPolicy:
        """The same policy for ``n_lanes`` sessions at once, with memory of its own."""
        ...


class OnnxPolicy:
    """The trained policy: the likeliest action of an exported recurrent network.

    One session runs compiled where the network allows (`rl_strategies.policy.network`), many at once run on
    onnxruntime; their logits agree up to float32 rounding.

    Parameters
    ----------
    source : Path or bytes
        A file written by `training.export.export_onnx`, or its content.

    Attributes
    ----------
    shape : NetworkShape

    Raises
    ------
    InputError
        If the file is missing or not such an export. `act` raises it if an observation has the wrong shape or is not
        finite.
    """

    def __init__(self, source: Path | bytes) -> None:
        if isinstance(source, Path):
            if not source.is_file():
                raise InputError(f"policy file not found: {source}")
            source = source.read_bytes()
        self._content = source
        self._network = session_network(source)
        self.shape: NetworkShape = self._network.shape
        self._is_single = self.shape.n_instruments == 1

    @property
    def logits(self) -> NDArray[np.float32]:
        """float32[n_actions] (one row per instrument for several), unnormalised log-probabilities; -inf if masked."""
        return by_instrument(self._network.logits, self.shape)[0].copy()

    def reset(self) -> None:
        """Clear the memory."""
        self._network.state[:] = 0.0

    def act(self, observation: NDArray[np.float32]) -> int | list[int]:
        """Likeliest action for one observation, float32[n]: an int, or a list of them for several instruments."""
        likeliest = self._network.step(observation)
        if self._is_single:
            return likeliest
        return list(map(int, by_instrument(self._network.logits, self.shape)[0].argmax(axis=-1)))

    def snapshot(self) -> NDArray[np.float32]:
        """Recurrent state after the last decision, float32[2, layers, 1, hidden] (hidden, then cell).

        Of an ensemble: the layers of all members, one member's after another's.
        """
        return self._network.state.copy()

    def restore(self, state: NDArray[np.float32]) -> None:
        """Continue from a `snapshot`.

        Raises
        ------
        InputError
            If the state has the shape of another network.
        """
        expected = self._network.state.shape
        if state.shape != expected:
            raise InputError(f"recurrent state must have shape {expected}, was {state.shape}")
        self._network.state[:] = state

    def batch(self, n_lanes: int) -> "OnnxBatchPolicy":
        """The same network for ``n_lanes`` sessions at once, with memory of its own."""
        return OnnxBatchPolicy(self._content, n_lanes)


class OnnxBatchPolicy:
    """`OnnxPolicy` for many sessions at once, on onnxruntime.

    Parameters
    ----------
    content : bytes
        Content of the ONNX file.
    n_lanes : int
    """

    def __init__(self, content: bytes, n_lanes: int) -> None:
        self._network = RecurrentNetwork(content, n_lanes)

    @property
    def logits(self) -> NDArray[np.float32]:
        """Logits as in `OnnxPolicy.logits`, one row per lane."""
        return by_instrument(self._network.logits, self._network.shape).copy()

    def act_batch(self, observations: NDArray[np.float32], episode_start: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Likeliest actions; see `BatchPolicy.act_batch`."""
        self._network.run(observations, episode_start)
        return by_instrument(self._network.logits, self._network.shape).argmax(axis=-1)


def by_instrument(logits: NDArray[np.float32], shape: NetworkShape) -> NDArray[np.float32]:
    """Logits with an axis for instruments if there are several, float32[lanes, K, n_actions]; a view."""
    return logits if shape.n_instruments == 1 else logits.reshape(len(logits), shape.n_instruments, shape.n_actions)


class FlatPolicy:
    """Never holds a position."""

    @property
    def logits(self) -> NDArray[np.float32]:
        """Only `FLAT` is possible."""
        return np.array([-np.inf, 0.0, -np.inf], np.float32)

    def reset(self) -> None:
        """No memory to clear."""

    def act(self, observation: NDArray[np.float32]) -> int:
        """Always `FLAT`."""
        return FLAT

    def batch(self, n_lanes: int) -> "FlatPolicy":
        """Itself."""
        return self

    def act_batch(self, observations: NDArray[np.float32], episode_start: NDArray[np.bool_]) -> NDArray[np.int64]:
        """`FLAT` for every lane."""
        return np.full(len(observations), FLAT, np.int64)


class RandomPolicy:
    """Changes its target at random: shows what turnover alone earns and costs.

    Every session starts flat; at each bar the target moves, with probability ``switch_probability``, to one of the
    two others.

    Parameters
    ----------
    seed : int
    switch_probability : float
        Probability in [0, 1]; set it to the switches per bar of the policy to compare with.

    Examples
    --------
    >>> policy = RandomPolicy(seed=1, switch_probability=0.0)
    >>> policy.act(np.zeros(4, np.float32)) == FLAT
    True
    """

    def __init__(self, seed: int, switch_probability: float) -> None:
        self._seed, self._switch_probability = seed, switch_probability
        self._lane = RandomBatchPolicy(seed, switch_probability, n_lanes=1)
        self._session_starts = True

    @property
    def logits(self) -> NDArray[np.float32]:
        """float32[3], log-probabilities from which the last target was drawn."""
        return self._lane.logits[0].copy()

    def reset(self) -> None:
        """Start the next session flat; the random stream continues, so that sessions differ."""
        self._session_starts = True

    def act(self, observation: NDArray[np.float32]) -> int:
        """A random target; the observation is ignored."""
        targets = self._lane.act_batch(observation[np.newaxis], np.array([self._session_starts]))
        self._session_starts = False
        return int(targets[0])

    def batch(self, n_lanes: int) -> "RandomBatchPolicy":
        """The same rule for ``n_lanes`` sessions, drawn independently."""
        return RandomBatchPolicy(self._seed, self._switch_probability, n_lanes)


class RandomBatchPolicy:
    """`RandomPolicy` for many sessions at once."""

    def __init__(self, seed: int, switch_probability: float, n_lanes: int) -> None:
        if not 0.0 <= switch_probability <= 1.0:
            raise InputError(f"switch_probability must be in [0, 1], was {switch_probability}")
        self._rng = np.random.default_rng(seed)
        self._target = np.full(n_lanes, FLAT, np.int64)
        self._switch_probability = switch_probability
        self.logits: NDArray[np.float32] = np.zeros((n_lanes, ACTIONS), np.float32)

    def act_batch(self, observations: NDArray[np.float32], episode_start: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Random targets; the observations are ignored. See `BatchPolicy.act_batch`."""
        previous = np.where(episode_start, FLAT, self._target)
        with np.errstate(divide="ignore"):  # an impossible action has log-probability -inf
            self.logits[:] = np.log(np.float64(self._switch_probability) / (ACTIONS - 1))
            self.logits[np.arange(len(previous)), previous] = np.log(1.0 - np.float64(self._switch_probability))
        switches = self._rng.random(len(previous)) < self._switch_probability
        step = self._rng.integers(1, ACTIONS, len(previous))
        self._target = np.where(switches, (previous + step) % ACTIONS, previous)
        return self._target.copy()

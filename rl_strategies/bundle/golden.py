"""Golden outputs: a trained model's answers to fixed inputs, to prove later that nothing has changed."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl_strategies.policy.policies import OnnxPolicy


@dataclass(frozen=True)
class Golden:
    """Rollouts of several lanes with the log-probabilities of every action.

    Attributes
    ----------
    observations : float32[n_steps, n_lanes, n_observations]
    episode_start : bool[n_steps, n_lanes]
    log_probs : float32[n_steps, n_lanes, n_actions] or float32[n_steps, n_lanes, n_instruments, n_actions]
        Log-probabilities of the trained model; -inf where the mask forbids an action.
    tolerance : float
        Largest absolute difference of a log-probability that still counts as equal.
    """

    observations: NDArray[np.float32]
    episode_start: NDArray[np.bool_]
    log_probs: NDArray[np.float32]
    tolerance: float

    def difference(self, policy: OnnxPolicy) -> float:
        """Largest absolute difference between a policy's log-probabilities and these, batched and one by one.

        Batches and single sessions run on different networks (`rl_strategies.policy.policies.OnnxPolicy`). The policy's
        memory is empty afterwards.

        Raises
        ------
        InputError
            If the policy takes observations of another size.
        """
        answered = _log_softmax(np.stack([self._batched(policy), self._one_by_one(policy)]))
        expected = self.log_probs.astype(np.float64)
        with np.errstate(invalid="ignore"):  # -inf on both sides is no difference
            return float(np.where(answered == expected, 0.0, np.abs(answered - expected)).max())

    def _batched(self, policy: OnnxPolicy) -> NDArray[np.float32]:
        lanes = policy.batch(self.observations.shape[1])
        found = np.empty_like(self.log_probs)
        for step, (observations, start) in enumerate(zip(self.observations, self.episode_start, strict=True)):
            lanes.act_batch(observations, start)
            found[step] = lanes.logits
        return found

    def _one_by_one(self, policy: OnnxPolicy) -> NDArray[np.float32]:
        found = np.empty_like(self.log_probs)
        steps, lanes = self.episode_start.shape
        for lane in range(lanes):
            policy.reset()
            for step in range(steps):
                if self.episode_start[step, lane]:
                    policy.reset()
                policy.act(self.observations[step, lane])
                found[step, lane] = policy.logits
        policy.reset()
        return found

    def to_npz(self) -> bytes:
        """Content of an ``.npz`` file; equal data give equal bytes."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            observations=self.observations,
            episode_start=self.episode_start,
            log_probs=self.log_probs,
            tolerance=np.float64(self.tolerance),
        )
        return buffer.getvalue()

    @classmethod
    def from_npz(cls, content: bytes) -> "Golden":
        """Read what `to_npz` wrote; never unpickles."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return cls(
                arrays["observations"],
                arrays["episode_start"],
                arrays["log_probs"],
                float(arrays["tolerance"]),
            )


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = logits.astype(np.float64)
    return wide - np.logaddexp.reduce(wide, axis=-1, keepdims=True)

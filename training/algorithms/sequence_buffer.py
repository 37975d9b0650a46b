"""Rollouts cut into sequences and packed: sb3-contrib's minibatches, or shuffled pieces of a fixed length.

A packed batch holds its steps time by time, longest sequence first, as torch's PackedSequence does, without padding.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib.common.recurrent.buffers import RecurrentRolloutBuffer
from sb3_contrib.common.recurrent.type_aliases import RecurrentRolloutBufferSamples
from stable_baselines3.common.buffers import RolloutBuffer

LstmState = tuple[torch.Tensor, torch.Tensor]


class PackedStates(NamedTuple):
    """Initial states of the sequences of a packed batch, zero at the start of an episode, and its layout.

    Attributes
    ----------
    pi, vf : tuple of float32[layers, sequences, hidden]
        Hidden and cell state of the actor and the critic.
    counts : int64[steps]
        Number of sequences in each step.
    """

    pi: LstmState
    vf: LstmState
    counts: NDArray[np.int64]


# Steps of a batch; first step of each sequence in them; length of each sequence.
Cut = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


class SequenceRolloutBuffer(RecurrentRolloutBuffer):
    """sb3-contrib's buffer with minibatches that are packed instead of padded.

    Attributes
    ----------
    seq_len : int or None
        None: minibatches equal those of sb3-contrib. A number: every episode is cut into pieces of at most so many
        steps, each starting from the state that the rollout had there, and the pieces are shuffled (truncated
        back-propagation through time; no gradient crosses a cut).

    Notes
    -----
    `SequenceRecurrentPPO` makes it by changing the class of a stock buffer. Draws from NumPy's global generator, as the
    stock buffer does.

    References
    ----------
    Williams and Peng (1990), "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories", Neural Computation 2.
    """

    STATES: ClassVar[tuple[str, ...]] = ("hidden_states_pi", "cell_states_pi", "hidden_states_vf", "cell_states_vf")
    FLATTENED: ClassVar[tuple[str, ...]] = (
        "observations", "actions", "values", "log_probs", "advantages", "returns", "episode_starts",
    )  # fmt: skip
    seq_len: int | None = None
    generator_ready: bool

    def reset(self) -> None:
        """Empty the buffer. The arrays of states are kept; every step overwrites its own."""
        states = {name: getattr(self, name, None) for name in self.STATES}
        if states["hidden_states_pi"] is None:
            super().reset()
            return
        RolloutBuffer.reset(self)
        self.__dict__.update(states)

    def get(self, batch_size: int | None = None) -> Iterator[RecurrentRolloutBufferSamples]:
        """Packed minibatches over the whole rollout; their ``lstm_states`` are `PackedStates`."""
        if not self.full:
            raise ValueError(f"a rollout must be full before it is sampled, has {self.pos} of {self.buffer_size} steps")
        if not self.generator_ready:
            for name in self.FLATTENED:
                self.__dict__[name] = self.swap_and_flatten(self.__dict__[name])
            self.generator_ready = True
        total = self.buffer_size * self.n_envs
        starts = self.episode_starts.ravel() != 0
        starts[:: self.buffer_size] = True
        batches = self._stock_batches if self.seq_len is None else self._piece_batches
        for steps, first, lengths in batches(starts, batch_size or total):
            yield self._pack(steps, first, lengths)

    def _stock_batches(self, starts: NDArray[np.bool_], batch_size: int) -> Iterator[Cut]:
        total = len(starts)
        order = np.roll(np.arange(total), -np.random.randint(total))  # noqa: NPY002 - the stock buffer's own draw
        for begin in range(0, total, batch_size):
            steps = order[begin : begin + batch_size]
            is_start = starts[steps]
            is_start[0] = True
            first = np.flatnonzero(is_start)
            yield steps, first, np.diff(first, append=len(steps))

    def _piece_batches(self, starts: NDArray[np.bool_], batch_size: int) -> Iterator[Cut]:
        total = len(starts)
        bounds = np.append(np.flatnonzero(starts), total)
        pieces = [np.arange(begin, end, self.seq_len) for begin, end in pairwise(bounds)]
        first = np.concatenate(pieces)
        lengths = np.diff(first, append=total)
        order = np.random.permutation(len(first))  # noqa: NPY002 - as above
        count = max(1, round(total / batch_size))
        cuts = np.searchsorted(np.cumsum(lengths[order]), np.arange(1, count) * total / count)
        for part in np.split(order, cuts):
            if len(part):
                yield np.arange(total), first[part], lengths[part]

    def _pack(
        self, steps: NDArray[np.int64], first: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> RecurrentRolloutBufferSamples:
        longest_first = np.argsort(-lengths, kind="stable")
        first, lengths = first[longest_first], lengths[longest_first]
        goes_on = np.arange(lengths[0])[:, np.newaxis] < lengths
        age, sequence = np.nonzero(goes_on)
        rows = steps[first[sequence] + age]

        def take(values: NDArray[Any]) -> torch.Tensor:
            return self.to_torch(values[rows], copy=False)

        pi_h, pi_c, vf_h, vf_c = self._states_at(steps[first])
        return RecurrentRolloutBufferSamples(
            observations=take(self.observations),
            actions=take(self.actions),
            old_values=take(self.values.ravel()),
            old_log_prob=take(self.log_probs.ravel()),
            advantages=take(self.advantages.ravel()),
            returns=take(self.returns.ravel()),
            lstm_states=PackedStates((pi_h, pi_c), (vf_h, vf_c), goes_on.sum(axis=1)),
            episode_starts=take(self.episode_starts.ravel()),
            mask=self.to_torch(np.ones(len(rows), np.float32), copy=False),  # no padding to mask
        )

    def _states_at(self, rows: NDArray[np.int64]) -> list[torch.Tensor]:
        env, step = np.divmod(rows, self.buffer_size)
        goes_on = (self.episode_starts.ravel()[rows] == 0)[:, np.newaxis]
        states = (getattr(self, name)[step, :, env].swapaxes(0, 1) * goes_on for name in self.STATES)
        return [self.to_torch(np.ascontiguousarray(state), copy=False) for state in states]

"""Many accounts in episodes of one market, stepped together by the compiled kernels."""

from collections.abc import Callable, Sequence

import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from numpy.typing import NDArray

from rl_strategies.accounting.record import FILL_REASONS, ORDER_KINDS, Fill
from rl_strategies.decision.actions import ACTIONS
from rl_strategies.risk.overlay import REASONS
from training.simulator.arrays import empty_state
from training.simulator.kernels import begin_lanes, step_lanes
from training.simulator.market import TrainingMarket

DRAWS_PER_EPISODE = 1_009  # distance between episodes in the stream, so that sessions do not share their draws


class Lanes:
    """N lanes: accounts, each in an episode of its own.

    Parameters
    ----------
    market : TrainingMarket
    count : int
        Number of lanes.
    fills_kept : int
        Fills kept per lane, instrument and episode; later ones are only counted.

    Attributes
    ----------
    state : training.simulator.arrays.LaneState
    observations : float32[count, n]
        After the last call; overwritten by the next.
    over : bool[count]
        Whether the last step ended the lane's episode.
    has_begun : bool
        Whether there is anything to step.
    """

    def __init__(self, market: TrainingMarket, count: int, fills_kept: int = 0) -> None:
        self.market = market
        self.state = empty_state(count, len(market.instruments), fills_kept)
        self.observations = np.zeros((count, len(market.observation_names)), np.float32)
        self.over = np.zeros(count, bool)
        self._all = np.ones(count, bool)
        self.has_begun = False
        self._starting = np.full(count, market.arrays.settings["starting_cents"][0])

    def begin(
        self,
        episodes: NDArray[np.int64],
        which: NDArray[np.bool_] | None = None,
        *,
        balance_cents: NDArray[np.int64] | None = None,
        draws: NDArray[np.int64] | None = None,
    ) -> None:
        """Start lanes (all, or where ``which`` is set), flat, at the first bar of their episodes.

        Parameters
        ----------
        episodes : int64[count]
        which : bool[count], optional
        balance_cents : int64[count], optional
            Default: the configured starting balance.
        draws : int64[count], optional
            Start in the stream of slippage draws. Default: a position that depends on the episode.
        """
        self.has_begun = True
        begin_lanes(
            self.market.arrays,
            self.state,
            self._all if which is None else which,
            episodes,
            self._starting if balance_cents is None else balance_cents,
            episodes * DRAWS_PER_EPISODE if draws is None else draws,
            self.observations,
        )

    def step(self, actions: NDArray[np.int64], which: NDArray[np.bool_] | None = None) -> int:
        """One decision in all lanes, or where ``which`` is set. Call `begin` for an ended lane before its next step.

        Parameters
        ----------
        actions : int64[count] or int64[count, K]
        which : bool[count], optional

        Returns
        -------
        int
            How many episodes ended; `over` says which.

        Raises
        ------
        gymnasium.error.ResetNeeded
            If no lane has begun.
        gymnasium.error.InvalidAction
            If there are more or fewer actions than lanes and instruments, or one is none; nothing has changed then.
        """
        if not self.has_begun:
            raise ResetNeeded("no episode is under way: call reset() before step()")
        sides, shape = np.array(actions), self.state.legs.shape  # a copy, which the kernel overwrites
        if sides.size != self.state.legs.size or sides.dtype.kind not in "iu":
            raise InvalidAction(f"actions must be integers of shape {shape}, were {sides.dtype} of {sides.shape}")
        sides, chosen = sides.astype(np.int64, copy=False).reshape(shape), self._all if which is None else which
        ended = int(step_lanes(self.market.arrays, self.state, chosen, sides, self.observations, self.over))
        if ended < 0:
            raise InvalidAction(f"an action must be from 0 to {ACTIONS - 1}, was one of {np.unique(sides).tolist()}")
        return ended

    @property
    def equity(self) -> NDArray[np.float64]:
        """Copy of every lane's equity, USD; float64[count]."""
        return self.state.lanes["equity"].copy()

    def fills_of(self, lane: int, k: int = 0) -> list[Fill]:
        """Fills of instrument ``k`` in a lane's current episode.

        Raises
        ------
        ValueError
            If the episode had more fills than are kept.
        """
        count, kept = int(self.state.legs["fill_count"][lane, k]), self.state.fills.shape[2]
        if count > kept:
            raise ValueError(f"lane {lane} had {count} fills, only {kept} are kept")
        return [
            Fill(
                int(fill["ts_ns"]),
                int(fill["units"]),
                int(fill["price_ticks"]),
                int(fill["commission_cents"]),
                ORDER_KINDS[fill["kind"]],
                int(fill["trigger_ticks"]),
                FILL_REASONS[fill["reason"]],
            )
            for fill in self.state.fills[lane, k, :count]
        ]

    def refusals_of(self, lane: int) -> dict[str, int]:
        """Refusals of a lane's current episode, by reason."""
        return named_refusals(self.state.lanes["refused"][lane].tolist())


def named_refusals(counts: Sequence[int]) -> dict[str, int]:
    """Counts above zero, by reason."""
    return {reason: count for reason, count in zip(REASONS, counts, strict=True) if count}


Decide = Callable[[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]], NDArray[np.int64]]


def rollout(
    market: TrainingMarket, decide: Decide, episodes: Sequence[int] | NDArray[np.int64], fills_kept: int = 4096
) -> Lanes:
    """Run every one of ``episodes`` to its end, one lane each.

    Parameters
    ----------
    market : TrainingMarket
    decide : callable
        Takes observations float32[lanes, n], bool[lanes] (True where an episode has just begun) and the clock index
        of each lane, int64[lanes]; returns actions int64[lanes] or int64[lanes, K].
    episodes : sequence of int
    fills_kept : int

    Returns
    -------
    Lanes
        At the end of their episodes, with the fills and refusals of each.
    """
    lanes = Lanes(market, len(episodes), fills_kept)
    lanes.begin(np.asarray(episodes, np.int64))
    active = np.ones(len(episodes), bool)
    begun = active.copy()
    while active.any():
        lanes.step(decide(lanes.observations, begun, lanes.state.lanes["at"]), active)
        begun[:] = False
        active &= ~lanes.over
    return lanes

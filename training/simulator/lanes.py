"""Many accounts walking through episodes of one market, moved together by the compiled kernels."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rl_strategies.accounting.record import FILL_REASONS, ORDER_KINDS, Fill
from rl_strategies.risk.overlay import REASONS
from training.simulator.arrays import empty_book
from training.simulator.kernels import begin_lanes, step_lanes
from training.simulator.market import TrainingMarket

DRAWS_PER_EPISODE = 1_009  # apart, so that sessions do not share their luck


class Lanes:
    """N accounts, each in an episode of its own.

    Parameters
    ----------
    built : TrainingMarket
    count : int
        Number of lanes.
    fills_kept : int
        Fills remembered per lane, instrument and episode; later ones are counted, not kept.

    Attributes
    ----------
    book : training.simulator.arrays.LaneState
    observations : float32[count, n]
        After the last call; overwritten by the next.
    over : bool[count]
        Lanes whose episode ended with the last step.
    """

    def __init__(self, built: TrainingMarket, count: int, fills_kept: int = 0) -> None:
        self.built = built
        self.book = empty_book(count, len(built.instruments), fills_kept)
        self.observations = np.zeros((count, len(built.observation_names)), np.float32)
        self.over = np.zeros(count, bool)
        self._all = np.ones(count, bool)
        self._starting = np.full(count, built.world.settings["starting_cents"][0])

    def begin(
        self,
        episodes: NDArray[np.int64],
        which: NDArray[np.bool_] | None = None,
        *,
        balance_cents: NDArray[np.int64] | None = None,
        draws: NDArray[np.int64] | None = None,
    ) -> None:
        """Put the lanes (where ``which`` is set; all by default) flat on the first bar of their episodes.

        Parameters
        ----------
        episodes : int64[count]
        which : bool[count], optional
        balance_cents : int64[count], optional
            The configured starting balance if omitted.
        draws : int64[count], optional
            Where the lanes enter the stream of slippage draws; by default a place that belongs to the episode.
        """
        begin_lanes(
            self.built.world,
            self.book,
            self._all if which is None else which,
            episodes,
            self._starting if balance_cents is None else balance_cents,
            episodes * DRAWS_PER_EPISODE if draws is None else draws,
            self.observations,
        )

    def step(self, actions: NDArray[np.int64], which: NDArray[np.bool_] | None = None) -> int:
        """One decision in every lane (where ``which`` is set). An ended lane must be begun again before its next.

        Parameters
        ----------
        actions : int64[count] or int64[count, K]
        which : bool[count], optional

        Returns
        -------
        int
            How many lanes ended; `over` tells which.
        """
        sides = np.array(actions, np.int64).reshape(len(self.over), -1)  # a copy, which the kernel overwrites
        chosen = self._all if which is None else which
        return int(step_lanes(self.built.world, self.book, chosen, sides, self.observations, self.over))

    @property
    def equity(self) -> NDArray[np.float64]:
        """Copy of every lane's equity, USD; float64[count]."""
        return self.book.lanes["equity"].copy()

    def fills_of(self, lane: int, k: int = 0) -> list[Fill]:
        """Fills of instrument ``k`` in a lane's current episode.

        Raises
        ------
        ValueError
            If there were more than are kept.
        """
        count, kept = int(self.book.legs["fill_count"][lane, k]), self.book.fills.shape[2]
        if count > kept:
            raise ValueError(f"lane {lane} keeps {kept} fills, made {count}")
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
            for fill in self.book.fills[lane, k, :count]
        ]

    def refusals_of(self, lane: int) -> dict[str, int]:
        """Refusals of a lane's current episode, by reason."""
        return named_refusals(self.book.lanes["refused"][lane].tolist())


def named_refusals(counts: Sequence[int]) -> dict[str, int]:
    """Counts by reason, those above zero."""
    return {reason: count for reason, count in zip(REASONS, counts, strict=True) if count}


Decide = Callable[[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]], NDArray[np.int64]]


def walk(
    built: TrainingMarket, decide: Decide, episodes: Sequence[int] | NDArray[np.int64], fills_kept: int = 4096
) -> Lanes:
    """Walk through ``episodes``, one lane each, until all are over.

    Parameters
    ----------
    built : TrainingMarket
    decide : callable
        Takes observations float32[lanes, n], bool[lanes] (True where an episode has just begun) and int64[lanes]
        (each lane's place on the timeline); returns actions int64[lanes] or int64[lanes, K].
    episodes : sequence of int
    fills_kept : int

    Returns
    -------
    Lanes
        At the end of their episodes, with fills and refusals of each.
    """
    lanes = Lanes(built, len(episodes), fills_kept)
    lanes.begin(np.asarray(episodes, np.int64))
    active = np.ones(len(episodes), bool)
    begun = active.copy()
    while active.any():
        lanes.step(decide(lanes.observations, begun, lanes.book.lanes["at"]), active)
        begun[:] = False
        active &= ~lanes.over
    return lanes

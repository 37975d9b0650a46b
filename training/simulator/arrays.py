"""The arrays of the simulator: the world that all lanes share, and the book of what each lane holds.

Few arrays of records, not many arrays: every array that a kernel is handed costs it, at run time and to compile.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rl_strategies.accounting.position import ACCOUNT_FIELDS, LEG
from rl_strategies.risk.overlay import REASONS

LANE = np.dtype(
    (
        np.record,
        [
            ("episode", np.int64),
            ("at", np.int64),  # place on the timeline whose closes are acted upon next
            ("draws", np.int64),  # place in the stream of slippage draws
            ("steps", np.int64),  # of the episode
            ("refused", np.int64, (len(REASONS),)),
            # Last, lest numba takes a lane for an account with more fields.
            *ACCOUNT_FIELDS,
        ],
    )
)

FILL = np.dtype(
    (
        np.record,
        [
            ("ts_ns", np.int64),
            ("units", np.int64),
            ("price_ticks", np.int64),
            ("commission_cents", np.int64),
            ("kind", np.int64),
            ("trigger_ticks", np.int64),
            ("reason", np.int64),
        ],
    )
)

BAR = np.dtype(
    (
        np.record,
        [
            ("ts_ns", np.int64),
            ("open", np.int64),
            ("high", np.int64),
            ("low", np.int64),
            ("close", np.int64),
            ("volume", np.int64),
            ("book_size", np.int64),  # units quoted at the close, as the engine's book holds them after the bar
            ("atr", np.float64),  # average true range, price units
            ("since_open", np.float64),  # minutes from the session's open
            ("to_close", np.float64),  # minutes to the session's close
        ],
    )
)

EPISODE = np.dtype(
    (
        np.record,
        [
            ("first", np.int64),  # first and last place on the timeline where the policy decides
            ("last", np.int64),
            ("closing", np.int64),  # the place whose bars close with the last closing time; -1 where there is none
        ],
    )
)

SETTINGS = np.dtype(
    (
        np.record,
        [
            ("starting_cents", np.int64),
            ("delay_ns", np.int64),  # from the bars' close to the decision: what the strategy waits for others
            ("at_open", np.int64),  # 1 where approved targets wait for the next open
            ("open_lead_ns", np.int64),  # from a bar's opening trade to its close
        ],
    )
)


class SharedArrays(NamedTuple):
    """Everything that lanes share: n bars of K instruments, t times, m episodes.

    Attributes
    ----------
    bars : `BAR`[n]
        Of all instruments, one after another.
    features : float32[n, k]
        Observed features of every bar.
    time_ns : int64[t]
        Times at which at least one bar closed.
    row : int32[t, K]
        Bar that closed then; -1 where there is none.
    seen : int32[t, K]
        Last bar up to then; -1 before the first.
    episodes : `EPISODE`[m]
    open_ns, flat_ns : int64[m, K]
        Opening of each instrument's session and when its position must be closed; 0 where it has no session.
    rules : `rl_strategies.decision.rules.RULES`[K]
    limits : `rl_strategies.risk.config.LIMITS`[1]
    slips : bool[s]
        Stream of slippage draws; length 1 where slippage is certain or absent.
    settings : `SETTINGS`[1]
    """

    bars: NDArray[np.void]
    features: NDArray[np.float32]
    time_ns: NDArray[np.int64]
    row: NDArray[np.int32]
    seen: NDArray[np.int32]
    episodes: NDArray[np.void]
    open_ns: NDArray[np.int64]
    flat_ns: NDArray[np.int64]
    rules: NDArray[np.void]
    limits: NDArray[np.void]
    slips: NDArray[np.bool_]
    settings: NDArray[np.void]


class LaneState(NamedTuple):
    """What each of N lanes holds in K instruments.

    Attributes
    ----------
    lanes : `LANE`[N]
        The account and where it stands.
    legs : `rl_strategies.accounting.position.LEG`[N, K]
    fills : `FILL`[N, K, kept]
        Executions of the episode, as many as are kept.
    """

    lanes: NDArray[np.void]
    legs: NDArray[np.void]
    fills: NDArray[np.void]


def empty_book(lanes: int, instruments: int, fills_kept: int) -> LaneState:
    """A book of lanes that have not begun."""
    shape = (lanes, instruments)
    return LaneState(np.zeros(lanes, LANE), np.zeros(shape, LEG), np.zeros((*shape, fills_kept), FILL))

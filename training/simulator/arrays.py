"""The simulator's arrays: the market data that all lanes share, and the state of each lane.

A lane is one account in one episode. There are few arrays of records instead of many plain arrays, because every array
passed to a kernel costs run time and compile time.
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
            ("at", np.int64),  # clock index of the closes that the next decision acts on
            ("draws", np.int64),  # position in the stream of slippage draws
            ("steps", np.int64),  # decisions taken in the episode
            ("refused", np.int64, (len(REASONS),)),
            # Last, so that numba does not take a lane for an account with more fields.
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
            ("first", np.int64),  # first and last clock index at which the policy decides
            ("last", np.int64),
            ("closing", np.int64),  # clock index whose bars close at the last closing time; -1 if there is none
        ],
    )
)

SETTINGS = np.dtype(
    (
        np.record,
        [
            ("starting_cents", np.int64),
            ("delay_ns", np.int64),  # from the bars' close to the decision: how long the strategy waits for other bars
            ("at_open", np.int64),  # 1 if approved targets wait for the next open
            ("open_lead_ns", np.int64),  # from a bar's opening trade to its close
        ],
    )
)


class SharedArrays(NamedTuple):
    """Market data and rules that all lanes share: n bars of K instruments, t clock times, m episodes.

    Attributes
    ----------
    bars : `BAR`[n]
        Bars of all instruments, one instrument after another.
    features : float32[n, k]
        Observed features of every bar.
    time_ns : int64[t]
        Times at which at least one bar closed.
    row : int32[t, K]
        Bar that closed at that time; -1 if none did.
    seen : int32[t, K]
        Last bar up to then; -1 before the first.
    episodes : `EPISODE`[m]
    open_ns, flat_ns : int64[m, K]
        Open of each instrument's session and the time by which its position is closed; 0 without a session.
    rules : `rl_strategies.decision.rules.RULES`[K]
    limits : `rl_strategies.risk.config.LIMITS`[1]
        As the policy observes them.
    enforced : `rl_strategies.risk.config.LIMITS`[1]
        As targets are reviewed: ``limits``, less those that exploration may exceed.
    slips : bool[s]
        Stream of slippage draws; length 1 if slippage is certain or absent.
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
    enforced: NDArray[np.void]
    slips: NDArray[np.bool_]
    settings: NDArray[np.void]


class LaneState(NamedTuple):
    """State of N lanes with K instruments each.

    Attributes
    ----------
    lanes : `LANE`[N]
        The account, its episode and its clock index.
    legs : `rl_strategies.accounting.position.LEG`[N, K]
    fills : `FILL`[N, K, kept]
        Fills of the episode, the first ``kept`` of them.
    """

    lanes: NDArray[np.void]
    legs: NDArray[np.void]
    fills: NDArray[np.void]


def empty_state(lanes: int, instruments: int, fills_kept: int) -> LaneState:
    """State of lanes that have not begun an episode."""
    shape = (lanes, instruments)
    return LaneState(np.zeros(lanes, LANE), np.zeros(shape, LEG), np.zeros((*shape, fills_kept), FILL))

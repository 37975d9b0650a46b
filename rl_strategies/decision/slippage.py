"""Slippage of market and stop orders: ticks, basis points of the price, or half a spread by time of day.

One convention for simulator, engine, node and simulated gateway. A market order, or a stop that is reached, fills
adversely to its reference price: the close or open that it trades at, the stop's trigger, or an open beyond it. Limits
fill at their limit. Amounts are kept in millionths of a tick and become whole ticks by rounding up, so that no fill is
better than the amount, or by a seeded draw that is right on average. What is drawn depends on the seed, the
instrument's place and the second of the fill, and not on the fills before: so training, backtest, paper and replay draw
alike wherever they begin.

The older ``slippage_ticks`` of `rl_strategies.decision.rules.ExecutionConfig` is a tick on every fill, limits included.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.compiled import kernel
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from catalogs.spreads.table import BUCKET_MINUTES, BUCKETS, SpreadRows, check_rows, spread_by_bucket, spread_key

MICRO = 1_000_000
DRAWS = 2**31  # a draw is an integer from 0 up to this
MOST = 1_000.0  # ticks or basis points; more is a mistake in the unit
STREAM_LENGTH = 65_537  # of `slippage_stream`: prime, so that no session length divides it
_MASK = DRAWS - 1
_NS_PER_S = 1_000_000_000


class SlippageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much worse than their reference price market and stop orders fill; exactly one of the first three is given.

    Attributes
    ----------
    ticks : float or None
        Ticks of every fill.
    bps : float or None
        Basis points of the reference price.
    spreads : str, mapping or None
        Half the spread at the time of the fill: a table as `rl-intraday data spreads` writes it, or its rows,
        ``{"SPY.EQUS": [[0, 2.5], [30, 1.0]]}``: minutes from the session's open, spread in ticks from then on.
    rounding : {"up", "drawn"}
        A part of a tick counts as a whole one, or is a whole one with the probability of that part.
    probability : float
        Probability that a fill slips at all.
    seed : int
        Seed of all draws.
    """

    ticks: float | None = None
    bps: float | None = None
    spreads: str | dict[str, SpreadRows] | None = None
    rounding: Literal["up", "drawn"] = "up"
    probability: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        given = [name for name in ("ticks", "bps", "spreads") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"slippage must have one of ticks, bps and spreads, had {' and '.join(given) or 'none'}")
        for name, amount in (("ticks", self.ticks), ("bps", self.bps)):
            if amount is not None and not 0 <= amount <= MOST:
                raise ValueError(f"slippage.{name} must be from 0 to {MOST:g}, was {amount}")
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"slippage.probability must be in [0, 1], was {self.probability}")
        if self.seed < 0:
            raise ValueError(f"slippage.seed must not be negative, was {self.seed}")
        if isinstance(self.spreads, dict):
            if not self.spreads:
                raise ValueError("slippage.spreads must name an instrument, was empty")
            for instrument, rows in self.spreads.items():
                check_rows(instrument, rows)

    def describe(self) -> str:
        """The rule in words."""
        if self.ticks is not None:
            amount = f"{self.ticks:g} ticks"
        elif self.bps is not None:
            amount = f"{self.bps:g} basis points of the price"
        else:
            amount = "half the spread of the instrument and time of day"
        rounding = "rounded up to whole ticks" if self.rounding == "up" else "whole ticks drawn to be right on average"
        chance = "" if self.probability == 1.0 else f", with a probability of {self.probability:g}"
        return f"{amount}{chance}, {rounding}, on market orders and stops; limits fill at their price"


# Part of `rl_strategies.decision.rules.RULES`.
SLIPPAGE_FIELDS = [
    ("slip_micro", np.int64, (BUCKETS,)),  # millionths of a tick by time of day
    ("slip_bps_micro", np.int64),  # millionths of a basis point of the price, in addition
    ("slip_chance", np.int64),  # of `DRAWS`
    ("slip_drawn", np.int64),  # 1 if a part of a tick is drawn
    ("slip_seed", np.int64),
    ("slip_place", np.int64),  # the instrument's place, so that no two draw alike
]


def pack_slippage(slippage: SlippageConfig | None, instrument: InstrumentSpec, place: int) -> dict[str, Any]:
    """Values of `SLIPPAGE_FIELDS` for the instrument at a place of the policy's instruments.

    Raises
    ------
    InputError
        If the table of spreads has no rows for the instrument, or is a file that was not read.
    """
    if slippage is None:
        return {}
    return {
        "slip_micro": _ticks_by_bucket(slippage, instrument),
        "slip_bps_micro": round((slippage.bps or 0.0) * MICRO),
        "slip_chance": round(slippage.probability * DRAWS),
        "slip_drawn": slippage.rounding == "drawn",
        "slip_seed": slippage.seed,
        "slip_place": place,
    }


def _ticks_by_bucket(slippage: SlippageConfig, instrument: InstrumentSpec) -> NDArray[np.int64]:
    if slippage.spreads is None:
        return np.full(BUCKETS, round((slippage.ticks or 0.0) * MICRO))
    if isinstance(slippage.spreads, str):
        raise InputError(f"slippage.spreads must be read before use, was the file {slippage.spreads}")
    half = spread_by_bucket(_rows_of(slippage.spreads, instrument)) / 2
    # A ten-thousandth of a tick less is float noise, not a smaller spread.
    return np.ceil(np.round(half * MICRO, 2)).astype(np.int64)


def _rows_of(spreads: Mapping[str, SpreadRows], instrument: InstrumentSpec) -> SpreadRows:
    key = spread_key(instrument)
    if key not in spreads:
        held = ", ".join(sorted(spreads))
        raise InputError(f"slippage.spreads must have rows for {key}, has {held}: make them with data spreads")
    return spreads[key]


@kernel
def mixed(state, word):  # type: ignore[no-untyped-def]
    """Hash of a state and one more word, both in 31 bits, so that no product leaves an int64."""
    h = (state ^ word) & _MASK
    for _ in range(2):
        h = ((h ^ (h >> 16)) * 0x45D9F3B) & _MASK
    return h ^ (h >> 16)


@kernel
def drawn(seed, place, second, number):  # type: ignore[no-untyped-def]
    """The draw of that number for an instrument's place and a second, from 0 up to `DRAWS`."""
    h = mixed(mixed(12_345, seed), seed >> 31)
    h = mixed(mixed(h, place), number)
    return mixed(mixed(h, second), second >> 31)


@kernel
def bucket_of(ts_ns, session_open_ns):  # type: ignore[no-untyped-def]
    """Time of day of a fill as an index of ``slip_micro``."""
    minutes = (ts_ns - session_open_ns) // (60 * _NS_PER_S)
    return min(max(minutes // BUCKET_MINUTES, 0), BUCKETS - 1)


@kernel
def adverse_ticks(rules, session_open_ns, ts_ns, price_ticks, direction):  # type: ignore[no-untyped-def]
    """Ticks by which a market order or a stop fills worse than ``price_ticks``.

    Parameters
    ----------
    rules : record with `SLIPPAGE_FIELDS`
    session_open_ns, ts_ns : int
        Open of the instrument's session, and the fill, UTC nanoseconds.
    price_ticks : int
        Reference price.
    direction : int
        1 for a purchase, -1 for a sale, which never fills below one tick.
    """
    amount = rules.slip_micro[bucket_of(ts_ns, session_open_ns)]
    if rules.slip_bps_micro != 0:
        amount += -(-abs(price_ticks) * rules.slip_bps_micro // 10_000)
    if amount == 0:
        return 0
    second = ts_ns // _NS_PER_S
    chance = rules.slip_chance
    if chance < DRAWS and drawn(rules.slip_seed, rules.slip_place, second, 0) >= chance:
        return 0
    ticks, part = amount // MICRO, amount % MICRO
    if part > 0 and (
        rules.slip_drawn == 0 or drawn(rules.slip_seed, rules.slip_place, second, 1) * MICRO < part * DRAWS
    ):
        ticks += 1
    return price_ticks - 1 if direction < 0 and 0 < price_ticks <= ticks else ticks


def slippage_stream(slippage_ticks: int, probability: float, seed: int) -> NDArray[np.bool_]:
    """Whether the n-th fill slips under ``slippage_ticks``; bool[s], of length 1 if nothing is random."""
    if slippage_ticks == 0 or probability == 1.0:
        return np.ones(1, bool)
    return np.random.default_rng(seed).random(STREAM_LENGTH) < probability

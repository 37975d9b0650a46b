"""Limits that every target must pass before it becomes an order."""

import math

import msgspec
import numpy as np


class RiskConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of one session, the same in training and trading. A limit of 0 is no limit.

    Attributes
    ----------
    max_entries_per_session : int
        Entries from flat, per instrument.
    flatten_before_close_minutes : int
        Positions are closed, and none opened, from this long before the instrument's session closes.
    no_trade_first_minutes, no_trade_last_minutes : int
        No entries within this long of the session's open and close; exits are free.
    minimum_hold_bars : int
        The policy may not leave a younger position; barriers may.
    max_gross_exposure : float
        Sum of the absolute notionals over equity; entries of one decision are scaled down together to fit.
    max_net_exposure : float
        Absolute sum of the signed notionals over equity; an entry beyond it is refused.
    max_concentration : float
        Notional of one instrument over equity; an entry is scaled down to fit.
    max_leverage : float
        As ``max_gross_exposure``, but an entry beyond it is refused, not scaled.
    max_daily_loss, max_daily_drawdown : float
        Share of the session's starting equity lost since then, or since the session's peak: everything is closed
        and the session is over for this account.
    ruin : float
        Share of the starting balance at or below which trading ends for good.
    """

    max_entries_per_session: int = 20
    flatten_before_close_minutes: int = 5
    no_trade_first_minutes: int = 5
    no_trade_last_minutes: int = 5
    minimum_hold_bars: int = 0
    max_gross_exposure: float = 4.0
    max_net_exposure: float = 0.0
    max_concentration: float = 0.0
    max_leverage: float = 0.0
    max_daily_loss: float = 0.0
    max_daily_drawdown: float = 0.0
    ruin: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"risk.{name} must not be negative, was {value}")
        if self.flatten_before_close_minutes < 1:
            raise ValueError(
                "risk.flatten_before_close_minutes must be at least 1, or the closing order finds no market, "
                f"was {self.flatten_before_close_minutes}"
            )
        if self.ruin >= 1:
            raise ValueError(f"risk.ruin must be below 1, was {self.ruin}")


LIMITS = np.dtype((np.record, [(name, np.float64) for name in RiskConfig.__struct_fields__]))


def pack_limits(risk: RiskConfig) -> np.ndarray:
    """Record of dtype `LIMITS`, shape (1,)."""
    limits = np.zeros(1, LIMITS)
    for name in RiskConfig.__struct_fields__:
        limits[name] = getattr(risk, name)
    return limits

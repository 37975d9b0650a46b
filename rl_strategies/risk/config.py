"""Limits that a target must pass before it becomes an order."""

import math

import msgspec
import numpy as np


class RiskConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of the risk overlay, the same in training and trading. A limit of 0 is off; docs/risk.md has examples.

    Attributes
    ----------
    max_entries_per_session : int
        Most entries of one instrument in a session; a reversal is an entry.
    flatten_before_close_minutes : int
        Minutes before the close of the instrument's session from which positions are closed and none is opened.
    no_trade_first_minutes, no_trade_last_minutes : int
        Minutes after the session's open and before its close without entries; exits are free. A contract month's last
        session closes at its last moment of trading.
    no_entry_before_expiry_minutes : int
        Minutes before a contract month's last moment of trading without entries; exits are free.
    minimum_hold_bars : int
        Bars before which the policy may not leave a position; barriers, time limit and halts may.
    max_gross_exposure : float
        Sum of the absolute notionals over equity; the entries of one decision are scaled down together to fit.
    max_net_exposure : float
        Absolute sum of the signed notionals over equity; an entry beyond it is refused, unless it lowers that sum.
    max_concentration : float
        Notional of one instrument over equity; an entry is scaled down to fit.
    max_leverage : float
        As ``max_gross_exposure``, but an entry beyond it is refused instead of scaled.
    max_daily_loss, max_daily_drawdown : float
        Share of the session's first equity lost since then, or since the session's peak. Once reached, everything
        is closed and no entry is granted until the session ends.
    ruin : float
        Share of the starting balance at or below which trading ends for good; 0 ends it when nothing is left.
    """

    max_entries_per_session: int = 20
    flatten_before_close_minutes: int = 5
    no_trade_first_minutes: int = 5
    no_trade_last_minutes: int = 5
    no_entry_before_expiry_minutes: int = 60
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
                raise ValueError(f"risk.{name} must be finite and not negative, was {value}")
        if self.flatten_before_close_minutes < 1:
            raise ValueError(
                "risk.flatten_before_close_minutes must be at least 1, so that the closing order finds a market, "
                f"was {self.flatten_before_close_minutes}"
            )
        if self.ruin >= 1:
            raise ValueError(f"risk.ruin must be below 1, was {self.ruin}")


LIMITS = np.dtype((np.record, [(name, np.float64) for name in RiskConfig.__struct_fields__]))


def pack_limits(risk: RiskConfig) -> np.ndarray:
    """The limits as kernels read them: record of dtype `LIMITS`, shape (1,)."""
    limits = np.zeros(1, LIMITS)
    for name in RiskConfig.__struct_fields__:
        limits[name] = getattr(risk, name)
    return limits

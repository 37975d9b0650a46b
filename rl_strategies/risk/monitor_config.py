"""Limits of a live session, each with the levels that it leads to."""

import math
from typing import Literal

import msgspec

# In order of gravity. reduce_only: nothing is opened. flatten: everything is closed, then halted once the broker shows
# neither position nor order. halted: no order is sent; barriers at the broker still protect what is held.
RiskLevel = Literal["normal", "reduce_only", "flatten", "halted"]
LEVELS: tuple[RiskLevel, ...] = ("normal", "reduce_only", "flatten", "halted")


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values of a reading at which a level begins; 0 for a level that it does not lead to.

    Attributes
    ----------
    reduce_only, flatten, halted : float
        Value at which the level begins; those that are set must ascend.

    Examples
    --------
    >>> Limit(reduce_only=90.0, flatten=600.0).level_of(120.0)
    'reduce_only'
    """

    reduce_only: float = 0.0
    flatten: float = 0.0
    halted: float = 0.0

    def __post_init__(self) -> None:
        values = self._values()
        if any(not (value >= 0 and math.isfinite(value)) for value in values.values()):
            raise ValueError(f"a limit must be finite and not negative, was {values}")
        given = [value for value in values.values() if value > 0]
        if given != sorted(set(given)):
            raise ValueError(f"a limit's values must ascend from reduce_only to halted, were {values}")

    @property
    def is_on(self) -> bool:
        """Whether it leads to any level."""
        return any(self._values().values())

    @property
    def mildest(self) -> RiskLevel:
        """First level that it leads to; ``"normal"`` where it is off."""
        return next((level for level, value in self._values().items() if value > 0), "normal")

    def level_of(self, value: float) -> RiskLevel:
        """Level that a reading leads to."""
        reached = [level for level, at in self._values().items() if 0 < at <= value]
        return reached[-1] if reached else "normal"

    def _values(self) -> dict[RiskLevel, float]:
        return {"reduce_only": self.reduce_only, "flatten": self.flatten, "halted": self.halted}


class MonitorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits and waiting times of the risk monitor; docs/risk.md has examples.

    Attributes
    ----------
    daily_loss : Limit
        Share of the session's first equity lost since then.
    session_drawdown, drawdown : Limit
        Share of the session's, and of the all-time, highest equity lost since then.
    value_at_risk : Limit
        Historical value at risk of the session's equity changes over its first equity.
    leverage : Limit
        Sum of the absolute notionals over equity.
    gross_exposure_usd : Limit
        Sum of the absolute notionals.
    rejects_per_minute : Limit
        Orders refused within the last 60 seconds.
    decision_latency_s : Limit
        Seconds from a bar's arrival to its order on the wire.
    clock_drift_s : Limit
        Absolute difference between this machine's clock and the broker's, seconds; a step backwards counts as one.
    data_age_s : Limit
        Seconds since the last bar was due while the market is open. The default suits one-minute bars.
    value_at_risk_tail : float
        Tail probability: 0.05 for 95 % confidence.
    value_at_risk_interval_s : float
        Least seconds from one equity to the next that is compared with it.
    value_at_risk_minimum : int
        Changes below which there is no value at risk yet; the other limits hold meanwhile.
    recover_after_s : float
        Seconds without a limit reached after which ``reduce_only`` ends; no other level ends by itself.
    unknown_after_s : float
        Seconds for which a reading may be unknown before its limit's first level begins; until then ``reduce_only``.
        The default outlasts a gateway's nightly restart.
    """

    daily_loss: Limit = Limit(reduce_only=0.015, flatten=0.02)
    session_drawdown: Limit = Limit(flatten=0.03)
    drawdown: Limit = Limit(flatten=0.10)
    value_at_risk: Limit = Limit(reduce_only=0.005)
    leverage: Limit = Limit(reduce_only=6.0, flatten=10.0)
    gross_exposure_usd: Limit = Limit()
    rejects_per_minute: Limit = Limit(reduce_only=3.0, halted=10.0)
    decision_latency_s: Limit = Limit(reduce_only=5.0)
    clock_drift_s: Limit = Limit(reduce_only=2.0)
    data_age_s: Limit = Limit(reduce_only=90.0, flatten=600.0)
    value_at_risk_tail: float = 0.05
    value_at_risk_interval_s: float = 60.0
    value_at_risk_minimum: int = 30
    recover_after_s: float = 120.0
    unknown_after_s: float = 600.0

    def __post_init__(self) -> None:
        if not 0 < self.value_at_risk_tail < 1:
            raise ValueError(f"monitor.value_at_risk_tail must be between 0 and 1, was {self.value_at_risk_tail}")
        if self.value_at_risk_minimum < 1:
            raise ValueError(f"monitor.value_at_risk_minimum must be at least 1, was {self.value_at_risk_minimum}")
        for name in ("value_at_risk_interval_s", "recover_after_s", "unknown_after_s"):
            seconds = getattr(self, name)
            if not (seconds >= 0 and math.isfinite(seconds)):
                raise ValueError(f"monitor.{name} must be finite and not negative, was {seconds}")

    def limits(self) -> dict[str, Limit]:
        """Limits that are on, by the name of their reading."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: limit for name, limit in fields.items() if isinstance(limit, Limit) and limit.is_on}

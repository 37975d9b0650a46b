"""The risk monitor of a live session: readings in, changes of level out.

Pure: no clock, no file, no order. The level rises by itself and falls by itself from ``reduce_only`` alone; ``flatten``
and ``halted`` end by a person. A reading that is unknown is never taken for good.
"""

import json
import math
from datetime import date

import msgspec

from rl_strategies.risk.monitor_config import LEVELS, Limit, MonitorConfig, RiskLevel
from rl_strategies.risk.rolling_readings import NS, RejectRate, ValueAtRisk
from rl_strategies.risk.state_file import RiskState


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """Readings of a session at one moment; None, NaN and impossible numbers are unknown.

    Attributes
    ----------
    ts_ns : int
        Time of the readings, UTC nanoseconds.
    session : date or None
        Current trading day; None keeps the one before.
    equity_usd : float or None
    gross_exposure_usd : float or None
        Sum of the absolute notionals.
    is_flat : bool or None
        Whether the broker shows neither a position nor an order and the session has none in flight.
    rejects : int or None
        Orders refused since the process started.
    decision_latency_s : float or None
        Latency of the last decision; 0 before the first.
    clock_drift_s : float or None
        This machine's clock minus the broker's.
    data_age_s : float or None
        Seconds since the last bar was due; 0 while the market is closed.
    """

    ts_ns: int
    session: date | None
    equity_usd: float | None
    gross_exposure_usd: float | None
    is_flat: bool | None
    rejects: int | None
    decision_latency_s: float | None
    clock_drift_s: float | None
    data_age_s: float | None


class Transition(msgspec.Struct, frozen=True):
    """One change of level.

    Attributes
    ----------
    ts_ns : int
    from_level, to_level : {"normal", "reduce_only", "flatten", "halted"}
    reason : str
        Reading, limit and value.
    """

    ts_ns: int
    from_level: RiskLevel
    to_level: RiskLevel
    reason: str

    def to_json(self) -> str:
        """Text of the journal's ``state`` row."""
        return json.dumps({"what": "risk", "from": self.from_level, "to": self.to_level, "reason": self.reason})


class RiskMonitor:
    """Judges a session by its limits.

    Parameters
    ----------
    config : MonitorConfig
    state : RiskState
        State that was stored; a new one for a new session. Its level holds from the start: act on it before the first
        observation.

    Attributes
    ----------
    state : RiskState
        State to store after every observation.

    Examples
    --------
    >>> monitor = RiskMonitor(MonitorConfig(), RiskState())
    >>> vitals = Vitals(ts_ns=0, session=date(2026, 1, 5), equity_usd=100_000.0, gross_exposure_usd=0.0, is_flat=False,
    ...     rejects=0, decision_latency_s=0.0, clock_drift_s=0.0, data_age_s=0.0)
    >>> monitor.observe(vitals)
    []
    >>> [change] = monitor.observe(msgspec.structs.replace(vitals, ts_ns=NS, equity_usd=97_900.0))
    >>> change.to_level, change.reason
    ('flatten', 'daily_loss must stay below 0.02, was 0.021')
    """

    def __init__(self, config: MonitorConfig, state: RiskState) -> None:
        self.state = state
        self._config = config
        self._limits = config.limits()
        self._value_at_risk = ValueAtRisk(
            config.value_at_risk_tail, config.value_at_risk_interval_s, config.value_at_risk_minimum
        )
        self._reject_rate = RejectRate()
        self._readings_now: dict[str, float | None] = {}
        self._now_ns = 0
        self._unknown_since: dict[str, int] = {}
        self._recovering_since: int | None = None

    @property
    def level(self) -> RiskLevel:
        """Current level."""
        return self.state.level

    def usage(self) -> list[tuple[str, float | None, float]]:
        """Limits that are on: name, reading at the last observation, and the value at which the first level begins."""
        return [
            (name, self._readings_now.get(name), float(getattr(limit, limit.mildest)))
            for name, limit in self._limits.items()
        ]

    def observe(self, vitals: Vitals) -> list[Transition]:
        """Judge the session at one moment.

        Returns
        -------
        list of Transition
            Changes of level, in order; empty where the level stays.
        """
        self._now_ns = max(self._now_ns, vitals.ts_ns)
        self._update_equity(vitals)
        self._readings_now = self._readings(vitals)
        level, reason = self._worst(self._readings_now)
        changes: list[Transition] = []
        if LEVELS.index(level) > LEVELS.index(self.level):
            changes.append(self._change(level, reason))
        elif self._has_recovered(level):
            wait_s = self._config.recover_after_s
            changes.append(self._change("normal", f"no limit was reached for {wait_s:g} s"))
        if self.level == "flatten" and vitals.is_flat is True:
            changes.append(
                self._change("halted", f"the broker shows no position and no order, after {self.state.reason}")
            )
        return changes

    def halt(self, reason: str) -> list[Transition]:
        """Halt for a reason outside the readings; empty where the session is halted already."""
        return [] if self.level == "halted" else [self._change("halted", reason)]

    def _update_equity(self, vitals: Vitals) -> None:
        state, equity = self.state, _known(vitals.equity_usd, may_be_negative=True)
        if vitals.session is not None and state.session != vitals.session:
            state = msgspec.structs.replace(
                state, session=vitals.session, session_start_usd=None, session_high_usd=None
            )
            self._value_at_risk.reset()
        if equity is not None:
            state = msgspec.structs.replace(
                state,
                session_start_usd=equity if state.session_start_usd is None else state.session_start_usd,
                session_high_usd=_highest(state.session_high_usd, equity),
                high_usd=_highest(state.high_usd, equity),
            )
            self._value_at_risk.update(self._now_ns, equity)
        self.state = state

    def _readings(self, vitals: Vitals) -> dict[str, float | None]:
        state, equity = self.state, _known(vitals.equity_usd, may_be_negative=True)
        gross = _known(vitals.gross_exposure_usd)
        rejects = _known(vitals.rejects)
        drift = _known(vitals.clock_drift_s, may_be_negative=True)
        stepped_back_s = (self._now_ns - vitals.ts_ns) / NS
        at_risk = self._value_at_risk.value
        return {
            "daily_loss": _lost_share(state.session_start_usd, equity),
            "session_drawdown": _lost_share(state.session_high_usd, equity),
            "drawdown": _lost_share(state.high_usd, equity),
            "value_at_risk": None if equity is None else _ratio(at_risk, state.session_start_usd),
            "leverage": _ratio(gross, equity),
            "gross_exposure_usd": gross,
            "rejects_per_minute": None if rejects is None else self._reject_rate.update(self._now_ns, int(rejects)),
            "decision_latency_s": _known(vitals.decision_latency_s),
            "clock_drift_s": None if drift is None else max(abs(drift), stepped_back_s),
            "data_age_s": _known(vitals.data_age_s),
        }

    def _worst(self, readings: dict[str, float | None]) -> tuple[RiskLevel, str]:
        findings = [self._judge(name, limit, readings[name]) for name, limit in self._limits.items()]
        return max(findings, key=lambda finding: LEVELS.index(finding[0]), default=("normal", ""))

    def _judge(self, name: str, limit: Limit, value: float | None) -> tuple[RiskLevel, str]:
        if value is None:
            unknown_ns = self._now_ns - self._unknown_since.setdefault(name, self._now_ns)
            is_overdue = unknown_ns >= self._config.unknown_after_s * NS
            level = limit.mildest if is_overdue else "reduce_only"
            return level, f"{name} must be known, was unknown for {unknown_ns / NS:.0f} s"
        self._unknown_since.pop(name, None)
        level = limit.level_of(value)
        return level, "" if level == "normal" else f"{name} must stay below {getattr(limit, level):g}, was {value:.4g}"

    def _has_recovered(self, level: RiskLevel) -> bool:
        if level != "normal":
            self._recovering_since = None
            return False
        if self._recovering_since is None:
            self._recovering_since = self._now_ns
        recovering_ns = self._now_ns - self._recovering_since
        return self.level == "reduce_only" and recovering_ns >= self._config.recover_after_s * NS

    def _change(self, level: RiskLevel, reason: str) -> Transition:
        change = Transition(self._now_ns, self.level, level, reason)
        self.state = msgspec.structs.replace(self.state, level=level, since_ns=self._now_ns, reason=reason)
        self._recovering_since = None
        return change


def _known(value: float | None, *, may_be_negative: bool = False) -> float | None:
    if value is None or not math.isfinite(value) or (value < 0 and not may_be_negative):
        return None
    return float(value)


def _highest(high: float | None, equity: float) -> float:
    return equity if high is None else max(high, equity)


def _lost_share(base: float | None, equity: float | None) -> float | None:
    return None if base is None or equity is None else _ratio(base - equity, base)


def _ratio(part: float | None, whole: float | None) -> float | None:
    if part is None or whole is None:
        return None
    if whole > 0:
        return part / whole
    return 0.0 if part == 0 else math.inf  # no equity is left to carry it

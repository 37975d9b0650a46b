"""Telemetry rows of a live session: decisions, equity, positions, trades, states, alerts, limits, health."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.accounting.record import Fill
from rl_strategies.decision.core import Review
from rl_strategies.risk.monitor import Transition, Vitals

Publish = Callable[[str, Mapping[str, Any]], None]
HEALTH_EVERY_S = 5.0


class InstrumentTelemetry:
    """Turns what happens to one instrument into telemetry rows: decisions, positions, trades.

    Parameters
    ----------
    publish : callable
        Takes a table's name and a row with its ``ts_ns``; must not block.
    spec : InstrumentSpec
    """

    def __init__(self, publish: Publish, spec: InstrumentSpec) -> None:
        self._publish = publish
        self._name = spec.instrument_id
        self._tick, self._multiplier = float(spec.tick_size), float(spec.multiplier)

    def decision(self, ts_ns: int, review: Review, logits: NDArray[np.float32], latency_s: float) -> None:
        """Publish a decision with its probabilities."""
        scores = logits.astype(np.float64).ravel()
        odds = np.exp(scores - scores.max())
        self._row(
            "decisions",
            ts_ns,
            instrument_id=self._name,
            target=review.side,
            review=review.reason,
            probabilities=(odds / odds.sum()).tolist(),
            latency_us=latency_s * 1e6,
        )

    def fill(self, fills: Sequence[Fill], units: int) -> None:
        """Publish the last of the session's fills and the units held after it; at 0 units also the finished trade."""
        last = fills[-1]
        price = last.price_ticks * self._tick
        self._row("positions", last.ts_ns, instrument_id=self._name, units=float(units), price=price)
        if units == 0:
            self._trade(_round_trip(fills))

    def _trade(self, fills: Sequence[Fill]) -> None:
        side = 1 if fills[0].units > 0 else -1
        entries = [fill for fill in fills if fill.units * side > 0]
        exits = [fill for fill in fills if fill.units * side < 0]
        points = -sum(fill.units * fill.price_ticks for fill in fills) * self._tick
        net_usd = points * self._multiplier - sum(fill.commission_cents for fill in fills) / 100
        self._row(
            "trades",
            fills[-1].ts_ns,
            instrument_id=self._name,
            side="long" if side > 0 else "short",
            units=float(sum(abs(fill.units) for fill in entries)),
            entry_price=self._average(entries),
            exit_price=self._average(exits),
            entry_ts_ns=fills[0].ts_ns,
            net_usd=net_usd,
            reason=fills[-1].reason,
        )

    def _average(self, fills: Sequence[Fill]) -> float:
        units = sum(abs(fill.units) for fill in fills)
        return sum(abs(fill.units) * fill.price_ticks for fill in fills) * self._tick / units

    def _row(self, table: str, ts_ns: int, **values: Any) -> None:
        self._publish(table, {"ts_ns": ts_ns, **values})


class SessionTelemetry:
    """Turns what happens in a session into telemetry rows: equity, states, alerts, health, limits.

    Parameters
    ----------
    publish : callable
        As in `InstrumentTelemetry`.
    """

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._health_ns = 0

    def equity(self, ts_ns: int, equity_usd: float, cash_usd: float) -> None:
        """Publish the account's equity."""
        self._row("equity", ts_ns, equity_usd=equity_usd, cash_usd=cash_usd)

    def state(self, ts_ns: int, kind: str, state: str, reason: str) -> None:
        """Publish a change of state."""
        self._row("states", ts_ns, kind=kind, state=state, reason=reason)

    def risk(self, change: Transition) -> None:
        """Publish a change of the risk level as an alert."""
        self._row("alerts", change.ts_ns, level=change.to_level, message=change.reason)

    def warning(self, ts_ns: int, message: str) -> None:
        """Publish an alert that changes no risk level."""
        self._row("alerts", ts_ns, level="warning", message=message)

    def vitals(self, vitals: Vitals, usage: Sequence[tuple[str, float | None, float]]) -> None:
        """Publish health and the use of every limit, every few seconds."""
        if vitals.ts_ns - self._health_ns < HEALTH_EVERY_S * 1e9:
            return
        self._health_ns = vitals.ts_ns
        latency_us = None if vitals.decision_latency_s is None else vitals.decision_latency_s * 1e6
        self._row(
            "health",
            vitals.ts_ns,
            data_age_s=vitals.data_age_s,
            latency_us=latency_us,
            clock_drift_s=vitals.clock_drift_s,
        )
        for name, used, allowed in usage:
            self._row("limits", vitals.ts_ns, name=name, used=used, allowed=allowed)

    def _row(self, table: str, ts_ns: int, **values: Any) -> None:
        self._publish(table, {"ts_ns": ts_ns, **values})


def _round_trip(fills: Sequence[Fill]) -> Sequence[Fill]:
    """Fills since the position was last flat before, newest last."""
    units = 0
    for first in range(len(fills) - 1, -1, -1):
        units += fills[first].units
        if units == 0:
            return fills[first:]
    return fills

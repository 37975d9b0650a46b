"""Limits of a live session: at which reading which level begins. Numbered as in docs/risk.md."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace

from rl_strategies.risk.monitor import RiskMonitor, Vitals
from rl_strategies.risk.monitor_config import Limit, MonitorConfig, RiskLevel
from rl_strategies.risk.rolling_readings import ValueAtRisk
from rl_strategies.risk.state_file import RiskState

MONDAY, TUESDAY = date(2026, 1, 5), date(2026, 1, 6)
S = 1_000_000_000
NO_LIMIT = MonitorConfig(**{name: Limit() for name in MonitorConfig().limits()})
# Long 100,000 USD with an equity of 100,000 USD, and all is well.
WELL = Vitals(
    ts_ns=0, session=MONDAY, equity_usd=100_000.0, gross_exposure_usd=100_000.0, is_flat=False, rejects=0,
    decision_latency_s=0.1, clock_drift_s=0.0, data_age_s=0.0,
)  # fmt: skip
ALL_LEVELS = Limit(reduce_only=1.0, flatten=2.0, halted=3.0)


@dataclass(frozen=True)
class Watch:
    """Vitals of a session, second by second, and the levels that they lead to.

    Attributes
    ----------
    config : MonitorConfig
    seen : sequence of (second, changed vitals)
        Everything else is well.
    expected : sequence of list of str
        After each: the levels that were entered.
    state : RiskState
        As it was kept by an earlier life of the session.
    """

    config: MonitorConfig
    seen: Sequence[tuple[float, dict[str, Any]]]
    expected: Sequence[Sequence[str]]
    state: RiskState = field(default_factory=RiskState)

    def outcome(self, config: MonitorConfig | None = None) -> list[list[str]]:
        """What happens, under these limits or under others."""
        monitor = RiskMonitor(config or self.config, self.state)
        vitals = [replace(WELL, ts_ns=round(second * S), **changed) for second, changed in self.seen]
        return [[change.to_level for change in monitor.observe(one)] for one in vitals]


def only(name: str, **settings: Any) -> MonitorConfig:
    """These settings alone; the limit ``name`` by its default."""
    return replace(NO_LIMIT, **{name: getattr(MonitorConfig(), name), **settings})


def beside(config: MonitorConfig, before: dict[str, Any], at: dict[str, Any], level: RiskLevel) -> Watch:
    """All is well, then a reading beside the limit, then one at it."""
    return Watch(config, [(0, {}), (1, before), (2, at)], [[], [], [level]])


EQUITY, GROSS, LATENCY = "equity_usd", "gross_exposure_usd", "decision_latency_s"
DRIFT, AGE = "clock_drift_s", "data_age_s"

WATCHES = {
    # As configured by default. The session began with 100,000 USD.
    "L1": beside(only("daily_loss"), {EQUITY: 98_500.01}, {EQUITY: 98_500.00}, "reduce_only"),
    "L2": Watch(
        only("daily_loss"),
        [(0, {}), (1, {EQUITY: 98_000.01}), (2, {EQUITY: 98_000.00})],
        [[], ["reduce_only"], ["flatten"]],
    ),
    # A high of 120,000 USD, 3 % of it are 3,600.
    "L3": Watch(
        only("session_drawdown"),
        [(0, {}), (1, {EQUITY: 120_000.0}), (2, {EQUITY: 116_400.01}), (3, {EQUITY: 116_400.00})],
        [[], [], [], ["flatten"]],
    ),
    # The highest of all time is Monday's 120,000; Tuesday begins with 110,000 and may not reach 108,000.
    "L4": Watch(
        only("drawdown"),
        [
            (0, {EQUITY: 120_000.0}),
            (1, {EQUITY: 110_000.0, "session": TUESDAY}),
            (2, {EQUITY: 108_000.01, "session": TUESDAY}),
            (3, {EQUITY: 108_000.00, "session": TUESDAY}),
        ],
        [[], [], [], ["flatten"]],
    ),
    # The worst of 30 changes is a loss of 500 USD, 0.5 % of 100,000; ceil(5 % of 30) is the second worst: 500 as well.
    "L5": Watch(
        only("value_at_risk"),
        [(60 * i, {EQUITY: 100_000.0 - 500.0 * min(i, 2)}) for i in range(31)],
        [[]] * 30 + [["reduce_only"]],
    ),
    "L6": Watch(
        only("value_at_risk"),
        [(60 * i, {EQUITY: 100_000.0 - 499.99 * min(i, 2)}) for i in range(31)],
        [[]] * 31,
    ),
    "L7": beside(only("leverage"), {GROSS: 599_999.0}, {GROSS: 600_000.0}, "reduce_only"),
    "L8": Watch(
        only("leverage"),
        [(0, {}), (1, {GROSS: 999_999.0}), (2, {GROSS: 1_000_000.0})],
        [[], ["reduce_only"], ["flatten"]],
    ),
    "L9": Watch(  # the same position weighs more on an account that has lost: 590,000 / 98,334 and / 98,333
        only("leverage"),
        [(0, {GROSS: 590_000.0}), (1, {GROSS: 590_000.0, EQUITY: 98_334.0}), (2, {GROSS: 590_000.0, EQUITY: 98_333.0})],
        [[], [], ["reduce_only"]],
    ),
    "L10": beside(
        replace(NO_LIMIT, gross_exposure_usd=Limit(reduce_only=250_000.0)),
        {GROSS: 249_999.0},
        {GROSS: 250_000.0},
        "reduce_only",
    ),
    "L11": beside(only("rejects_per_minute"), {"rejects": 2}, {"rejects": 3}, "reduce_only"),
    "L12": Watch(
        only("rejects_per_minute"),
        [(0, {}), (1, {"rejects": 9}), (2, {"rejects": 10})],
        [[], ["reduce_only"], ["halted"]],
    ),
    "L13": beside(only("decision_latency_s"), {LATENCY: 4.999}, {LATENCY: 5.0}, "reduce_only"),
    "L14": beside(only("clock_drift_s"), {DRIFT: 1.999}, {DRIFT: 2.0}, "reduce_only"),
    "L15": beside(only("clock_drift_s"), {DRIFT: -1.999}, {DRIFT: -2.0}, "reduce_only"),
    "L16": Watch(  # this machine's clock steps back by two seconds
        only("clock_drift_s"), [(100, {}), (98.001, {}), (98, {})], [[], [], ["reduce_only"]]
    ),
    "L17": beside(only("data_age_s"), {AGE: 89.999}, {AGE: 90.0}, "reduce_only"),
    "L18": Watch(
        only("data_age_s"), [(0, {}), (1, {AGE: 599.999}), (2, {AGE: 600.0})], [[], ["reduce_only"], ["flatten"]]
    ),
    # Where losses count from.
    "L19": Watch(  # Tuesday's losses count from Tuesday's first equity
        only("daily_loss"),
        [
            (0, {}),
            (1, {EQUITY: 98_600.0}),
            (2, {EQUITY: 98_600.0, "session": TUESDAY}),
            (3, {EQUITY: 97_121.01, "session": TUESDAY}),
            (4, {EQUITY: 97_121.00, "session": TUESDAY}),
        ],
        [[], [], [], [], ["reduce_only"]],
    ),
    "L20": Watch(  # and Tuesday's drawdown from Tuesday's high
        only("session_drawdown"),
        [
            (0, {EQUITY: 120_000.0}),
            (1, {EQUITY: 100_000.0, "session": TUESDAY}),
            (2, {EQUITY: 97_000.01, "session": TUESDAY}),
            (3, {EQUITY: 97_000.00, "session": TUESDAY}),
        ],
        [[], [], [], ["flatten"]],
    ),
    "L21": Watch(  # a restart goes on from the equity that was kept, not from the first one that it sees
        only("daily_loss"),
        [(0, {EQUITY: 98_500.01}), (1, {EQUITY: 98_500.00})],
        [[], ["reduce_only"]],
        RiskState(session=MONDAY, session_start_usd=100_000.0, session_high_usd=100_000.0, high_usd=100_000.0),
    ),
    "L22": Watch(  # nor does it forget the highest of all time
        only("drawdown"),
        [(0, {EQUITY: 100_000.01}), (1, {EQUITY: 99_000.00})],
        [[], ["flatten"]],
        RiskState(session=MONDAY, session_start_usd=100_000.0, session_high_usd=100_000.0, high_usd=110_000.0),
    ),
    "L23": Watch(  # without a session's date the one before goes on
        only("daily_loss"), [(0, {}), (1, {EQUITY: 98_500.0, "session": None})], [[], ["reduce_only"]]
    ),
    "L24": Watch(  # nothing is left that could carry a position
        only("leverage"), [(0, {}), (1, {EQUITY: 0.0, GROSS: 0.0}), (2, {EQUITY: 0.0, GROSS: 0.01})],
        [[], [], ["flatten"]],
    ),
    "L48": Watch(  # an equity of half a dollar carries a dollar twice
        replace(NO_LIMIT, leverage=Limit(reduce_only=2.5)),
        [(0, {EQUITY: 0.5, GROSS: 1.0}), (1, {EQUITY: 0.5, GROSS: 1.25})],
        [[], ["reduce_only"]],
    ),
    "L25": Watch(  # a debt from the start on counts as a loss of everything
        only("daily_loss"), [(0, {EQUITY: -1.0}), (1, {EQUITY: -2.0})], [[], ["flatten"]]
    ),
    # Refused orders of one minute: the first is 60 s old when the third comes, and one nanosecond less.
    "L26": Watch(
        only("rejects_per_minute"), [(0, {"rejects": 1}), (10, {"rejects": 2}), (60, {"rejects": 3})], [[], [], []]
    ),
    "L27": Watch(
        only("rejects_per_minute"),
        [(0, {"rejects": 1}), (10, {"rejects": 2}), (59.999_999_999, {"rejects": 3})],
        [[], [], ["reduce_only"]],
    ),
    "L28": Watch(  # a restarted process counts from zero: 2 and 1
        only("rejects_per_minute"), [(0, {"rejects": 2}), (1, {"rejects": 1})], [[], ["reduce_only"]]
    ),
    # Down again, by itself from reduce_only alone.
    "L29": Watch(  # well from second 2 on: not after 119.999 s, after 120 s
        only("data_age_s"),
        [(0, {}), (1, {AGE: 90.0}), (2, {}), (121.999, {}), (122, {})],
        [[], ["reduce_only"], [], [], ["normal"]],
    ),
    "L30": Watch(  # a relapse begins the wait again
        only("data_age_s"),
        [(1, {AGE: 90.0}), (2, {}), (100, {AGE: 90.0}), (101, {}), (122, {}), (220.999, {}), (221, {})],
        [["reduce_only"], [], [], [], [], [], ["normal"]],
    ),
    "L31": Watch(  # not from flatten, however long all is well
        only("data_age_s"), [(0, {AGE: 600.0}), (1, {}), (9_999, {})], [["flatten"], [], []]
    ),
    "L32": Watch(  # flatten ends as halted, once the broker shows nothing; not while that is unknown
        only("data_age_s"),
        [(0, {AGE: 600.0}), (1, {"is_flat": None}), (2, {"is_flat": True}), (9_999, {"is_flat": True})],
        [["flatten"], [], ["halted"], []],
    ),
    "L33": Watch(  # flat already: both at once
        only("data_age_s"), [(0, {AGE: 600.0, "is_flat": True})], [["flatten", "halted"]]
    ),
    "L34": Watch(  # the gravest of several counts
        replace(only("data_age_s"), leverage=Limit(flatten=10.0)),
        [(0, {}), (1, {AGE: 90.0, GROSS: 1_000_000.0})],
        [[], ["flatten"]],
    ),
    # What is not known.
    "L35": Watch(  # opens nothing at once, and leads where its limit leads first after 600 s
        replace(NO_LIMIT, drawdown=Limit(flatten=0.10)),
        [(0, {}), (1, {EQUITY: None}), (600.999, {EQUITY: None}), (601, {EQUITY: None})],
        [[], ["reduce_only"], [], ["flatten"]],
    ),
    "L36": Watch(  # known in between: counted anew
        replace(NO_LIMIT, drawdown=Limit(flatten=0.10)),
        [(1, {EQUITY: None}), (600, {}), (601, {EQUITY: None}), (1_200.999, {EQUITY: None}), (1_201, {EQUITY: None})],
        [["reduce_only"], [], [], [], ["flatten"]],
    ),
    "L37": Watch(  # not a number is not known, nor is a negative exposure
        only("leverage"), [(0, {GROSS: math.nan})], [["reduce_only"]]
    ),
    "L38": Watch(only("leverage"), [(0, {GROSS: -1.0})], [["reduce_only"]]),
    "L39": Watch(  # an unknown reading without a limit harms nothing
        only("data_age_s"), [(0, {GROSS: None, "rejects": None, DRIFT: math.nan, LATENCY: None})], [[]]
    ),
    "L40": Watch(only("data_age_s"), [(0, {AGE: None})], [["reduce_only"]]),
    # The settings beside the limits. Losses of 400, 300, 200 and 100 USD, a minute apart.
    "L41": Watch(  # the worst of four at a tail of 25 %
        replace(NO_LIMIT, value_at_risk=Limit(flatten=0.004), value_at_risk_tail=0.25, value_at_risk_minimum=4),
        [(60 * i, {EQUITY: equity}) for i, equity in enumerate([100_000.0, 99_600.0, 99_300.0, 99_100.0, 99_000.0])],
        [[], [], [], [], ["flatten"]],
    ),
    "L42": Watch(  # the second worst at 26 %: 300 USD
        replace(NO_LIMIT, value_at_risk=Limit(flatten=0.0031), value_at_risk_tail=0.26, value_at_risk_minimum=4),
        [(60 * i, {EQUITY: equity}) for i, equity in enumerate([100_000.0, 99_600.0, 99_300.0, 99_100.0, 99_000.0])],
        [[], [], [], [], []],
    ),
    "L43": Watch(  # a change takes 30 s at least: 100,000 to 99,500 is looked at, what lies between is not
        replace(
            NO_LIMIT, value_at_risk=Limit(flatten=0.005), value_at_risk_interval_s=30.0, value_at_risk_minimum=1,
            value_at_risk_tail=0.5,
        ),
        [(0, {}), (29.999, {EQUITY: 99_000.0}), (30, {EQUITY: 99_500.0})],
        [[], [], ["flatten"]],
    ),
    "L72": Watch(  # and 15 s after the last one is within its interval
        replace(
            NO_LIMIT, value_at_risk=Limit(flatten=0.005), value_at_risk_interval_s=30.0, value_at_risk_minimum=1,
            value_at_risk_tail=0.5,
        ),
        [(30, {}), (45, {EQUITY: 99_000.0}), (60, {})],
        [[], [], []],
    ),
    "L44": Watch(  # 10 s instead of 120 s
        only("data_age_s", recover_after_s=10.0),
        [(0, {AGE: 90.0}), (1, {}), (10.999, {}), (11, {})],
        [["reduce_only"], [], [], ["normal"]],
    ),
    "L45": Watch(  # 5 s instead of 600 s
        replace(NO_LIMIT, drawdown=Limit(flatten=0.10), unknown_after_s=5.0),
        [(0, {EQUITY: None}), (4.999, {EQUITY: None}), (5, {EQUITY: None})],
        [["reduce_only"], [], ["flatten"]],
    ),
    "L46": Watch(  # halted stays halted
        only("data_age_s"), [(0, {}), (9_999, {})], [[], []], RiskState("halted", reason="a person must look")
    ),
}  # fmt: skip


@pytest.mark.parametrize("watch", [pytest.param(watch, id=number) for number, watch in WATCHES.items()])
def test_live_limit(watch: Watch) -> None:
    assert watch.outcome() == list(watch.expected)


# Every limit may lead to every level: readings of 0.9, 1, 2 and 3 under a limit of 1, 2 and 3.
READINGS: dict[str, Any] = {
    "daily_loss": lambda reading: {EQUITY: 100_000.0 - 100_000.0 * reading},
    "session_drawdown": lambda reading: {EQUITY: 100_000.0 - 100_000.0 * reading},
    "drawdown": lambda reading: {EQUITY: 100_000.0 - 100_000.0 * reading},
    "value_at_risk": lambda reading: {EQUITY: 100_000.0 - 100_000.0 * reading},
    "leverage": lambda reading: {GROSS: 100_000.0 * reading},
    "gross_exposure_usd": lambda reading: {GROSS: reading},
    "rejects_per_minute": lambda reading: {"rejects": int(reading)},
    "decision_latency_s": lambda reading: {LATENCY: reading},
    "clock_drift_s": lambda reading: {DRIFT: reading},
    "data_age_s": lambda reading: {AGE: reading},
}


@pytest.mark.parametrize("name", [pytest.param(name, id=f"L{n}") for n, name in enumerate(READINGS, start=51)])
def test_every_level_of_a_limit(name: str) -> None:
    # The first change of equity is the value at risk.
    config = replace(NO_LIMIT, **{name: ALL_LEVELS}, value_at_risk_minimum=1, value_at_risk_tail=0.5)
    reached = []
    for reading in (0.9, 1.0, 2.0, 3.0):
        watch = Watch(config, [(0, {GROSS: 0.0}), (60, READINGS[name](reading))], [])
        reached.append("".join(watch.outcome()[-1]))
    assert reached == ["", "reduce_only", "flatten", "halted"]


@pytest.mark.parametrize(
    ("reading", "level"),
    [
        pytest.param(0.99, "normal", id="L61"),
        pytest.param(1.0, "reduce_only", id="L62"),
        pytest.param(1.99, "reduce_only", id="L63"),
        pytest.param(2.0, "flatten", id="L64"),
        pytest.param(2.99, "flatten", id="L65"),
        pytest.param(3.0, "halted", id="L66"),
    ],
)
def test_level_of_a_reading(reading: float, level: str) -> None:
    assert ALL_LEVELS.level_of(reading) == level


@pytest.mark.parametrize(
    ("config", "seen", "level", "reason"),
    [
        pytest.param(
            only("drawdown"), [(0, {EQUITY: None}), (600, {EQUITY: None})],
            "flatten", "drawdown must be known, was unknown for 600 s", id="L47",
        ),
        pytest.param(
            only("leverage"), [(0, {GROSS: 610_000.0})], "reduce_only", "leverage must stay below 6, was 6.1", id="L49"
        ),
        pytest.param(
            only("data_age_s"), [(0, {AGE: 90.0}), (1, {}), (121, {})], "normal", "no limit was reached for 120 s",
            id="L50",
        ),
        pytest.param(
            only("data_age_s"), [(0, {AGE: 600.0, "is_flat": True})], "halted",
            "the broker shows no position and no order, after data_age_s must stay below 600, was 600", id="L67",
        ),
    ],
)  # fmt: skip
def test_reason(config: MonitorConfig, seen: Sequence[tuple[float, dict[str, Any]]], level: str, reason: str) -> None:
    monitor = RiskMonitor(config, RiskState())
    for second, changed in seen:
        monitor.observe(replace(WELL, ts_ns=second * S, **changed))
    assert (monitor.level, monitor.state.reason) == (level, reason)


@pytest.mark.parametrize(
    ("equity", "gross", "reading"),
    [
        pytest.param(100_000.0, 150_000.0, 1.5, id="L68"),
        pytest.param(0.0, 0.0, 0.0, id="L69"),
        pytest.param(0.0, 1.0, math.inf, id="L70"),
        pytest.param(None, 1.0, None, id="L71"),
    ],
)
def test_usage_of_a_limit(equity: float | None, gross: float, reading: float | None) -> None:
    monitor = RiskMonitor(only("leverage"), RiskState())
    monitor.observe(replace(WELL, equity_usd=equity, gross_exposure_usd=gross))
    assert monitor.usage() == [("leverage", reading, 6.0)]


@pytest.mark.parametrize(
    ("changes", "usd"),
    [
        pytest.param([-50.0], 0.0, id="L73"),  # too few
        pytest.param([-50.0, 20.0], 50.0, id="L74"),
        pytest.param([10.0, 20.0], 0.0, id="L75"),  # gains
    ],
)
def test_value_at_risk(changes: list[float], usd: float) -> None:
    risk = ValueAtRisk(tail=0.5, interval_s=1.0, minimum=2)
    for second, equity in enumerate(itertools.accumulate(changes, initial=1_000.0)):
        risk.update(second * S, equity)
    assert risk.value == usd

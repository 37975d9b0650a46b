"""The risk monitor: when it goes up, when it comes down, and that not knowing is never well."""

import itertools
import json
import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rl_strategies.risk.monitor import RiskMonitor, Vitals
from rl_strategies.risk.monitor_config import LEVELS, Limit, MonitorConfig
from rl_strategies.risk.rolling_readings import ValueAtRisk
from rl_strategies.risk.state_file import RiskState

S = 1_000_000_000
MONDAY, TUESDAY = date(2026, 1, 5), date(2026, 1, 6)
OFF = {name: Limit() for name in MonitorConfig().limits()}
WELL = Vitals(
    ts_ns=0, session=MONDAY, equity_usd=100_000.0, gross_exposure_usd=0.0, is_flat=False, rejects=0,
    decision_latency_s=0.0, clock_drift_s=0.0, data_age_s=0.0,
)  # fmt: skip


def monitor_of(**settings: Any) -> RiskMonitor:
    """Monitor with these limits alone."""
    return RiskMonitor(MonitorConfig(**{**OFF, **settings}), RiskState())


def levels_after(monitor: RiskMonitor, second: float, **changed: Any) -> list[str]:
    vitals = replace(WELL, ts_ns=round(second * S), **changed)
    return [change.to_level for change in monitor.observe(vitals)]


# Each a reading that its default limit does not bear, and what it leads to.
BAD: list[tuple[str, dict[str, Any], list[str], str]] = [
    ("daily_loss", {"equity_usd": 98_500.0}, ["reduce_only"], "daily_loss must stay below 0.015, was 0.015"),
    ("daily_loss", {"equity_usd": 98_000.0}, ["flatten"], "daily_loss must stay below 0.02, was 0.02"),
    ("leverage", {"gross_exposure_usd": 600_000.0}, ["reduce_only"], "leverage must stay below 6, was 6"),
    ("leverage", {"gross_exposure_usd": 1_100_000.0}, ["flatten"], "leverage must stay below 10, was 11"),
    ("rejects_per_minute", {"rejects": 10}, ["halted"], "rejects_per_minute must stay below 10, was 10"),
    ("decision_latency_s", {"decision_latency_s": 6}, ["reduce_only"], "decision_latency_s must stay below 5, was 6"),
    ("clock_drift_s", {"clock_drift_s": -2.5}, ["reduce_only"], "clock_drift_s must stay below 2, was 2.5"),
    ("data_age_s", {"data_age_s": 600.0}, ["flatten"], "data_age_s must stay below 600, was 600"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "changed", "levels", "reason"), BAD)
def test_every_limit_says_rule_limit_and_value(
    rule: str, changed: dict[str, Any], levels: list[str], reason: str
) -> None:
    monitor = monitor_of(**{rule: getattr(MonitorConfig(), rule)})
    assert monitor.observe(WELL) == []
    changes = monitor.observe(replace(WELL, ts_ns=S, **changed))
    assert [(change.ts_ns, change.from_level, change.to_level, change.reason) for change in changes] == [
        (S, "normal", levels[0], reason)
    ]
    assert monitor.state.reason == reason


def test_a_limit_of_zero_is_none() -> None:
    monitor = monitor_of()
    ruin = {"equity_usd": 1.0, "gross_exposure_usd": 1e9, "rejects": 500, "clock_drift_s": 99.0, "data_age_s": 1e6}
    assert levels_after(monitor, 0) == levels_after(monitor, 1, **ruin) == []


def test_gross_exposure_is_limited_where_asked() -> None:
    monitor = monitor_of(gross_exposure_usd=Limit(reduce_only=250_000.0))
    assert levels_after(monitor, 0, gross_exposure_usd=249_999.0) == []
    assert levels_after(monitor, 1, gross_exposure_usd=-250_000.0) == ["reduce_only"]  # impossible is unknown


def test_flatten_becomes_halted_once_the_broker_shows_nothing() -> None:
    monitor = monitor_of(daily_loss=Limit(flatten=0.02))
    levels_after(monitor, 0)
    assert levels_after(monitor, 1, equity_usd=97_000.0) == ["flatten"]
    assert levels_after(monitor, 2, equity_usd=97_000.0, is_flat=None) == []
    assert levels_after(monitor, 3, equity_usd=97_000.0, is_flat=True) == ["halted"]
    assert "after daily_loss must stay below 0.02, was 0.03" in monitor.state.reason


def test_a_flat_account_is_halted_at_once() -> None:
    monitor = monitor_of(data_age_s=Limit(flatten=600.0))
    assert levels_after(monitor, 0, data_age_s=700.0, is_flat=True) == ["flatten", "halted"]


def test_reduce_only_ends_when_all_was_well_for_long_enough() -> None:
    monitor = monitor_of(data_age_s=Limit(reduce_only=90.0), recover_after_s=120.0)
    assert levels_after(monitor, 0, data_age_s=95.0) == ["reduce_only"]
    assert levels_after(monitor, 10) == levels_after(monitor, 129) == []
    assert levels_after(monitor, 130) == ["normal"]


def test_a_relapse_starts_the_wait_anew() -> None:
    monitor = monitor_of(data_age_s=Limit(reduce_only=90.0), recover_after_s=120.0)
    levels_after(monitor, 0, data_age_s=95.0)
    levels_after(monitor, 10)
    levels_after(monitor, 100, data_age_s=95.0)
    assert levels_after(monitor, 140) == levels_after(monitor, 259) == []
    assert levels_after(monitor, 260) == ["normal"]


def test_losses_count_from_the_session_s_first_equity_also_after_a_restart() -> None:
    limits = {"daily_loss": Limit(flatten=0.02)}
    before = monitor_of(**limits)
    levels_after(before, 0)
    levels_after(before, 1, equity_usd=98_500.0)
    after = RiskMonitor(MonitorConfig(**{**OFF, **limits}), before.state)
    assert levels_after(after, 1, session=None) == []  # the first bar has not come yet
    assert levels_after(after, 2, equity_usd=98_001.0) == []
    assert levels_after(after, 3, equity_usd=98_000.0) == ["flatten"]


def test_a_new_session_counts_its_own_losses_but_keeps_the_all_time_high() -> None:
    monitor = monitor_of(daily_loss=Limit(reduce_only=0.02), drawdown=Limit(flatten=0.03))
    levels_after(monitor, 0)
    assert levels_after(monitor, 1, equity_usd=98_500.0) == []
    assert levels_after(monitor, 2, equity_usd=97_100.0, session=TUESDAY) == []
    assert levels_after(monitor, 3, equity_usd=97_000.0, session=TUESDAY) == ["flatten"]
    assert monitor.state.session_start_usd == 97_100.0


def test_the_session_s_drawdown_counts_from_its_high() -> None:
    monitor = monitor_of(session_drawdown=Limit(flatten=0.10))
    for second, equity in enumerate([100_000.0, 120_000.0, 108_001.0]):
        assert levels_after(monitor, second, equity_usd=equity) == []
    assert levels_after(monitor, 3, equity_usd=108_000.0) == ["flatten"]


def test_a_new_session_has_a_high_and_changes_of_its_own() -> None:
    monitor = monitor_of(
        session_drawdown=Limit(reduce_only=0.05),
        value_at_risk=Limit(flatten=0.001),
        value_at_risk_tail=0.5,
        value_at_risk_minimum=2,
    )
    # Monday's equity was higher, and its only change a loss of 4 %.
    assert levels_after(monitor, 0) == levels_after(monitor, 60, equity_usd=96_000.0) == []
    # Were Monday's change still among Tuesday's, the worse of the two would be beyond the limit.
    assert levels_after(monitor, 120, equity_usd=94_900.0, session=TUESDAY) == []
    assert levels_after(monitor, 180, equity_usd=94_900.0, session=TUESDAY) == []
    assert monitor.state.session_high_usd == 94_900.0


def test_value_at_risk_is_unknown_with_the_equity() -> None:
    monitor = monitor_of(value_at_risk=Limit(reduce_only=0.5))
    levels_after(monitor, 0)
    assert levels_after(monitor, 1, equity_usd=None) == ["reduce_only"]


def test_of_a_hundred_changes_the_seventh_worst_is_seven_percent() -> None:
    # ceil(0.07 * 100) is 8 in floating point. Seven losses of 50, the rest gains of 1.
    risk = ValueAtRisk(tail=0.07, interval_s=1.0, minimum=100)
    for second, equity in enumerate(itertools.accumulate([-50.0] * 7 + [1.0] * 93, initial=10_000.0)):
        risk.update(second * S, equity)
    assert risk.value == 50.0


def test_gains_alone_put_nothing_at_risk() -> None:
    risk = ValueAtRisk(tail=0.05, interval_s=1.0, minimum=2)
    for second, equity in enumerate([100.0, 101.0, 102.0]):
        risk.update(second * S, equity)
    assert risk.value == 0.0


def test_value_at_risk_is_the_kth_worst_change_of_the_session() -> None:
    # Twenty changes, tail 10 %: the second worst, -400 of 100,000, is 0.004.
    changes = [-700, -400, *[50] * 18]
    monitor = monitor_of(
        value_at_risk=Limit(reduce_only=0.004), value_at_risk_tail=0.10, value_at_risk_minimum=20,
        value_at_risk_interval_s=60.0,
    )  # fmt: skip
    equities = list(itertools.accumulate(changes, initial=100_000))
    for minute, equity in enumerate(equities[:-1]):
        assert levels_after(monitor, 60 * minute, equity_usd=float(equity)) == []
    assert levels_after(monitor, 60 * 20, equity_usd=float(equities[-1])) == ["reduce_only"]
    assert monitor.state.reason == "value_at_risk must stay below 0.004, was 0.004"


@pytest.mark.parametrize(
    ("at", "total", "expected"),
    [
        # Seconds of observation, refused orders so far, the rate from which reduce_only begins at 3.
        ([0, 10, 20], [1, 2, 3], ["reduce_only"]),
        ([0, 10, 60], [1, 2, 3], []),  # the first is 60 s old
        ([0, 10, 59], [1, 2, 3], ["reduce_only"]),
        ([0, 10, 20], [1, 0, 2], ["reduce_only"]),  # a new process counts from zero: 1 + 0 + 2
        ([0, 10, 20], [2, 2, 1], ["reduce_only"]),  # and may have refused some before it was looked at: 2 + 0 + 1
    ],
)
def test_rejects_are_counted_over_the_last_minute(at: list[int], total: list[int], expected: list[str]) -> None:
    monitor = monitor_of(rejects_per_minute=Limit(reduce_only=3.0))
    seen = [levels_after(monitor, second, rejects=count) for second, count in zip(at, total, strict=True)]
    assert seen == [[], [], expected]


def test_a_clock_that_steps_back_has_drifted() -> None:
    monitor = monitor_of(clock_drift_s=Limit(reduce_only=2.0))
    assert levels_after(monitor, 100) == []
    assert levels_after(monitor, 97) == ["reduce_only"]
    assert monitor.state.since_ns == 100 * S


def test_what_stays_unknown_leads_where_the_limit_leads() -> None:
    monitor = monitor_of(daily_loss=Limit(flatten=0.02), unknown_after_s=600.0)
    levels_after(monitor, 0)
    assert levels_after(monitor, 1, equity_usd=None) == ["reduce_only"]
    assert monitor.state.reason == "daily_loss must be known, was unknown for 0 s"
    assert levels_after(monitor, 600, equity_usd=None) == []
    assert levels_after(monitor, 601, equity_usd=None) == ["flatten"]


def test_what_was_known_in_between_is_unknown_anew() -> None:
    monitor = monitor_of(daily_loss=Limit(flatten=0.02), unknown_after_s=600.0)
    for second, equity in ((0, None), (599, 100_000.0), (600, None), (1_199, None)):
        levels_after(monitor, second, equity_usd=equity)
    assert monitor.level == "reduce_only"
    assert levels_after(monitor, 1_200, equity_usd=None) == ["flatten"]


def test_it_halts_for_what_no_reading_shows() -> None:
    monitor = monitor_of()
    assert [change.to_level for change in monitor.halt("the broker holds another position")] == ["halted"]
    assert monitor.halt("again") == []
    assert monitor.state.reason == "the broker holds another position"


def test_nothing_left_to_carry_a_position_is_beyond_every_leverage() -> None:
    monitor = monitor_of(leverage=Limit(flatten=10.0))
    assert levels_after(monitor, 0, equity_usd=0.0, gross_exposure_usd=0.0) == []
    assert levels_after(monitor, 1, equity_usd=-5.0, gross_exposure_usd=1.0) == ["flatten"]


def test_a_transition_is_a_row_of_the_journal() -> None:
    monitor = monitor_of(data_age_s=Limit(reduce_only=90.0))
    [change] = monitor.observe(replace(WELL, data_age_s=91.0))
    reason = "data_age_s must stay below 90, was 91"
    assert json.loads(change.to_json()) == {"what": "risk", "from": "normal", "to": "reduce_only", "reason": reason}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"flatten": -1.0}, "must be finite and not negative"),
        ({"flatten": math.nan}, "must be finite and not negative"),
        ({"halted": math.inf}, "must be finite and not negative"),
        ({"reduce_only": 2.0, "halted": 1.0}, "must ascend from reduce_only to halted"),
        ({"flatten": 1.0, "halted": 1.0}, "must ascend from reduce_only to halted"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Limit(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"value_at_risk_tail": 1.0}, {"value_at_risk_minimum": 0}, {"recover_after_s": math.nan}]
)
def test_a_monitor_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"monitor.{next(iter(wrong))} must"):
        MonitorConfig(**wrong)


UNKNOWN = st.sampled_from([None, math.nan, math.inf, -math.inf])
READINGS = ("equity_usd", "gross_exposure_usd", "decision_latency_s", "clock_drift_s", "data_age_s")


@st.composite
def vitals_of_any_kind(draw: st.DrawFn) -> Vitals:
    """Vitals between well and beyond everything, in part unknown, on a clock that may stand or step back."""
    numbers = {name: draw(st.one_of(st.floats(0, 1e6), UNKNOWN)) for name in READINGS}
    return Vitals(
        ts_ns=draw(st.integers(0, 10_000)) * S,
        session=draw(st.sampled_from([MONDAY, TUESDAY, None])),
        is_flat=draw(st.sampled_from([True, False, None])),
        rejects=draw(st.one_of(st.integers(0, 20), st.none())),
        **numbers,
    )


@given(
    st.lists(st.one_of(vitals_of_any_kind(), st.builds(lambda s: replace(WELL, ts_ns=s * S), st.integers(0, 10_000))))
)
def test_it_comes_down_from_reduce_only_alone_and_never_from_halted(tape: list[Vitals]) -> None:
    monitor = RiskMonitor(MonitorConfig(), RiskState())
    level = monitor.level
    for vitals in tape:
        for change in monitor.observe(vitals):
            assert change.from_level == level
            went_up = LEVELS.index(change.to_level) > LEVELS.index(level)
            assert went_up or (level, change.to_level) == ("reduce_only", "normal")
            assert change.reason
            level = change.to_level
        assert monitor.level == monitor.state.level == level


@given(vitals_of_any_kind())
def test_halted_takes_no_notice(vitals: Vitals) -> None:
    monitor = RiskMonitor(MonitorConfig(), RiskState("halted", reason="a person must look"))
    assert monitor.observe(vitals) == monitor.observe(replace(WELL, ts_ns=10**6 * S)) == []
    assert (monitor.state.level, monitor.state.reason) == ("halted", "a person must look")


@given(st.sampled_from([*READINGS, "rejects"]), UNKNOWN, st.integers(0, 10_000))
def test_an_unknown_reading_is_never_well(name: str, value: float | None, second: int) -> None:
    monitor = RiskMonitor(MonitorConfig(), RiskState())
    monitor.observe(WELL)
    monitor.observe(replace(WELL, ts_ns=second * S, **{name: value}))
    assert monitor.level != "normal"

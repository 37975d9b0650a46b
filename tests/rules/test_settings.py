"""Limits that make no sense are refused with the name, the rule and the value. Numbered as in docs/risk.md."""

import math
from typing import Any

import msgspec
import pytest
from msgspec.structs import asdict

from rl_strategies.decision.barriers import BarrierConfig, Distance
from rl_strategies.decision.rules import TradingConfig
from rl_strategies.risk.config import RiskConfig, pack_limits
from rl_strategies.risk.monitor_config import Limit, MonitorConfig
from rl_strategies.risk.state_file import RiskState


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(
            {"max_daily_loss": -0.01}, "risk.max_daily_loss must be finite and not negative, was -0.01", id="G1"
        ),
        pytest.param({"max_leverage": math.nan}, "risk.max_leverage must be finite and not negative, was nan", id="G2"),
        pytest.param(
            {"max_net_exposure": math.inf}, "risk.max_net_exposure must be finite and not negative, was inf", id="G3"
        ),
        pytest.param(
            {"flatten_before_close_minutes": 0},
            "risk.flatten_before_close_minutes must be at least 1, so that the closing order finds a market, was 0",
            id="G4",
        ),
        pytest.param({"ruin": 1.0}, "risk.ruin must be below 1, was 1.0", id="G5"),
    ],
)
def test_a_limit_of_the_overlay_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RiskConfig(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"max_daily_loss": 0.0}, id="G6"),
        pytest.param({"flatten_before_close_minutes": 1}, id="G7"),
        pytest.param({"ruin": 0.999}, id="G8"),
    ],
)
def test_a_limit_of_the_overlay_is_taken(settings: dict[str, Any]) -> None:
    (name, value), *_ = settings.items()
    packed = pack_limits(RiskConfig(**settings))
    assert packed[name].tolist() == [value]
    assert packed["max_entries_per_session"].tolist() == [20.0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"flatten": -1.0}, "must be finite and not negative", id="G9"),
        pytest.param({"flatten": math.nan}, "must be finite and not negative", id="G10"),
        pytest.param({"halted": math.inf}, "must be finite and not negative", id="G11"),
        pytest.param({"reduce_only": 2.0, "halted": 1.0}, "must ascend from reduce_only to halted", id="G12"),
        pytest.param({"flatten": 1.0, "halted": 1.0}, "must ascend from reduce_only to halted", id="G13"),
    ],
)
def test_a_limit_of_a_live_session_is_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limit(**settings)


@pytest.mark.parametrize(
    ("settings", "is_on", "mildest"),
    [
        pytest.param({}, False, "normal", id="G14"),
        pytest.param({"reduce_only": 1.0, "flatten": 2.0, "halted": 3.0}, True, "reduce_only", id="G15"),
        pytest.param({"halted": 0.5}, True, "halted", id="G16"),
        pytest.param({"reduce_only": 1.0, "halted": 2.0}, True, "reduce_only", id="G17"),
    ],
)
def test_a_limit_of_a_live_session_is_taken(settings: dict[str, float], is_on: bool, mildest: str) -> None:
    limit = Limit(**settings)
    assert (limit.is_on, limit.mildest) == (is_on, mildest)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"value_at_risk_tail": 0.0}, "must be between 0 and 1, was 0.0", id="G18"),
        pytest.param({"value_at_risk_tail": 1.0}, "must be between 0 and 1, was 1.0", id="G19"),
        pytest.param({"value_at_risk_minimum": 0}, "must be at least 1, was 0", id="G20"),
        pytest.param({"value_at_risk_interval_s": -1.0}, "must be finite and not negative, was -1.0", id="G21"),
        pytest.param({"recover_after_s": math.nan}, "must be finite and not negative, was nan", id="G22"),
        pytest.param({"unknown_after_s": math.inf}, "must be finite and not negative, was inf", id="G23"),
    ],
)
def test_a_setting_of_the_monitor_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"monitor.{next(iter(settings))} {message}"):
        MonitorConfig(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"value_at_risk_interval_s": 0.0, "recover_after_s": 0.0, "unknown_after_s": 0.0}, id="G24"),
        pytest.param({"value_at_risk_minimum": 1, "value_at_risk_tail": 0.999}, id="G25"),
    ],
)
def test_a_setting_of_the_monitor_is_taken(settings: dict[str, Any]) -> None:
    config = MonitorConfig(**settings)
    assert {name: getattr(config, name) for name in settings} == settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"units": 0}, "trading.units must be at least 1, was 0", id="G26"),
        pytest.param({"risk_budget_usd": -1.0}, "trading.risk_budget_usd must not be negative, was -1.0", id="G27"),
        pytest.param({"risk_budget_usd": math.inf}, "trading.risk_budget_usd must not be negative, was inf", id="G28"),
    ],
)
def test_a_size_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TradingConfig(**settings)


def test_limits_that_are_off_are_no_limits() -> None:
    assert "gross_exposure_usd" not in MonitorConfig().limits()
    assert list(MonitorConfig(leverage=Limit()).limits()) == [
        "daily_loss", "session_drawdown", "drawdown", "value_at_risk", "rejects_per_minute", "decision_latency_s",
        "clock_drift_s", "data_age_s",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "defaults"),
    [
        pytest.param(
            RiskConfig(),
            {
                "max_entries_per_session": 20, "flatten_before_close_minutes": 5, "no_trade_first_minutes": 5,
                "no_trade_last_minutes": 5, "no_entry_before_expiry_minutes": 60, "minimum_hold_bars": 0,
                "max_gross_exposure": 4.0, "max_net_exposure": 0.0,
                "max_concentration": 0.0, "max_leverage": 0.0, "max_daily_loss": 0.0, "max_daily_drawdown": 0.0,
                "ruin": 0.0,
            },
            id="G29",
        ),
        pytest.param(
            MonitorConfig(),
            {
                "daily_loss": Limit(reduce_only=0.015, flatten=0.02),
                "session_drawdown": Limit(flatten=0.03),
                "drawdown": Limit(flatten=0.10),
                "value_at_risk": Limit(reduce_only=0.005),
                "leverage": Limit(reduce_only=6.0, flatten=10.0),
                "gross_exposure_usd": Limit(),
                "rejects_per_minute": Limit(reduce_only=3.0, halted=10.0),
                "decision_latency_s": Limit(reduce_only=5.0),
                "clock_drift_s": Limit(reduce_only=2.0),
                "data_age_s": Limit(reduce_only=90.0, flatten=600.0),
                "value_at_risk_tail": 0.05, "value_at_risk_interval_s": 60.0, "value_at_risk_minimum": 30,
                "recover_after_s": 120.0, "unknown_after_s": 600.0,
            },
            id="G30",
        ),
        pytest.param(
            BarrierConfig(),
            {"stop_loss": Distance(3.0, "atr"), "take_profit": Distance(4.0, "atr"), "time_limit_bars": 60},
            id="G31",
        ),
        pytest.param(
            TradingConfig(),
            {"units": 1, "barriers": BarrierConfig(), "risk": RiskConfig(), "risk_budget_usd": 0.0,
             "mask_actions": False},
            id="G32",
        ),
        pytest.param(Limit(), {"reduce_only": 0.0, "flatten": 0.0, "halted": 0.0}, id="G33"),
        pytest.param(
            RiskState(),
            {"level": "normal", "since_ns": 0, "reason": "", "session": None, "session_start_usd": None,
             "session_high_usd": None, "high_usd": None},
            id="G41",
        ),
    ],
)  # fmt: skip
def test_defaults(settings: Any, defaults: dict[str, Any]) -> None:
    assert asdict(settings) == defaults


SETTINGS = [
    pytest.param(RiskConfig(), id="G34"),
    pytest.param(MonitorConfig(), id="G35"),
    pytest.param(Limit(), id="G36"),
    pytest.param(BarrierConfig(), id="G37"),
    pytest.param(Distance(1.0, "atr"), id="G38"),
    pytest.param(TradingConfig(), id="G39"),
    pytest.param(RiskState(), id="G40"),
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_misspelt_setting_is_refused_and_none_can_be_changed(settings: Any) -> None:
    given = msgspec.to_builtins(settings)
    assert msgspec.convert(given, type(settings)) == settings
    with pytest.raises(msgspec.ValidationError, match="unknown field `mispelt`"):
        msgspec.convert(given | {"mispelt": 1}, type(settings))
    with pytest.raises(AttributeError, match="immutable type"):
        setattr(settings, next(iter(given)), None)

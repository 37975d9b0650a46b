"""Which targets the mask of an observation grants. Numbered as in docs/risk.md."""

import math
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from rl_strategies.accounting.position import LEG
from rl_strategies.decision.barriers import BarrierConfig
from rl_strategies.decision.core import DecisionCore
from rl_strategies.decision.rules import RULES, ExecutionConfig, TradingConfig
from rl_strategies.risk.config import RiskConfig, pack_limits
from rl_strategies.risk.overlay import REASONS, write_mask
from tests.rules.day import NO_LIMIT, PLAN, share, time_ns


def mask_of(legs: list[dict[str, Any]], risk: RiskConfig, halted: str = "") -> list[str]:
    """Short, flat and long of each leg, 1 where it is granted; two places before them are left alone."""
    table, rules = np.zeros(len(legs), LEG), np.zeros(len(legs), RULES)
    table["is_open"], table["volume"], table["price"] = 1, 10**6, 100.0
    table["since_open"], table["to_close"] = 60.0, 60.0
    rules["units"], rules["multiplier"], rules["tick_size"] = 100, 1.0, 0.01
    for k, fields in enumerate(legs):
        for name, value in fields.items():
            (table if name in LEG.names else rules)[name][k] = value
    out = np.full(2 + 3 * len(legs), 9.0, np.float32)
    write_mask(out, 2, table, rules, pack_limits(risk)[0], REASONS.index(halted) if halted else 0)
    assert out[:2].tolist() == [9.0, 9.0]
    return ["".join(str(int(one)) for one in out[2 + 3 * k : 5 + 3 * k]) for k in range(len(legs))]


@pytest.mark.parametrize(
    ("legs", "risk", "halted", "expected"),
    [
        pytest.param([{}], NO_LIMIT, "", ["111"], id="A1"),
        pytest.param([{"units": 5}], NO_LIMIT, "", ["111"], id="A2"),
        # No entry: flat it may only stay so, held it may stay or leave.
        pytest.param([{"entries": 3}], replace(NO_LIMIT, max_entries_per_session=3), "", ["010"], id="A3"),
        pytest.param([{"entries": 2}], replace(NO_LIMIT, max_entries_per_session=3), "", ["111"], id="A4"),
        pytest.param([{"entries": 3, "units": 5}], replace(NO_LIMIT, max_entries_per_session=3), "", ["011"], id="A5"),
        pytest.param([{"entries": 3, "units": -5}], replace(NO_LIMIT, max_entries_per_session=3), "", ["110"], id="A6"),
        pytest.param([{"volume": 399, "units": -5}], NO_LIMIT, "", ["110"], id="A7"),
        # Neither in nor out.
        pytest.param([{"is_open": 0, "units": 5}], NO_LIMIT, "", ["001"], id="A8"),
        pytest.param([{"is_missing": 1, "units": -5}], NO_LIMIT, "", ["100"], id="A9"),
        pytest.param([{"is_missing": 1}], NO_LIMIT, "", ["010"], id="A10"),
        pytest.param([{"units": 5, "age_bars": 1}], replace(NO_LIMIT, minimum_hold_bars=2), "", ["001"], id="A11"),
        pytest.param([{"units": 5, "age_bars": 2}], replace(NO_LIMIT, minimum_hold_bars=2), "", ["111"], id="A12"),
        # Out alone.
        pytest.param([{"units": 5, "age_bars": 2, "time_limit_bars": 2}], NO_LIMIT, "", ["010"], id="A13"),
        pytest.param([{"units": 5}], NO_LIMIT, "daily_loss", ["010"], id="A14"),
        # Leg after leg; limits of the account mask nothing.
        pytest.param([{"is_open": 0}, {"units": 5}], replace(NO_LIMIT, max_leverage=0.1), "", ["010", "111"], id="A15"),
    ],
)  # fmt: skip
def test_mask(legs: list[dict[str, Any]], risk: RiskConfig, halted: str, expected: list[str]) -> None:
    assert mask_of(legs, risk, halted) == expected


@pytest.mark.parametrize(
    ("units", "side", "gain_atr", "mask"),
    [
        pytest.param(100, 1.0, 2.0, [0.0, 0.0, 1.0], id="A16"),
        pytest.param(-100, -1.0, -2.0, [1.0, 0.0, 0.0], id="A17"),
    ],
)
def test_what_the_policy_sees_of_a_position(units: int, side: float, gain_atr: float, mask: list[float]) -> None:
    # Entered at 500.00 one bar ago, to be held for two; 502.00 now, an average true range of 1.00 USD. Of 389 minutes
    # in which a position may be held 387 are left.
    risk = replace(NO_LIMIT, minimum_hold_bars=2)
    trading = TradingConfig(100, BarrierConfig(None, None, 0), risk, mask_actions=True)
    core = DecisionCore([share("AAA")], PLAN, trading, ExecutionConfig())
    (leg,) = core.instruments
    core.begin_session(leg.on_bar(time_ns("09:31"), 50_000, 50_000, 50_000, 50_000, 10_000))
    core.on_fill(0, units, 50_000, 0)
    leg.on_bar(time_ns("09:32"), 50_200, 50_200, 50_200, 50_200, 10_000)
    core.legs["atr"] = 1.0
    seen = [math.log(502 / 500), side, 1 / 60, gain_atr, 387 / 389, *mask]
    assert core.look(time_ns("09:32")).tolist() == pytest.approx(seen, rel=1e-6)

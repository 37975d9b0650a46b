"""The risk overlay: no approved set of targets ever breaks a limit, and every refusal has its reason."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_strategies.accounting.position import ACCOUNT, LEG
from rl_strategies.decision.rules import RULES
from rl_strategies.risk.config import RiskConfig, pack_limits
from rl_strategies.risk.overlay import APPROVED, REASONS, review_all, update_halt

FREE = {"no_trade_first_minutes": 0, "no_trade_last_minutes": 0, "max_gross_exposure": 0.0}


def reviewed(targets: list[int], risk: RiskConfig, *, equity: float = 100_000.0, **fields: Any) -> Any:
    """Legs after a review; ``fields`` set those of the legs and rules, a value or one per leg."""
    legs, rules, account = np.zeros(len(targets), LEG), np.zeros(len(targets), RULES), np.zeros(1, ACCOUNT)
    basis = {"is_open": 1, "price": 100.0, "volume": 10**9, "since_open": 60.0, "to_close": 60.0, "atr": 1.0}
    for name, value in (basis | fields).items():
        (legs if name in LEG.names else rules)[name] = value
    for name, value in {"multiplier": 1.0, "tick_size": 0.01, "units": 100}.items():
        if name not in fields:
            rules[name] = value
    account["equity"] = account["session_equity"] = account["peak_equity"] = equity
    review_all(legs, np.array(targets), rules, pack_limits(risk)[0], account[0])
    return legs


@pytest.mark.parametrize(
    ("fields", "risk", "reason"),
    [
        ({"is_open": 0}, {}, "session_closed"),
        ({"is_missing": 1}, {}, "stale_bar"),
        ({"since_open": 4.0}, {"no_trade_first_minutes": 5}, "no_trade_window"),
        ({"to_close": 4.0}, {"no_trade_last_minutes": 5}, "no_trade_window"),
        ({"entries": 3}, {"max_entries_per_session": 3}, "entry_limit"),
        ({"risk_budget_usd": 0.5}, {}, "risk_budget"),
        ({"volume": 399}, {}, "thin_volume"),
        ({}, {"max_concentration": 0.0009}, "concentration"),
        ({}, {"max_gross_exposure": 0.0009}, "gross_exposure"),
        ({}, {"max_net_exposure": 0.05}, "net_exposure"),
        ({}, {"max_leverage": 0.05}, "leverage"),
    ],
)
def test_every_entry_refusal(fields: dict[str, Any], risk: dict[str, Any], reason: str) -> None:
    (leg,) = reviewed([1], RiskConfig(**(FREE | risk)), **fields)
    assert (REASONS[leg.reason], leg.side) == (reason, 0)


def test_entry_is_scaled_to_the_gross_limit_together() -> None:
    # 100 units at 100 USD each want 10,000 USD a leg; half of 100,000 × 0.1 each.
    legs = reviewed([1, -1], RiskConfig(**(FREE | {"max_gross_exposure": 0.1})))
    assert legs["order_units"].tolist() == [50, 50]
    assert legs["side"].tolist() == [1, -1]


def test_halt_closes_everything_for_the_session() -> None:
    account, limits = np.zeros(1, ACCOUNT)[0], pack_limits(RiskConfig(max_daily_loss=0.01))[0]
    account.session_equity = account.peak_equity = 100_000.0
    for equity, halted in ((99_001.0, "approved"), (99_000.0, "daily_loss"), (101_000.0, "daily_loss")):
        account.equity = equity
        update_halt(account, limits)
        assert REASONS[account.halted] == halted


@given(
    targets=st.lists(st.integers(-1, 1), min_size=1, max_size=6),
    data=st.data(),
    gross=st.floats(0.01, 4.0),
    net=st.floats(0.01, 4.0),
    concentration=st.floats(0.01, 2.0),
    leverage=st.floats(0.01, 4.0),
)
def test_no_entry_breaks_a_limit(
    targets: list[int], data: st.DataObject, gross: float, net: float, concentration: float, leverage: float
) -> None:
    count, equity = len(targets), 50_000.0
    prices = data.draw(st.lists(st.floats(1.0, 900.0), min_size=count, max_size=count))
    units = data.draw(st.lists(st.integers(1, 2000), min_size=count, max_size=count))
    limits = {
        "max_gross_exposure": gross,
        "max_net_exposure": net,
        "max_concentration": concentration,
        "max_leverage": leverage,
    }
    legs, rules = np.zeros(count, LEG), np.zeros(count, RULES)
    legs["is_open"], legs["price"], legs["volume"] = 1, prices, 10**9
    legs["since_open"] = legs["to_close"] = 60.0
    rules["units"], rules["multiplier"], rules["tick_size"] = units, 1.0, 0.01
    account = np.zeros(1, ACCOUNT)
    account["equity"] = equity
    review_all(legs, np.array(targets), rules, pack_limits(RiskConfig(**(FREE | limits)))[0], account[0])
    notional = legs["side"] * legs["order_units"] * np.array(prices)
    allowed = equity * (1 + 1e-12)
    assert np.abs(notional).sum() <= min(gross, leverage) * allowed
    assert abs(notional.sum()) <= net * allowed
    assert (np.abs(notional) <= concentration * allowed).all()
    assert all(leg.order_units >= 1 for leg in legs if leg.side != 0)
    assert all((leg.reason == APPROVED) == (leg.side == target) for leg, target in zip(legs, targets, strict=True))


@given(held=st.integers(-5, 5), target=st.integers(-1, 1), age=st.integers(0, 9), minimum=st.integers(0, 9))
def test_minimum_hold_binds_the_policy_alone(held: int, target: int, age: int, minimum: int) -> None:
    risk = RiskConfig(**(FREE | {"minimum_hold_bars": minimum}))
    legs, rules, account = np.zeros(1, LEG), np.zeros(1, RULES), np.zeros(1, ACCOUNT)
    legs["is_open"], legs["price"], legs["volume"], legs["units"], legs["age_bars"] = 1, 100.0, 10**9, held, age
    legs["since_open"] = legs["to_close"] = 60.0
    rules["units"], rules["multiplier"], rules["tick_size"] = 1, 1.0, 0.01
    account["equity"] = 1e5
    review_all(legs, np.array([target]), rules, pack_limits(risk)[0], account[0])
    side = int(np.sign(held))
    bound = side != 0 and target != side and age < minimum
    assert legs[0].side == (side if bound else target)

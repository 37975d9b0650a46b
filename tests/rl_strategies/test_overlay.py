"""The risk overlay on any book: no granted entry breaks a limit. Worked cases are in `tests.rules`."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rl_strategies.accounting.position import ACCOUNT, LEG
from rl_strategies.decision.rules import RULES
from rl_strategies.risk.config import RiskConfig, pack_limits
from rl_strategies.risk.overlay import APPROVED, review_all

FREE = {"no_trade_first_minutes": 0, "no_trade_last_minutes": 0, "max_gross_exposure": 0.0}


@given(
    targets=st.lists(st.integers(-1, 1), min_size=1, max_size=6),
    data=st.data(),
    gross=st.floats(0.01, 4.0),
    net=st.floats(0.01, 4.0),
    concentration=st.floats(0.01, 2.0),
    leverage=st.floats(0.01, 4.0),
)
def test_no_entry_breaks_a_limit_whatever_is_held(
    targets: list[int], data: st.DataObject, gross: float, net: float, concentration: float, leverage: float
) -> None:
    count, equity = len(targets), 50_000.0
    prices = np.array(data.draw(st.lists(st.floats(1.0, 900.0), min_size=count, max_size=count)))
    units = data.draw(st.lists(st.integers(1, 2000), min_size=count, max_size=count))
    held = data.draw(st.lists(st.integers(-200, 200), min_size=count, max_size=count))
    limits = {
        "max_gross_exposure": gross,
        "max_net_exposure": net,
        "max_concentration": concentration,
        "max_leverage": leverage,
    }
    legs, rules = np.zeros(count, LEG), np.zeros(count, RULES)
    legs["is_open"], legs["price"], legs["volume"], legs["units"] = 1, prices, 10**9, held
    legs["since_open"] = legs["to_close"] = 60.0
    rules["units"], rules["multiplier"], rules["tick_size"] = units, 1.0, 0.01
    account = np.zeros(1, ACCOUNT)
    account["equity"] = equity
    review_all(legs, np.array(targets), rules, pack_limits(RiskConfig(**(FREE | limits)))[0], account[0])
    enters = (legs["side"] != 0) & (legs["side"] != np.sign(held))
    kept = np.where((legs["side"] != 0) & ~enters, held, 0) * prices
    entered = np.where(enters, legs["side"] * legs["order_units"], 0) * prices
    room, after = equity * (1 + 1e-12), kept + entered
    if enters.any():
        assert np.abs(after).sum() <= min(gross, leverage) * room
    assert abs(after.sum()) <= max(abs(kept.sum()) * (1 + 1e-12), net * room)
    assert (np.abs(entered) <= concentration * room).all()
    assert all(leg.order_units >= 1 for leg, enter in zip(legs, enters, strict=True) if enter)
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

"""The observation: per instrument the observed features of its last bar and the state of its position, then the account
(for a portfolio), then the action mask (if the experiment asks for it).

One kernel writes it for simulator and strategy. Features are copied unchanged: normalisation is part of the policy.
"""

from catalogs.compiled import kernel
from rl_strategies.accounting.position import side_of_units
from rl_strategies.decision.barriers import BarrierConfig
from rl_strategies.risk.config import RiskConfig

MASK_OUTPUTS = ("mask_short", "mask_flat", "mask_long")
HELD_OUTPUT = "side"
ACCOUNT_OUTPUTS = ("session_return", "gross_exposure", "net_exposure")


def position_outputs(barriers: BarrierConfig, risk: RiskConfig, instruments: int = 1) -> tuple[str, ...]:
    """Names of the position's entries, in order; entries that would be constant are left out.

    Examples
    --------
    >>> position_outputs(BarrierConfig(None, None, 0), RiskConfig(max_entries_per_session=0))
    ('side', 'age', 'unrealized_atr', 'time_left')
    """
    names = [HELD_OUTPUT, "age", "unrealized_atr", "time_left"]
    if barriers.stop_loss is not None:
        names.append("stop_distance_atr")
    if barriers.take_profit is not None:
        names.append("target_distance_atr")
    if risk.max_entries_per_session > 0:
        names.append("entries_left")
    if instruments > 1:
        names.append("bar_missing")
    return tuple(names)


def account_outputs(risk: RiskConfig, instruments: int = 1) -> tuple[str, ...]:
    """Names of the account's entries; none if one instrument trades without a daily limit.

    Examples
    --------
    >>> account_outputs(RiskConfig(max_daily_loss=0.02))
    ('session_return', 'gross_exposure', 'net_exposure')
    """
    watched = instruments > 1 or risk.max_daily_loss > 0 or risk.max_daily_drawdown > 0
    return ACCOUNT_OUTPUTS if watched else ()


@kernel
def write_position(out, start, leg, rules, limits, is_portfolio):  # type: ignore[no-untyped-def]
    """Write one instrument's position into ``out`` (float32) from index ``start``; returns the next index.

    Distances are in average true ranges of at least one tick.
    """
    side = side_of_units(leg.units)
    scale = max(leg.atr, rules.tick_size)
    horizon = rules.time_limit_bars if rules.time_limit_bars > 0 else 60
    flatten = limits.flatten_before_close_minutes
    length = leg.since_open + leg.to_close
    out[start] = side
    out[start + 1] = leg.age_bars / horizon if side != 0 else 0.0
    out[start + 2] = side * (leg.price - leg.average_price) / scale if side != 0 else 0.0
    out[start + 3] = max(0.0, (leg.to_close - flatten) / (length - flatten))
    at = start + 4
    if rules.stop_unit >= 0:
        gap = side * (leg.close_ticks - leg.stop_ticks) * rules.tick_size / scale
        out[at] = gap if leg.stop_ticks != 0 else 0.0
        at += 1
    if rules.take_profit_unit >= 0:
        gap = side * (leg.take_profit_ticks - leg.close_ticks) * rules.tick_size / scale
        out[at] = gap if leg.take_profit_ticks != 0 else 0.0
        at += 1
    if limits.max_entries_per_session > 0.0:
        out[at] = max(0.0, 1.0 - leg.entries / limits.max_entries_per_session)
        at += 1
    if is_portfolio:
        out[at] = leg.is_missing
        at += 1
    return at


@kernel
def write_account(out, start, legs, rules, limits, account):  # type: ignore[no-untyped-def]
    """Write the account's entries, if any, into ``out`` from ``start``; returns the next index."""
    if len(legs) == 1 and limits.max_daily_loss == 0.0 and limits.max_daily_drawdown == 0.0:
        return start
    gross, net = 0.0, 0.0
    for k in range(len(legs)):
        notional = legs[k].units * legs[k].price * rules[k].multiplier
        gross += abs(notional)
        net += notional
    equity = max(account.equity, 1.0)
    out[start] = account.equity / account.session_equity - 1.0
    out[start + 1] = gross / equity
    out[start + 2] = net / equity
    return start + 3

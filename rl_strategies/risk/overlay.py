"""The risk overlay: reviews the policy's targets before they become orders.

Pure, and the same in training and trading, so that the policy learns under the rules that it trades by. A refusal is a
value with a reason. Each instrument is reviewed by itself, then all of them as a portfolio.
"""

import math

from catalogs.compiled import kernel
from rl_strategies.accounting.position import side_of_units
from rl_strategies.risk.sizing import entry_units

REASONS = (
    "approved",
    "time_limit",
    "session_closed",
    "stale_bar",
    "daily_loss",
    "daily_drawdown",
    "minimum_hold",
    "no_trade_window",
    "entry_limit",
    "risk_budget",
    "thin_volume",
    "concentration",
    "gross_exposure",
    "net_exposure",
    "leverage",
    "expiry",
    "one_dollar",
)
(
    APPROVED,
    TIME_LIMIT,
    SESSION_CLOSED,
    STALE_BAR,
    DAILY_LOSS,
    DAILY_DRAWDOWN,
    MINIMUM_HOLD,
    NO_TRADE_WINDOW,
    ENTRY_LIMIT,
    RISK_BUDGET,
    THIN_VOLUME,
    CONCENTRATION,
    GROSS_EXPOSURE,
    NET_EXPOSURE,
    LEVERAGE,
    EXPIRY,
    ONE_DOLLAR,
) = range(len(REASONS))


ONE_CENT = 0.01


@kernel
def update_halt(account, limits):  # type: ignore[no-untyped-def]
    """Halt the session when ``account.equity`` has reached a daily limit; it stays halted until the session ends."""
    equity = account.equity
    account.peak_equity = max(account.peak_equity, equity)
    if account.halted == 0:
        base = account.session_equity
        if limits.max_daily_loss > 0.0 and equity <= base * (1.0 - limits.max_daily_loss):
            account.halted = DAILY_LOSS
        elif limits.max_daily_drawdown > 0.0 and equity <= account.peak_equity - base * limits.max_daily_drawdown:
            account.halted = DAILY_DRAWDOWN


@kernel
def review_one(leg, target, rules, limits, halted):  # type: ignore[no-untyped-def]
    """Review one instrument by itself.

    Parameters
    ----------
    leg : record of `rl_strategies.accounting.position.LEG`
        Receives the answer in ``side``, ``order_units`` and ``reason``. A refused entry never keeps the opposite
        position: that goes flat.
    target : int
        Side that the policy wants: -1, 0 or 1.
    rules, limits : records
    halted : int
        Reason of the session's halt; 0 where it is not halted.
    """
    held = side_of_units(leg.units)
    leg.side = held
    leg.order_units = 0
    leg.reason = APPROVED
    if leg.is_open == 0:
        leg.reason = SESSION_CLOSED if target != held else APPROVED
    elif leg.is_missing != 0:
        # The last close is no price of this moment: neither out nor in.
        leg.reason = STALE_BAR if target != held else APPROVED
    elif halted != 0:
        leg.side = 0
        leg.reason = halted if target != 0 or held != 0 else APPROVED
    elif held != 0 and rules.time_limit_bars > 0 and leg.age_bars >= rules.time_limit_bars:
        leg.side = 0
        leg.reason = TIME_LIMIT
    elif held != 0 and target != held and leg.age_bars < limits.minimum_hold_bars:
        leg.reason = MINIMUM_HOLD
    elif target == 0 or target == held:
        leg.side = target
    else:
        leg.order_units = entry_units(rules.units, rules.risk_budget_usd, leg.atr, rules.multiplier, rules.tick_size)
        leg.reason = entry_refusal(leg, rules, limits)
        leg.side = target if leg.reason == APPROVED else 0


@kernel
def entry_refusal(leg, rules, limits):  # type: ignore[no-untyped-def]
    """Why the leg may not be entered with its ``order_units``; `APPROVED` if it may."""
    if leg.since_open < limits.no_trade_first_minutes or leg.to_close < limits.no_trade_last_minutes:
        return NO_TRADE_WINDOW
    if leg.is_expiring != 0:
        return EXPIRY
    if leg.price >= 1.0 and rules.tick_size < ONE_CENT:
        # A share with the tick of prices below one dollar: above it the market takes whole cents only.
        return ONE_DOLLAR
    if limits.max_entries_per_session > 0 and leg.entries >= limits.max_entries_per_session:
        return ENTRY_LIMIT
    if leg.order_units < 1:
        return RISK_BUDGET
    if leg.order_units > max(1, leg.volume // 4):
        # An order of more than a quarter of the bar would walk the simulated book.
        return THIN_VOLUME
    return APPROVED


@kernel
def review_all(legs, targets, rules, limits, account):  # type: ignore[no-untyped-def]
    """Review all instruments, one by one and together.

    Parameters
    ----------
    legs : `rl_strategies.accounting.position.LEG`[K]
        Receive the answers.
    targets : int64[K]
    rules : `rl_strategies.decision.rules.RULES`[K]
    limits, account : records
    """
    entering = False
    for k in range(len(targets)):
        review_one(legs[k], targets[k], rules[k], limits, account.halted)
        entering = entering or is_entry(legs[k])
    if entering:
        fit_portfolio(legs, rules, limits, max(0.0, account.equity))


@kernel
def write_mask(out, start, legs, rules, limits, halted):  # type: ignore[no-untyped-def]
    """Write which targets each leg by itself would be granted: 1 or 0 for short, flat and long, leg after leg.

    At least one is granted. Limits of the portfolio mask nothing: they depend on the other targets.
    """
    at = start
    for k in range(len(legs)):
        for target in range(-1, 2):
            review_one(legs[k], target, rules[k], limits, halted)
            out[at] = 1.0 if legs[k].side == target else 0.0
            at += 1


@kernel
def is_entry(leg):  # type: ignore[no-untyped-def]
    """Whether the answer opens a position."""
    return leg.side != 0 and leg.side != side_of_units(leg.units)


@kernel
def refuse(leg, reason):  # type: ignore[no-untyped-def]
    """Refuse an approved entry: the leg goes flat."""
    leg.side = 0
    leg.order_units = 0
    leg.reason = reason


@kernel
def concentrate(leg, one_unit_usd, limits, equity):  # type: ignore[no-untyped-def]
    """Scale one entry down to the concentration limit."""
    if limits.max_concentration > 0.0:
        leg.order_units = min(leg.order_units, math.floor(limits.max_concentration * equity / one_unit_usd))
        if leg.order_units < 1:
            refuse(leg, CONCENTRATION)


@kernel
def fit_portfolio(legs, rules, limits, equity):  # type: ignore[no-untyped-def]
    """Scale entries down to the concentration and gross limits; refuse those beyond the net and leverage limits."""
    held, net, wanted = 0.0, 0.0, 0.0
    for k in range(len(legs)):
        one_unit_usd = legs[k].price * rules[k].multiplier
        if is_entry(legs[k]):
            concentrate(legs[k], one_unit_usd, limits, equity)
            wanted += legs[k].order_units * one_unit_usd
        elif legs[k].side != 0:
            held += abs(legs[k].units) * one_unit_usd
            net += legs[k].units * one_unit_usd
    room = max(0.0, limits.max_gross_exposure * equity - held)
    if limits.max_gross_exposure > 0.0 and wanted > room:
        scale_entries(legs, room / wanted)
    gross = held
    for k in range(len(legs)):
        if is_entry(legs[k]):
            notional = legs[k].order_units * legs[k].price * rules[k].multiplier
            after = net + legs[k].side * notional
            if limits.max_net_exposure > 0.0 and abs(after) > max(abs(net), limits.max_net_exposure * equity):
                refuse(legs[k], NET_EXPOSURE)
            elif limits.max_leverage > 0.0 and gross + notional > limits.max_leverage * equity:
                refuse(legs[k], LEVERAGE)
            else:
                gross += notional
                net = after


@kernel
def scale_entries(legs, factor):  # type: ignore[no-untyped-def]
    """Scale the units of every entry, rounded down; refuse an entry with none left."""
    for k in range(len(legs)):
        if is_entry(legs[k]):
            legs[k].order_units = math.floor(legs[k].order_units * factor)
            if legs[k].order_units < 1:
                refuse(legs[k], GROSS_EXPOSURE)

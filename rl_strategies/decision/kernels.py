"""Kernels that Python calls for the decision core: they take arrays of records, never single records.

Passing a record to numba from Python costs about 9 µs, an array of records 0.2 µs, one bound to the kernel
(`catalogs.compiled.bound`) nearly nothing. Reading a field of a record in Python costs 6 µs, of a column 0.05 µs.
"""

from catalogs.bars import price_from_ticks
from catalogs.compiled import kernel
from rl_strategies.accounting.position import begin_session, book_fill, clear_leg, side_of_units, unrealized_usd
from rl_strategies.decision.barriers import barrier_ticks
from rl_strategies.decision.observation import write_account, write_position
from rl_strategies.risk.overlay import review_all, update_halt, write_mask


@kernel
def quote_bar(  # type: ignore[no-untyped-def]
    legs, k, rules, last_ns, values, atr, session, observed, ts_ns, close_ticks, volume
):
    """Take a closed bar into leg ``k``: its quote, and one more bar of age for an open position.

    ``last_ns`` int64[K] are the close times of the last bars; ``atr`` is an index into ``values``, the features;
    ``session`` holds `catalogs.sessions.SESSION_COLUMNS`; ``observed``, float32, receives the first features.
    """
    last_ns[k] = ts_ns
    for j in range(observed.shape[0]):
        observed[j] = values[j]
    leg = legs[k]
    leg.close_ticks = close_ticks
    leg.price = price_from_ticks(close_ticks, rules[k].tick_raw)
    leg.atr = values[atr]
    leg.volume = volume
    leg.since_open = session[1]
    leg.to_close = session[2]
    if leg.units != 0:
        leg.age_bars += 1


@kernel
def mark(accounts, legs, rules):  # type: ignore[no-untyped-def]
    """Equity: cash and open positions at their last closes, USD."""
    equity = accounts[0].balance_cents / 100.0
    for k in range(len(legs)):
        equity += unrealized_usd(legs[k], legs[k].price, rules[k].multiplier)
    return equity


@kernel
def observe(accounts, legs, rules, limits, out, observed):  # type: ignore[no-untyped-def]
    """Write the observation except its features, for which it leaves ``observed`` entries per leg."""
    at = 0
    for k in range(len(legs)):
        at = write_position(out, at + observed, legs[k], rules[k], limits[0], len(legs) > 1)
    at = write_account(out, at, legs, rules, limits[0], accounts[0])
    if at < len(out):
        write_mask(out, at, legs, rules, limits[0], accounts[0].halted)


@kernel
def look(  # type: ignore[no-untyped-def]
    accounts, legs, rules, limits, last_ns, hours_ns, starting_usd, observation, observed, now_ns
):
    """Update legs, equity, halts and ruin for the decision at ``now_ns``, then `observe`; returns whether ruined.

    ``last_ns`` int64[K] are the close times of the last bars, ``hours_ns`` int64[K, 2] opening and closing times.
    """
    for k in range(len(legs)):
        legs[k].is_missing = last_ns[k] != now_ns
        legs[k].is_open = hours_ns[k, 0] < now_ns and now_ns < hours_ns[k, 1]
        legs[k].is_expiring = now_ns > rules[k].last_entry_ns
    account = accounts[0]
    account.equity = mark(accounts, legs, rules)
    update_halt(account, limits[0])
    if account.equity <= limits[0].ruin * starting_usd:
        account.ruined = 1
    observe(accounts, legs, rules, limits, observation, observed)
    return account.ruined


@kernel
def review(accounts, legs, rules, limits, targets, answers):  # type: ignore[no-untyped-def]
    """`rl_strategies.risk.overlay.review_all`; ``answers``, int64[K, 3], are side, units and reason of each leg."""
    review_all(legs, targets, rules, limits[0], accounts[0])
    for k in range(len(legs)):
        answers[k, 0] = legs[k].side
        answers[k, 1] = legs[k].order_units
        answers[k, 2] = legs[k].reason


@kernel
def take_fill(accounts, legs, rules, k, units, price_ticks, commission_cents):  # type: ignore[no-untyped-def]
    """Book a fill of leg ``k``; its barriers end with the position."""
    book_fill(accounts[0], legs[k], rules[k], units, price_ticks, commission_cents)
    if legs[k].units == 0:
        legs[k].stop_ticks = 0
        legs[k].take_profit_ticks = 0


@kernel
def lay_stop_loss(legs, k, rules, entry_ticks, market_ticks):  # type: ignore[no-untyped-def]
    """Stop loss of leg ``k`` in ticks, from its entry; 0 if none is configured."""
    leg, rule = legs[k], rules[k]
    side = side_of_units(leg.units)
    leg.stop_ticks = barrier_ticks(
        rule.stop_unit, rule.stop_value, -side, entry_ticks, market_ticks, rule.tick_size, leg.atr
    )
    return leg.stop_ticks


@kernel
def lay_take_profit(legs, k, rules, entry_ticks, market_ticks):  # type: ignore[no-untyped-def]
    """Take profit of leg ``k`` in ticks, from its entry; 0 if none is configured."""
    leg, rule = legs[k], rules[k]
    side = side_of_units(leg.units)
    leg.take_profit_ticks = barrier_ticks(
        rule.take_profit_unit, rule.take_profit_value, side, entry_ticks, market_ticks, rule.tick_size, leg.atr
    )
    return leg.take_profit_ticks


@kernel
def clear(legs, k):  # type: ignore[no-untyped-def]
    """Reset leg ``k`` to before its first fill."""
    clear_leg(legs[k])


@kernel
def start_session(accounts, legs, rules):  # type: ignore[no-untyped-def]
    """Start a trading day: entries, losses and peaks count from here."""
    for k in range(len(legs)):
        legs[k].entries = 0
    begin_session(accounts[0], mark(accounts, legs, rules))

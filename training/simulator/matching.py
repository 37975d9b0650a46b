"""Matching of one instrument's bar against one lane's orders, tick by tick, as the engine does it.

Rules of nautilus_trader 1.231 that are repeated here: a tick equal to the last price is skipped; each tick quotes
a quarter of the bar's volume (the close the rest), at least one unit; what a market or stop order wants beyond that
fills one tick worse; a stop fills at its trigger, or at the open where the bar gapped through it; a limit fills at its
own price, beyond the quoted size only when it is traded through. Slippage worsens market orders and stops
(`rl_strategies.decision.slippage`), or every fill by a tick (``slippage_ticks``).
"""

from catalogs.compiled import kernel
from rl_strategies.accounting.commission import fill_commission_cents
from rl_strategies.accounting.position import book_fill, side_of_units
from rl_strategies.accounting.record import FILL_REASONS, ORDER_KINDS
from rl_strategies.decision.barriers import barrier_ticks
from rl_strategies.decision.slippage import adverse_ticks

MARKET, STOP, LIMIT = (ORDER_KINDS.index(kind) for kind in ("market", "stop", "limit"))
ENTRY, SIGNAL, REVERSE, STOP_LOSS, TAKE_PROFIT, TIME, END, HALT, RUIN = (
    FILL_REASONS.index(reason)
    for reason in (
        "entry",
        "signal",
        "reverse",
        "stop_loss",
        "take_profit",
        "time_limit",
        "end_of_session",
        "risk_halt",
        "ruin",
    )
)


@kernel
def tick_sizes(volume):  # type: ignore[no-untyped-def]
    """Units quoted on the first three ticks of a bar and on its close."""
    quarter = max(1, volume // 4)
    return quarter, max(1, volume - 3 * quarter)


@kernel
def high_comes_first(adaptive, open_, high, low):  # type: ignore[no-untyped-def]
    """Whether the bar's high is visited before its low."""
    return adaptive == 0 or abs(high - open_) < abs(low - open_)


@kernel
def book_sizes(volume, open_, high, low, close, adaptive, at_open, sizes):  # type: ignore[no-untyped-def]
    """Write into ``sizes`` (int64[n]) the units quoted at each bar's close, by the last tick that moved the price.

    With ``at_open`` every bar's opening trade quotes anew, even at an unchanged price.
    """
    size, last = 1, open_[0] - 1
    for i in range(len(close)):
        quarter, rest = tick_sizes(volume[i])
        if at_open or open_[i] != last:
            size, last = quarter, open_[i]
        high_first = high_comes_first(adaptive, open_[i], high[i], low[i])
        for visit in range(2):
            if (visit == 0) == high_first:
                if high[i] > last:
                    size, last = quarter, high[i]
            elif low[i] < last:
                size, last = quarter, low[i]
        if close[i] != last:
            size, last = rest, close[i]
        sizes[i] = size


@kernel
def slip(lane, rules, slips):  # type: ignore[no-untyped-def]
    """Adverse ticks of the next fill under ``slippage_ticks``; drawn from the shared stream if they are random."""
    if rules.slippage_ticks == 0 or len(slips) == 1:
        return rules.slippage_ticks
    drawn = slips[lane.draws % len(slips)]
    lane.draws += 1
    return rules.slippage_ticks if drawn else 0


@kernel
def execute(lane, leg, rules, fills, ts_ns, units, price_ticks, filled_before, kind, trigger_ticks, reason):  # type: ignore[no-untyped-def]
    """One fill of signed ``units``: realise PnL, charge commission, change the position, record the fill."""
    commission = fill_commission_cents(rules.rate_micros, rules.minimum_cents, filled_before, abs(units))
    book_fill(lane, leg, rules, units, price_ticks, commission)
    if leg.fill_count < len(fills):
        fill = fills[leg.fill_count]
        fill.ts_ns = ts_ns
        fill.units = units
        fill.price_ticks = price_ticks
        fill.commission_cents = commission
        fill.kind = kind
        fill.trigger_ticks = trigger_ticks
        fill.reason = reason
    leg.fill_count += 1


@kernel
def take_book(lane, leg, rules, fills, slips, ts_ns, units, price_ticks, size, kind, trigger_ticks, reason):  # type: ignore[no-untyped-def]
    """Market order or triggered stop: ``size`` units at the price, the rest one tick worse. Returns the last price."""
    direction = 1 if units > 0 else -1
    at_touch = min(abs(units), size)
    worse = adverse_ticks(rules, leg.session_open_ns, ts_ns, price_ticks, direction)
    price = price_ticks + direction * (worse + slip(lane, rules, slips))
    execute(lane, leg, rules, fills, ts_ns, direction * at_touch, price, 0, kind, trigger_ticks, reason)
    rest = abs(units) - at_touch
    if rest > 0:
        price += direction
        execute(lane, leg, rules, fills, ts_ns, direction * rest, price, at_touch, kind, trigger_ticks, reason)
    return price


@kernel
def clear_barriers(leg):  # type: ignore[no-untyped-def]
    """Cancel both barriers."""
    leg.stop_ticks = 0
    leg.take_profit_ticks = 0
    leg.take_profit_filled = 0


@kernel
def fill_take_profit(lane, leg, rules, fills, slips, ts_ns, price_ticks, size):  # type: ignore[no-untyped-def]
    """Take profit touched or traded through: fills at its own price, beyond ``size`` only if traded through."""
    side, take_profit = side_of_units(leg.units), leg.take_profit_ticks
    at_touch = min(abs(leg.units), size)
    price = take_profit - side * slip(lane, rules, slips)
    filled = leg.take_profit_filled
    execute(lane, leg, rules, fills, ts_ns, -side * at_touch, price, filled, LIMIT, take_profit, TAKE_PROFIT)
    filled += at_touch
    rest = abs(leg.units)
    if rest > 0 and price_ticks != take_profit:
        execute(lane, leg, rules, fills, ts_ns, -side * rest, take_profit, filled, LIMIT, take_profit, TAKE_PROFIT)
    leg.take_profit_filled = filled
    if leg.units == 0:
        clear_barriers(leg)


@kernel
def match_tick(lane, leg, rules, fills, slips, ts_ns, price_ticks, size, is_gap):  # type: ignore[no-untyped-def]
    """Match one tick against the resting barriers; with ``is_gap`` a stop fills at the tick, not at its trigger."""
    side = side_of_units(leg.units)
    if side == 0:
        return
    stop = leg.stop_ticks
    if stop != 0 and (price_ticks - stop) * side <= 0:
        clear_barriers(leg)
        reference = price_ticks if is_gap else stop
        take_book(lane, leg, rules, fills, slips, ts_ns, -leg.units, reference, size, STOP, stop, STOP_LOSS)
    elif leg.take_profit_ticks != 0 and (price_ticks - leg.take_profit_ticks) * side >= 0:
        fill_take_profit(lane, leg, rules, fills, slips, ts_ns, price_ticks, size)


@kernel
def match_bar(lane, leg, rules, fills, slips, bar, last):  # type: ignore[no-untyped-def]
    """Match a bar against a leg that holds a position; ``last`` is the price before it, in ticks."""
    ts_ns = bar.ts_ns
    quarter, rest = tick_sizes(bar.volume)
    if bar.open != last:
        match_tick(lane, leg, rules, fills, slips, ts_ns, bar.open, quarter, True)
        last = bar.open
    high_first = high_comes_first(rules.adaptive, bar.open, bar.high, bar.low)
    for visit in range(2):
        if (visit == 0) == high_first:
            if bar.high > last:
                match_tick(lane, leg, rules, fills, slips, ts_ns, bar.high, quarter, False)
                last = bar.high
        elif bar.low < last:
            match_tick(lane, leg, rules, fills, slips, ts_ns, bar.low, quarter, False)
            last = bar.low
    if bar.close != last:
        match_tick(lane, leg, rules, fills, slips, ts_ns, bar.close, rest, False)


@kernel
def close_position(lane, leg, rules, fills, slips, price_ticks, size, ts_ns, reason):  # type: ignore[no-untyped-def]
    """Cancel the barriers and close the position at market against ``size`` units quoted at the price."""
    clear_barriers(leg)
    if leg.units != 0:
        take_book(lane, leg, rules, fills, slips, ts_ns, -leg.units, price_ticks, size, MARKET, 0, reason)


@kernel
def open_position(lane, leg, rules, fills, slips, price_ticks, size, ts_ns, units):  # type: ignore[no-untyped-def]
    """Market order of signed ``units``; barriers are placed from its fill price with the leg's present ATR."""
    price = take_book(lane, leg, rules, fills, slips, ts_ns, units, price_ticks, size, MARKET, 0, ENTRY)
    side, atr, tick = side_of_units(units), leg.atr, rules.tick_size
    leg.stop_ticks = barrier_ticks(rules.stop_unit, rules.stop_value, -side, price, price_ticks, tick, atr)
    leg.take_profit_ticks = barrier_ticks(
        rules.take_profit_unit, rules.take_profit_value, side, price, price_ticks, tick, atr
    )


@kernel
def change_side(lane, leg, rules, fills, slips, price_ticks, size, ts_ns, side, units, reason):  # type: ignore[no-untyped-def]
    """Exit the held side with ``reason`` and enter ``side``, if they differ."""
    held = side_of_units(leg.units)
    if side == held:
        return
    if held != 0:
        close_position(lane, leg, rules, fills, slips, price_ticks, size, ts_ns, reason)
    if side != 0:
        open_position(lane, leg, rules, fills, slips, price_ticks, size, ts_ns, side * units)


@kernel
def trade_at_open(lane, leg, rules, fills, slips, bar, ts_ns):  # type: ignore[no-untyped-def]
    """The bar's opening trade: match barriers, then send the waiting order. Returns whether one was sent."""
    quarter, _ = tick_sizes(bar.volume)
    match_tick(lane, leg, rules, fills, slips, ts_ns, bar.open, quarter, True)
    if leg.waiting == 0:
        return False
    leg.waiting = 0
    side, units, reason = leg.waiting_side, leg.waiting_units, leg.waiting_reason
    sent = side != side_of_units(leg.units)
    change_side(lane, leg, rules, fills, slips, bar.open, quarter, ts_ns, side, units, reason)
    return sent

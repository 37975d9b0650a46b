"""The training market: NautilusTrader's bar execution of one instrument, repeated exactly, many lanes at a time.

What is repeated (nautilus_trader 1.231, ``backtest/engine.pyx``, L1 book, netting, margin account): a bar becomes
trade ticks open, high, low, close (or low before high), each with a quarter of the bar's volume and the close with
the rest; a market order sent on a bar's close fills at that close; barriers rest at the venue from the entry's fill
on. Prices are integer ticks and cash integer cents, so equality with the engine is equality, not closeness.

A lane is one account walking through one episode (a session of one instrument). A step acts on the close of the
lane's bar and then lets the next bar happen.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import price_from_ticks
from catalogs.compiled import kernel
from rl_strategies.account import realized_cents
from rl_strategies.barriers import barrier_ticks
from rl_strategies.commission import fill_commission_cents
from rl_strategies.observation import write_position
from rl_strategies.position import POSITION_FIELDS, apply_fill, side_of_units
from rl_strategies.risk.overlay import APPROVED, REASONS, TIME_LIMIT, review
from rl_strategies.telemetry import FILL_REASONS, ORDER_KINDS

MARKET, STOP, LIMIT = (ORDER_KINDS.index(kind) for kind in ("market", "stop", "limit"))
ENTRY, SIGNAL, REVERSE, STOP_LOSS, TAKE_PROFIT, TIME, END = (
    FILL_REASONS.index(reason)
    for reason in ("entry", "signal", "reverse", "stop_loss", "take_profit", "time_limit", "end_of_session")
)

LANE = np.dtype(
    (
        np.record,
        [
            *POSITION_FIELDS,
            ("balance_cents", np.int64),
            ("equity", np.float64),
            ("row", np.int64),  # bar whose close is acted upon next
            ("episode", np.int64),
            ("target_filled", np.int64),  # units of the resting take profit that are filled already
            ("fills", np.int64),  # since the lane's reset
            ("refused", np.int64, (len(REASONS),)),
        ],
    )
)

FILL = np.dtype(
    (
        np.record,
        [
            ("ts_ns", np.int64),
            ("units", np.int64),
            ("price_ticks", np.int64),
            ("commission_cents", np.int64),
            ("kind", np.int64),
            ("trigger_ticks", np.int64),
            ("reason", np.int64),
        ],
    )
)


class Market(NamedTuple):
    """Bars and what is computed from them once, shared by every lane; n rows.

    Attributes
    ----------
    ts_ns, open, high, low, close, volume : int64[n]
        As in `catalogs.bars.BarSeries`.
    book_size : int64[n]
        Units quoted at the close, as the engine's book holds them after the bar.
    features : float32[n, k]
        Observed features.
    atr : float64[n]
        Average true range in price units.
    time_left : float64[n]
        `rl_strategies.position.session_time_left`.
    """

    ts_ns: NDArray[np.int64]
    open: NDArray[np.int64]
    high: NDArray[np.int64]
    low: NDArray[np.int64]
    close: NDArray[np.int64]
    volume: NDArray[np.int64]
    book_size: NDArray[np.int64]
    features: NDArray[np.float32]
    atr: NDArray[np.float64]
    time_left: NDArray[np.float64]


class Episodes(NamedTuple):
    """Sessions that can be walked; m rows.

    Attributes
    ----------
    first, last : int64[m]
        First and last row on whose close the policy decides.
    flat_ns : int64[m]
        When positions are closed.
    flat_row : int64[m]
        The bar that closes at ``flat_ns``; -1 where the data has none, then the closing order meets the book of
        ``last``.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    flat_ns: NDArray[np.int64]
    flat_row: NDArray[np.int64]


@kernel
def tick_sizes(volume):  # type: ignore[no-untyped-def]
    """Units quoted on the first three ticks of a bar and on its close."""
    quarter = max(1, volume // 4)
    return quarter, max(1, volume - 3 * quarter)


@kernel
def high_comes_first(rules, open_, high, low):  # type: ignore[no-untyped-def]
    """Whether the bar's high is visited before its low."""
    return rules.adaptive == 0 or abs(high - open_) < abs(low - open_)


@kernel
def book_sizes(volume, open_, high, low, close, adaptive_rules):  # type: ignore[no-untyped-def]
    """Units quoted at each bar's close: those of the last tick that moved the price. Shape int64[n]."""
    sizes = np.empty(len(close), np.int64)
    size, last = 1, open_[0] - 1
    for i in range(len(close)):
        quarter, rest = tick_sizes(volume[i])
        if open_[i] != last:
            size, last = quarter, open_[i]
        extremes = (
            (high[i], low[i]) if high_comes_first(adaptive_rules, open_[i], high[i], low[i]) else (low[i], high[i])
        )
        for price in extremes:
            if (price == high[i] and price > last) or (price == low[i] and price < last):
                size, last = quarter, price
        if close[i] != last:
            size, last = rest, close[i]
        sizes[i] = size
    return sizes


@kernel
def execute(lane, rules, fills, ts_ns, units, price_ticks, filled_before, kind, trigger_ticks, reason):  # type: ignore[no-untyped-def]
    """One execution of signed ``units``: realise, charge, change the position, write it down."""
    price = price_from_ticks(price_ticks, rules.tick_raw)
    lane.balance_cents += realized_cents(lane.units, lane.average_price, units, price, rules.multiplier)
    commission = fill_commission_cents(rules.rate_micros, rules.minimum_cents, filled_before, abs(units))
    lane.balance_cents -= commission
    apply_fill(lane, units, price)
    if lane.fills < len(fills):
        fill = fills[lane.fills]
        fill.ts_ns = ts_ns
        fill.units = units
        fill.price_ticks = price_ticks
        fill.commission_cents = commission
        fill.kind = kind
        fill.trigger_ticks = trigger_ticks
        fill.reason = reason
    lane.fills += 1


@kernel
def take_book(lane, rules, fills, ts_ns, units, price_ticks, size, kind, trigger_ticks, reason):  # type: ignore[no-untyped-def]
    """Market order or triggered stop: ``size`` units at the price, the rest one tick worse. Returns the last price."""
    direction = 1 if units > 0 else -1
    at_touch = min(abs(units), size)
    price = price_ticks + direction * rules.slippage_ticks
    execute(lane, rules, fills, ts_ns, direction * at_touch, price, 0, kind, trigger_ticks, reason)
    rest = abs(units) - at_touch
    if rest > 0:
        price += direction
        execute(lane, rules, fills, ts_ns, direction * rest, price, at_touch, kind, trigger_ticks, reason)
    return price


@kernel
def clear_barriers(lane):  # type: ignore[no-untyped-def]
    """Take both barriers from the venue."""
    lane.stop_ticks = 0
    lane.target_ticks = 0
    lane.target_filled = 0


@kernel
def fill_target(lane, rules, fills, ts_ns, price_ticks, size):  # type: ignore[no-untyped-def]
    """Take profit touched or traded through: always its own price; beyond ``size`` only when traded through."""
    side = side_of_units(lane.units)
    target = lane.target_ticks
    at_touch = min(abs(lane.units), size)
    price = target - side * rules.slippage_ticks
    execute(lane, rules, fills, ts_ns, -side * at_touch, price, lane.target_filled, LIMIT, target, TAKE_PROFIT)
    lane.target_filled += at_touch
    rest = abs(lane.units)
    if rest > 0 and price_ticks != target:
        execute(lane, rules, fills, ts_ns, -side * rest, target, lane.target_filled, LIMIT, target, TAKE_PROFIT)
    if lane.units == 0:
        clear_barriers(lane)


@kernel
def match_tick(lane, rules, fills, ts_ns, price_ticks, size, is_gap):  # type: ignore[no-untyped-def]
    """One tick of a bar against the resting barriers; a stop gapped through fills at the tick."""
    side = side_of_units(lane.units)
    if side == 0:
        return
    stop = lane.stop_ticks
    if stop != 0 and (price_ticks - stop) * side <= 0:
        clear_barriers(lane)
        reference = price_ticks if is_gap else stop
        take_book(lane, rules, fills, ts_ns, -lane.units, reference, size, STOP, stop, STOP_LOSS)
    elif lane.target_ticks != 0 and (price_ticks - lane.target_ticks) * side >= 0:
        fill_target(lane, rules, fills, ts_ns, price_ticks, size)


@kernel
def match_bar(lane, rules, market, row, fills):  # type: ignore[no-untyped-def]
    """Let bar ``row`` happen to a lane that holds a position."""
    ts_ns, last = market.ts_ns[row], market.close[row - 1]
    open_, high, low, close = market.open[row], market.high[row], market.low[row], market.close[row]
    quarter, rest = tick_sizes(market.volume[row])
    if open_ != last:
        match_tick(lane, rules, fills, ts_ns, open_, quarter, True)
        last = open_
    if high_comes_first(rules, open_, high, low):
        if high > last:
            match_tick(lane, rules, fills, ts_ns, high, quarter, False)
            last = high
        if low < last:
            match_tick(lane, rules, fills, ts_ns, low, quarter, False)
            last = low
    else:
        if low < last:
            match_tick(lane, rules, fills, ts_ns, low, quarter, False)
            last = low
        if high > last:
            match_tick(lane, rules, fills, ts_ns, high, quarter, False)
            last = high
    if close != last:
        match_tick(lane, rules, fills, ts_ns, close, rest, False)


@kernel
def close_position(lane, rules, market, row, fills, ts_ns, reason):  # type: ignore[no-untyped-def]
    """Market order out of the position against the book of ``row``; barriers go first."""
    clear_barriers(lane)
    if lane.units != 0:
        take_book(
            lane,
            rules,
            fills,
            ts_ns,
            -lane.units,
            market.close[row],
            market.book_size[row],
            MARKET,
            0,
            reason,
        )


@kernel
def open_position(lane, rules, market, row, fills, side):  # type: ignore[no-untyped-def]
    """Market order into ``side``; the barriers are laid from its fill price."""
    ts_ns, close, size = market.ts_ns[row], market.close[row], market.book_size[row]
    price = take_book(lane, rules, fills, ts_ns, side * rules.units, close, size, MARKET, 0, ENTRY)
    atr = market.atr[row]
    lane.stop_ticks = barrier_ticks(rules.stop_unit, rules.stop_value, -side, price, rules.tick_size, atr)
    lane.target_ticks = barrier_ticks(rules.target_unit, rules.target_value, side, price, rules.tick_size, atr)


@kernel
def act(lane, rules, market, fills, target):  # type: ignore[no-untyped-def]
    """Turn the policy's target into orders on the close of the lane's row."""
    row = lane.row
    side = side_of_units(lane.units)
    approved, reason = review(
        target,
        side,
        lane.age_bars,
        rules.time_limit_bars,
        lane.entries,
        rules.max_entries,
        rules.units,
        market.volume[row],
    )
    if reason != APPROVED:
        lane.refused[reason] += 1
    if approved == side:
        return
    if side != 0:
        why = TIME if reason == TIME_LIMIT else (REVERSE if approved != 0 else SIGNAL)
        close_position(lane, rules, market, row, fills, market.ts_ns[row], why)
    if approved != 0:
        open_position(lane, rules, market, row, fills, approved)


@kernel
def mark(lane, rules, market):  # type: ignore[no-untyped-def]
    """Cash plus the position at the close of the lane's row, USD."""
    price = price_from_ticks(market.close[lane.row], rules.tick_raw)
    equity = lane.balance_cents / 100.0
    if lane.units != 0:
        equity += lane.units * (price - lane.average_price) * rules.multiplier
    return equity


@kernel
def observe(lane, rules, market, out):  # type: ignore[no-untyped-def]
    """Write the lane's observation into ``out`` (float32[k + p])."""
    row = lane.row
    features = market.features.shape[1]
    for j in range(features):
        out[j] = market.features[row, j]
    close = market.close[row]
    price = price_from_ticks(close, rules.tick_raw)
    write_position(out, features, lane, rules, close, price, market.atr[row], market.time_left[row])


@kernel
def begin(lane, rules, market, episodes, episode, balance_cents, out):  # type: ignore[no-untyped-def]
    """Put a lane, flat, on the first bar of an episode and write its observation."""
    lane.units = 0
    lane.age_bars = 0
    lane.entries = 0
    lane.average_price = 0.0
    lane.balance_cents = balance_cents
    lane.row = episodes.first[episode]
    lane.episode = episode
    lane.fills = 0
    lane.refused[:] = 0
    clear_barriers(lane)
    lane.equity = balance_cents / 100.0
    observe(lane, rules, market, out)


@kernel
def finish(lane, rules, market, episodes, fills):  # type: ignore[no-untyped-def]
    """Close the session after its last decision: at the bar of the closing time, or at the last book there was."""
    flat_row = episodes.flat_row[lane.episode]
    if flat_row >= 0:
        if lane.units != 0:
            match_bar(lane, rules, market, flat_row, fills)
        lane.row = flat_row
    close_position(lane, rules, market, lane.row, fills, episodes.flat_ns[lane.episode], END)


@kernel
def step_lane(lane, rules, market, episodes, fills, target, out):  # type: ignore[no-untyped-def]
    """One decision: act, let the next bar happen, mark, observe. Returns whether the episode is over."""
    act(lane, rules, market, fills, target)
    over = lane.row == episodes.last[lane.episode]
    if over:
        finish(lane, rules, market, episodes, fills)
    else:
        lane.row += 1
        if lane.units != 0:
            match_bar(lane, rules, market, lane.row, fills)
            if lane.units != 0:
                lane.age_bars += 1
    lane.equity = mark(lane, rules, market)
    observe(lane, rules, market, out)
    return over


@kernel
def begin_lanes(lanes, which, rules, market, episodes, chosen, out):  # type: ignore[no-untyped-def]
    """`begin` for the lanes where ``which`` (bool[lanes]) is set; ``chosen`` int64[lanes] are their episodes."""
    for i in range(len(lanes)):
        if which[i]:
            begin(lanes[i], rules[0], market, episodes, chosen[i], rules[0].starting_cents, out[i])


@kernel
def step_lanes(lanes, which, rules, market, episodes, fills, targets, out, over):  # type: ignore[no-untyped-def]
    """`step_lane` for the lanes where ``which`` is set; ``over`` (bool[lanes]) tells whose episode ended."""
    for i in range(len(lanes)):
        over[i] = which[i] and step_lane(lanes[i], rules[0], market, episodes, fills[i], targets[i], out[i])

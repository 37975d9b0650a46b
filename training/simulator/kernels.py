"""The training market: NautilusTrader's bar execution, repeated exactly, many lanes at a time.

What is repeated (nautilus_trader 1.231, ``backtest/engine.pyx``, L1 book, netting, margin account): a bar becomes
trade ticks open, high, low, close (or low before high), each with a quarter of the bar's volume and the close with
the rest; a market order sent on a bar's close fills at that close; barriers rest at the venue from the entry's fill
on. Prices are integer ticks and cash integer cents, so equality with the engine is equality, not closeness.

A lane is one account walking through one episode: a trading day of one or many instruments. A step acts on the closes
of the present time and then lets the bars of the next time happen. The matching of one instrument's bar lies in
`training.simulator.matching`.
"""

import numpy as np

from catalogs.bars import price_from_ticks
from catalogs.compiled import inlined, kernel
from rl_strategies.accounting.position import begin_session, clear_leg, side_of_units, unrealized_usd
from rl_strategies.decision.actions import side_of_action
from rl_strategies.decision.observation import write_account, write_position
from rl_strategies.risk.overlay import (
    APPROVED,
    DAILY_DRAWDOWN,
    DAILY_LOSS,
    TIME_LIMIT,
    review_all,
    update_halt,
    write_mask,
)
from training.simulator.matching import (
    END,
    HALT,
    REVERSE,
    RUIN,
    SIGNAL,
    TIME,
    change_side,
    close_position,
    fill_target,
    match_bar,
    tick_sizes,
    trade_at_open,
)

END_OF_TIME_NS = np.iinfo(np.int64).max


@inlined
def look(world, lane, legs):  # type: ignore[no-untyped-def]
    """Bring a lane's legs to the time where it stands, mark its equity."""
    now_ns = world.time_ns[lane.at]
    equity = lane.balance_cents / 100.0
    for k in range(len(legs)):
        leg, rules, bar = legs[k], world.rules[k], world.bars[world.seen[lane.at, k]]
        leg.close_ticks = bar.close
        leg.price = price_from_ticks(bar.close, rules.tick_raw)
        leg.atr = bar.atr
        leg.volume = bar.volume
        leg.since_open = bar.since_open
        leg.to_close = bar.to_close
        leg.is_missing = world.row[lane.at, k] < 0
        leg.is_open = world.open_ns[lane.episode, k] < now_ns and now_ns < world.flat_ns[lane.episode, k]
        equity += unrealized_usd(leg, leg.price, rules.multiplier)
    lane.equity = equity


@inlined
def observe(world, lane, legs, out):  # type: ignore[no-untyped-def]
    """Write a lane's observation of the last `look` into ``out`` (float32[n])."""
    width, limits, at = world.features.shape[1], world.limits[0], 0
    for k in range(len(legs)):
        row = world.seen[lane.at, k]
        for j in range(width):
            out[at + j] = world.features[row, j]
        at = write_position(out, at + width, legs[k], world.rules[k], limits, len(legs) > 1)
    at = write_account(out, at, legs, world.rules, limits, lane)
    if at < len(out):
        write_mask(out, at, legs, world.rules, limits, lane.halted)


@kernel
def exit_reason(leg):  # type: ignore[no-untyped-def]
    """Why the overlay's answer closes the leg."""
    if leg.reason == TIME_LIMIT:
        return TIME
    if leg.reason == DAILY_LOSS or leg.reason == DAILY_DRAWDOWN:
        return HALT
    return REVERSE if leg.side != 0 else SIGNAL


@inlined
def rematch(world, lane, legs, fills, at, done, opened, ts_ns):  # type: ignore[no-untyped-def]
    """An order of any instrument has the engine look at every resting order again.

    ``done`` legs have had their bar of time ``at``, the next up to ``opened`` its opening trade.
    """
    for k in range(len(legs)):
        if legs[k].target_filled != 0 and legs[k].units != 0:  # seldom, and the call is dear
            fill_leftovers(world, lane, legs, fills, at, done, opened, ts_ns)
            return


@kernel
def fill_leftovers(world, lane, legs, fills, at, done, opened, ts_ns):  # type: ignore[no-untyped-def]
    """What is left of a take profit that its market stands at meets the quoted size once more.

    A leg that is flat by it cancels its stop, which is an order again.
    """
    again = True
    while again:
        again = False
        for k in range(len(legs)):
            leg = legs[k]
            if leg.units == 0 or leg.target_filled == 0:
                continue
            is_opened = k >= done and k < opened and world.row[at, k] >= 0
            bar = world.bars[world.row[at, k] if is_opened else world.seen[at if k < done else at - 1, k]]
            price, size = (bar.open, tick_sizes(bar.volume)[0]) if is_opened else (bar.close, bar.book_size)
            if price == leg.target_ticks:
                has_stop = leg.stop_ticks != 0
                fill_target(lane, leg, world.rules[k], fills[k], world.slips, ts_ns, price, size)
                again = again or (leg.units == 0 and has_stop)


@inlined
def act(world, lane, legs, fills, targets):  # type: ignore[no-untyped-def]
    """Review the targets (int64[K]); execute what was approved against the present books, or have it wait."""
    review_all(legs, targets, world.rules, world.limits[0], lane)
    ts_ns = world.time_ns[lane.at] + world.settings[0].delay_ns
    orders = False
    for k in range(len(legs)):
        leg = legs[k]
        lane.refused[leg.reason] += leg.reason != APPROVED
        side, units, why = leg.side, leg.order_units, exit_reason(leg)
        if world.settings[0].at_open == 0:
            bar = world.bars[world.seen[lane.at, k]]
            orders = orders or side != side_of_units(leg.units)
            change_side(
                lane,
                leg,
                world.rules[k],
                fills[k],
                world.slips,
                bar.close,
                bar.book_size,
                ts_ns,
                side,
                units,
                why,
            )
        else:
            leg.waiting = side != side_of_units(leg.units)
            leg.waiting_side, leg.waiting_units, leg.waiting_reason = side, units, why
    if orders:
        rematch(world, lane, legs, fills, lane.at, len(legs), len(legs), ts_ns)


@inlined
def close_at_last(world, lane, leg, k, fills, ts_ns, reason):  # type: ignore[no-untyped-def]
    """Close a leg against the book after its last bar; nothing waits any more."""
    bar = world.bars[world.seen[lane.at, k]]
    leg.waiting = 0
    close_position(lane, leg, world.rules[k], fills, world.slips, bar.close, bar.book_size, ts_ns, reason)


@inlined
def close_before(world, lane, legs, fills, until_ns):  # type: ignore[no-untyped-def]
    """Close what must be flat before ``until_ns``, at the last book there was; earliest first."""
    while True:
        now_ns, orders = until_ns, False
        for k in range(len(legs)):
            if legs[k].units != 0 or legs[k].waiting != 0:
                now_ns = min(now_ns, world.flat_ns[lane.episode, k])
        if now_ns == until_ns:
            return
        for k in range(len(legs)):
            if world.flat_ns[lane.episode, k] == now_ns and (legs[k].units != 0 or legs[k].waiting != 0):
                orders = orders or legs[k].units != 0
                close_at_last(world, lane, legs[k], k, fills[k], now_ns, END)
        if orders:
            rematch(world, lane, legs, fills, lane.at, len(legs), len(legs), now_ns)


@inlined
def happen(world, lane, legs, fills, at):  # type: ignore[no-untyped-def]
    """Let the bars of time ``at`` happen, then close what must be flat at that very time."""
    at_open = world.settings[0].at_open != 0
    for k in range(len(legs)):
        row, leg = world.row[at, k], legs[k]
        if at_open and row >= 0 and (leg.units != 0 or leg.waiting != 0):
            bar = world.bars[row]
            open_ns = bar.ts_ns - world.settings[0].open_lead_ns
            has_both = leg.stop_ticks != 0 and leg.target_ticks != 0
            sent = trade_at_open(lane, leg, world.rules[k], fills[k], world.slips, bar, open_ns)
            if sent or (has_both and leg.units == 0):
                rematch(world, lane, legs, fills, at, 0, k + 1, open_ns)
        leg.waiting = 0
    for k in range(len(legs)):
        row, leg = world.row[at, k], legs[k]
        if row >= 0 and leg.units != 0:
            bar = world.bars[row]
            last = bar.open if at_open else world.bars[row - 1].close
            has_both = leg.stop_ticks != 0 and leg.target_ticks != 0
            match_bar(lane, leg, world.rules[k], fills[k], world.slips, bar, last)
            if leg.units != 0:
                leg.age_bars += 1
            elif has_both:  # the other barrier is cancelled
                rematch(world, lane, legs, fills, at, k + 1, len(legs) if at_open else 0, bar.ts_ns)
    lane.at = at
    close_before(world, lane, legs, fills, world.time_ns[at] + 1)


@inlined
def advance(world, lane, legs, fills):  # type: ignore[no-untyped-def]
    """Go to the next time; returns whether the session is over. Every position is closed then."""
    episode = world.episodes[lane.episode]
    over = lane.at == episode.last
    following = episode.closing if over else lane.at + 1
    close_before(world, lane, legs, fills, world.time_ns[following] if following >= 0 else END_OF_TIME_NS)
    if following >= 0:
        happen(world, lane, legs, fills, following)
    return over


@inlined
def settle(world, lane, legs, fills):  # type: ignore[no-untyped-def]
    """Mark the lane and check its limits; returns whether it is ruined, and then flat."""
    look(world, lane, legs)
    update_halt(lane, world.limits[0])
    if lane.equity > world.limits[0].ruin * (world.settings[0].starting_cents / 100.0):
        return False
    lane.ruined = 1
    ts_ns = world.time_ns[lane.at] + world.settings[0].delay_ns
    for k in range(len(legs)):
        close_at_last(world, lane, legs[k], k, fills[k], ts_ns, RUIN)
    look(world, lane, legs)
    return True


@inlined
def step_lane(world, lane, legs, fills, targets, out):  # type: ignore[no-untyped-def]
    """One decision: act, let the next bars happen, mark, observe. Returns whether the episode is over."""
    lane.steps += 1
    act(world, lane, legs, fills, targets)
    over = advance(world, lane, legs, fills)
    ruined = settle(world, lane, legs, fills)
    observe(world, lane, legs, out)
    return over or ruined


@inlined
def begin_lane(world, lane, legs, episode, balance_cents, draws, out):  # type: ignore[no-untyped-def]
    """Put a lane, flat, on the first decision of an episode and write its observation."""
    lane.episode = episode
    lane.at = world.episodes[episode].first
    lane.draws = draws
    lane.steps = 0
    lane.balance_cents = balance_cents
    lane.ruined = 0
    lane.refused[:] = 0
    for k in range(len(legs)):
        clear_leg(legs[k])
    look(world, lane, legs)
    begin_session(lane, lane.equity)
    observe(world, lane, legs, out)


@kernel
def begin_lanes(world, book, which, episodes, balance_cents, draws, out):  # type: ignore[no-untyped-def]
    """`begin_lane` where ``which`` (bool[lanes]) is set; the other arguments are int64[lanes]."""
    for i in range(len(book.lanes)):
        if which[i]:
            begin_lane(world, book.lanes[i], book.legs[i], episodes[i], balance_cents[i], draws[i], out[i])


@kernel
def step_lanes(world, book, which, actions, out, over):  # type: ignore[no-untyped-def]
    """`step_lane` where ``which`` is set; ``actions`` int64[lanes, K]. Returns how many lanes ended.

    ``over`` (bool[lanes]) tells which. The actions are overwritten by the sides that they mean.
    """
    ended = 0
    for i in range(len(book.lanes)):
        over[i] = False
        if which[i]:
            for k in range(actions.shape[1]):
                actions[i, k] = side_of_action(actions[i, k])
            over[i] = step_lane(world, book.lanes[i], book.legs[i], book.fills[i], actions[i], out[i])
            ended += over[i]
    return ended

"""One decision step of the simulator: NautilusTrader's bar execution, repeated exactly, over many lanes.

The rules are those of nautilus_trader 1.231 (``backtest/engine.pyx``, L1 book, netting, margin account): a bar becomes
trade ticks open, high, low, close (or low before high), each with a quarter of the bar's volume and the close with
the rest; a market order sent on a bar's close fills at that close; barriers rest at the venue from the entry's fill
on. Prices are integer ticks and cash integer cents, so that results can equal the engine's exactly.

A lane is one account in one episode: a trading day of one or many instruments. A step acts on the closes of the present
time and then plays the bars of the next time. `training.simulator.matching` matches one instrument's bar.
"""

import numpy as np

from catalogs.bars import price_from_ticks
from catalogs.compiled import inlined, kernel
from rl_strategies.accounting.position import begin_session, clear_leg, side_of_units, unrealized_usd
from rl_strategies.decision.actions import ACTIONS, side_of_action
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
    fill_take_profit,
    match_bar,
    tick_sizes,
    trade_at_open,
)

END_OF_TIME_NS = np.iinfo(np.int64).max


@inlined
def mark_to_market(shared, lane, legs):  # type: ignore[no-untyped-def]
    """Update the legs to the lane's present time and mark its equity."""
    now_ns = shared.time_ns[lane.at]
    equity = lane.balance_cents / 100.0
    for k in range(len(legs)):
        leg, rules, bar = legs[k], shared.rules[k], shared.bars[shared.seen[lane.at, k]]
        leg.close_ticks = bar.close
        leg.price = price_from_ticks(bar.close, rules.tick_raw)
        leg.atr = bar.atr
        leg.volume = bar.volume
        leg.since_open = bar.since_open
        leg.to_close = bar.to_close
        leg.is_missing = shared.row[lane.at, k] < 0
        leg.is_open = shared.open_ns[lane.episode, k] < now_ns and now_ns < shared.flat_ns[lane.episode, k]
        leg.is_expiring = now_ns > rules.last_entry_ns
        equity += unrealized_usd(leg, leg.price, rules.multiplier)
    lane.equity = equity


@inlined
def observe(shared, lane, legs, out):  # type: ignore[no-untyped-def]
    """Write the observation after the last `mark_to_market` into ``out`` (float32[n])."""
    width, limits, at = shared.features.shape[1], shared.limits[0], 0
    for k in range(len(legs)):
        row = shared.seen[lane.at, k]
        for j in range(width):
            out[at + j] = shared.features[row, j]
        at = write_position(out, at + width, legs[k], shared.rules[k], limits, len(legs) > 1)
    at = write_account(out, at, legs, shared.rules, limits, lane)
    if at < len(out):
        write_mask(out, at, legs, shared.rules, shared.enforced[0], lane.halted)


@kernel
def exit_reason(leg):  # type: ignore[no-untyped-def]
    """Reason of an exit that the risk overlay approved or ordered."""
    if leg.reason == TIME_LIMIT:
        return TIME
    if leg.reason == DAILY_LOSS or leg.reason == DAILY_DRAWDOWN:
        return HALT
    return REVERSE if leg.side != 0 else SIGNAL


@inlined
def rematch(shared, lane, legs, fills, at, done, opened, ts_ns):  # type: ignore[no-untyped-def]
    """Match resting orders again, as the engine does after an order of any instrument.

    The first ``done`` legs have had their bar of time ``at``, the next up to ``opened`` only its opening trade.
    """
    for k in range(len(legs)):
        if legs[k].take_profit_filled != 0 and legs[k].units != 0:  # rare, and the call is expensive
            fill_leftovers(shared, lane, legs, fills, at, done, opened, ts_ns)
            return


@kernel
def fill_leftovers(shared, lane, legs, fills, at, done, opened, ts_ns):  # type: ignore[no-untyped-def]
    """Fill the rest of every touched take profit whose price is quoted now, by the quoted size.

    A leg that becomes flat cancels its stop, which is an order and starts another round.
    """
    again = True
    while again:
        again = False
        for k in range(len(legs)):
            leg = legs[k]
            if leg.units == 0 or leg.take_profit_filled == 0:
                continue
            is_opened = k >= done and k < opened and shared.row[at, k] >= 0
            bar = shared.bars[shared.row[at, k] if is_opened else shared.seen[at if k < done else at - 1, k]]
            price, size = (bar.open, tick_sizes(bar.volume)[0]) if is_opened else (bar.close, bar.book_size)
            if price == leg.take_profit_ticks:
                has_stop = leg.stop_ticks != 0
                fill_take_profit(lane, leg, shared.rules[k], fills[k], shared.slips, ts_ns, price, size)
                again = again or (leg.units == 0 and has_stop)


@inlined
def act(shared, lane, legs, fills, targets):  # type: ignore[no-untyped-def]
    """Review the targets (int64[K]); execute the approved ones at the present close, or keep them for the next open."""
    review_all(legs, targets, shared.rules, shared.enforced[0], lane)
    ts_ns = shared.time_ns[lane.at] + shared.settings[0].delay_ns
    orders = False
    for k in range(len(legs)):
        leg = legs[k]
        lane.refused[leg.reason] += leg.reason != APPROVED
        side, units, why = leg.side, leg.order_units, exit_reason(leg)
        if shared.settings[0].at_open == 0:
            bar = shared.bars[shared.seen[lane.at, k]]
            orders = orders or side != side_of_units(leg.units)
            change_side(
                lane,
                leg,
                shared.rules[k],
                fills[k],
                shared.slips,
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
        rematch(shared, lane, legs, fills, lane.at, len(legs), len(legs), ts_ns)


@inlined
def close_at_last_bar(shared, lane, leg, k, fills, ts_ns, reason):  # type: ignore[no-untyped-def]
    """Close a leg against the quote after its last bar and drop its waiting order."""
    bar = shared.bars[shared.seen[lane.at, k]]
    leg.waiting = 0
    close_position(lane, leg, shared.rules[k], fills, shared.slips, bar.close, bar.book_size, ts_ns, reason)


@inlined
def close_before(shared, lane, legs, fills, until_ns):  # type: ignore[no-untyped-def]
    """Close legs whose closing time is before ``until_ns``, against the last quote, earliest first."""
    while True:
        now_ns, orders = until_ns, False
        for k in range(len(legs)):
            if legs[k].units != 0 or legs[k].waiting != 0:
                now_ns = min(now_ns, shared.flat_ns[lane.episode, k])
        if now_ns == until_ns:
            return
        for k in range(len(legs)):
            if shared.flat_ns[lane.episode, k] == now_ns and (legs[k].units != 0 or legs[k].waiting != 0):
                orders = orders or legs[k].units != 0
                close_at_last_bar(shared, lane, legs[k], k, fills[k], now_ns, END)
        if orders:
            rematch(shared, lane, legs, fills, lane.at, len(legs), len(legs), now_ns)


@inlined
def play_bars(shared, lane, legs, fills, at):  # type: ignore[no-untyped-def]
    """Play the bars of time ``at``, then close legs whose closing time it is."""
    at_open = shared.settings[0].at_open != 0
    for k in range(len(legs)):
        row, leg = shared.row[at, k], legs[k]
        if at_open and row >= 0 and (leg.units != 0 or leg.waiting != 0):
            bar = shared.bars[row]
            open_ns = bar.ts_ns - shared.settings[0].open_lead_ns
            has_both = leg.stop_ticks != 0 and leg.take_profit_ticks != 0
            sent = trade_at_open(lane, leg, shared.rules[k], fills[k], shared.slips, bar, open_ns)
            if sent or (has_both and leg.units == 0):
                rematch(shared, lane, legs, fills, at, 0, k + 1, open_ns)
        leg.waiting = 0
    for k in range(len(legs)):
        row, leg = shared.row[at, k], legs[k]
        if row >= 0 and leg.units != 0:
            bar = shared.bars[row]
            last = bar.open if at_open else shared.bars[row - 1].close
            has_both = leg.stop_ticks != 0 and leg.take_profit_ticks != 0
            match_bar(lane, leg, shared.rules[k], fills[k], shared.slips, bar, last)
            if leg.units != 0:
                leg.age_bars += 1
            elif has_both:  # the other barrier is cancelled
                rematch(shared, lane, legs, fills, at, k + 1, len(legs) if at_open else 0, bar.ts_ns)
    lane.at = at
    close_before(shared, lane, legs, fills, shared.time_ns[at] + 1)


@inlined
def advance(shared, lane, legs, fills):  # type: ignore[no-untyped-def]
    """Go to the next time. Returns whether the session is over, with every position closed."""
    episode = shared.episodes[lane.episode]
    over = lane.at == episode.last
    following = episode.closing if over else lane.at + 1
    close_before(shared, lane, legs, fills, shared.time_ns[following] if following >= 0 else END_OF_TIME_NS)
    if following >= 0:
        play_bars(shared, lane, legs, fills, following)
    return over


@inlined
def settle(shared, lane, legs, fills):  # type: ignore[no-untyped-def]
    """Mark the lane and check its limits. Returns whether it is ruined; a ruined lane is flat."""
    mark_to_market(shared, lane, legs)
    update_halt(lane, shared.limits[0])
    if lane.equity > shared.limits[0].ruin * (shared.settings[0].starting_cents / 100.0):
        return False
    lane.ruined = 1
    ts_ns = shared.time_ns[lane.at] + shared.settings[0].delay_ns
    for k in range(len(legs)):
        close_at_last_bar(shared, lane, legs[k], k, fills[k], ts_ns, RUIN)
    mark_to_market(shared, lane, legs)
    update_halt(lane, shared.limits[0])  # by what the closing cost
    return True


@inlined
def step_lane(shared, lane, legs, fills, targets, out):  # type: ignore[no-untyped-def]
    """One decision: act, play the next bars, mark, observe. Returns whether the episode is over."""
    lane.steps += 1
    act(shared, lane, legs, fills, targets)
    over = advance(shared, lane, legs, fills)
    ruined = settle(shared, lane, legs, fills)
    observe(shared, lane, legs, out)
    return over or ruined


@inlined
def begin_lane(shared, lane, legs, episode, balance_cents, draws, out):  # type: ignore[no-untyped-def]
    """Start a flat lane at the first decision of an episode and write its observation."""
    lane.episode = episode
    lane.at = shared.episodes[episode].first
    lane.draws = draws
    lane.steps = 0
    lane.balance_cents = balance_cents
    lane.ruined = 0
    lane.refused[:] = 0
    for k in range(len(legs)):
        clear_leg(legs[k])
        legs[k].session_open_ns = shared.open_ns[episode, k]
    mark_to_market(shared, lane, legs)
    begin_session(lane, lane.equity)
    observe(shared, lane, legs, out)


@kernel
def begin_lanes(shared, state, which, episodes, balance_cents, draws, out):  # type: ignore[no-untyped-def]
    """`begin_lane` where ``which`` (bool[lanes]) is set; the other arguments are int64[lanes]."""
    for i in range(len(state.lanes)):
        if which[i]:
            begin_lane(shared, state.lanes[i], state.legs[i], episodes[i], balance_cents[i], draws[i], out[i])


@kernel
def step_lanes(shared, state, which, actions, out, over):  # type: ignore[no-untyped-def]
    """`step_lane` where ``which`` is set; ``actions`` int64[lanes, K]. Returns how many episodes ended.

    ``over`` (bool[lanes]) says which. ``actions`` is overwritten by the sides. With an action that is none nothing
    happens, and the answer is -1.
    """
    for i in range(len(state.lanes)):
        for k in range(actions.shape[1]):
            if which[i] and not (0 <= actions[i, k] < ACTIONS):
                return -1
    ended = 0
    for i in range(len(state.lanes)):
        over[i] = False
        if which[i]:
            for k in range(actions.shape[1]):
                actions[i, k] = side_of_action(actions[i, k])
            over[i] = step_lane(shared, state.lanes[i], state.legs[i], state.fills[i], actions[i], out[i])
            ended += over[i]
    return ended

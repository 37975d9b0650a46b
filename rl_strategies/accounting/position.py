"""The records of trading: one leg per instrument, one account for all of them.

Only fills change positions and cash. Simulator and strategy keep the same records and call the same kernels, so they
cannot drift apart.
"""

import numpy as np

from catalogs.bars import price_from_ticks
from catalogs.compiled import kernel
from rl_strategies.accounting.money import money_cents, realized_cents

LEG = np.dtype(
    (
        np.record,
        [
            # Position and barriers.
            ("units", np.int64),  # signed; 0 is flat
            ("age_bars", np.int64),  # bars of the instrument closed since the entry's bar
            ("entries", np.int64),  # entries from flat in this session
            ("average_price", np.float64),  # of the open position, as the engine averages it
            ("stop_ticks", np.int64),  # resting stop loss, 0 for none
            ("take_profit_ticks", np.int64),  # resting take profit, 0 for none
            ("take_profit_filled", np.int64),  # filled units of the resting take profit
            # The instrument's last bar, known when a decision is taken.
            ("close_ticks", np.int64),
            ("price", np.float64),  # the close as a float
            ("atr", np.float64),  # average true range, price units
            ("volume", np.int64),
            ("since_open", np.float64),  # minutes from the session's open to the bar's close
            ("to_close", np.float64),  # minutes from the bar's close to the session's close
            ("is_open", np.int64),  # the decision is in the session, before its closing time
            ("is_missing", np.int64),  # 1 if no bar closed at the time of the decision
            ("is_expiring", np.int64),  # 1 if it is too late to enter a contract month that expires
            # The risk overlay's review of the last target.
            ("side", np.int64),  # side to hold
            ("order_units", np.int64),  # units of an entry, unsigned
            ("reason", np.int64),  # index into `rl_strategies.risk.overlay.REASONS`
            # A change of side that waits for the next open.
            ("waiting", np.int64),  # 1 while it waits
            ("waiting_side", np.int64),
            ("waiting_units", np.int64),
            ("waiting_reason", np.int64),
            ("fill_count", np.int64),  # executions in this episode
            ("session_open_ns", np.int64),  # for slippage by time of day; the simulator alone sets and reads it
        ],
    )
)

ACCOUNT_FIELDS = [
    ("balance_cents", np.int64),
    ("equity", np.float64),  # cash and open positions at their last closes, USD
    ("session_equity", np.float64),  # equity when the session began
    ("peak_equity", np.float64),  # highest equity of this session
    ("halted", np.int64),  # reason that halted the session, 0 for none
    ("ruined", np.int64),
    ("traded_cents", np.int64),  # absolute notional of the session's fills
    ("trades", np.int64),  # the session's entries over all instruments
]
ACCOUNT = np.dtype((np.record, ACCOUNT_FIELDS))


@kernel
def apply_fill(leg, units, price):  # type: ignore[no-untyped-def]
    """Change the leg's position by a fill of signed ``units``; average price as in NautilusTrader."""
    held = leg.units
    if held == 0:
        leg.average_price = price
        leg.age_bars = 0
        leg.entries += 1
    elif (held > 0) == (units > 0):
        cost = leg.average_price * abs(held) + price * abs(units)
        leg.average_price = cost / (abs(held) + abs(units))
    elif abs(units) > abs(held):
        leg.average_price = price  # a live correction can cross zero at once; what is left was traded here
    leg.units = held + units


@kernel
def book_fill(account, leg, rules, units, price_ticks, commission_cents):  # type: ignore[no-untyped-def]
    """Book a fill of signed ``units`` into account and leg."""
    price = price_from_ticks(price_ticks, rules.tick_raw)
    realized = realized_cents(leg.units, leg.average_price, units, price, rules.multiplier)
    account.balance_cents += realized - commission_cents
    account.traded_cents += money_cents(abs(units) * price * rules.multiplier)
    account.trades += 1 if leg.units == 0 else 0
    apply_fill(leg, units, price)


@kernel
def clear_leg(leg):  # type: ignore[no-untyped-def]
    """Reset a leg: flat, no barriers, no entries, no fills."""
    leg.units = 0
    leg.age_bars = 0
    leg.entries = 0
    leg.average_price = 0.0
    leg.stop_ticks = 0
    leg.take_profit_ticks = 0
    leg.take_profit_filled = 0
    leg.waiting = 0
    leg.fill_count = 0


@kernel
def begin_session(account, equity):  # type: ignore[no-untyped-def]
    """Start the account's session: losses and peak count from ``equity``."""
    account.equity = equity
    account.session_equity = equity
    account.peak_equity = equity
    account.halted = 0
    account.traded_cents = 0
    account.trades = 0


@kernel
def side_of_units(units):  # type: ignore[no-untyped-def]
    """Side of a position: -1, 0 or 1."""
    return (1 if units > 0 else 0) - (1 if units < 0 else 0)


@kernel
def unrealized_usd(leg, price, multiplier):  # type: ignore[no-untyped-def]
    """Unrealised PnL of a leg at ``price``, USD."""
    if leg.units == 0:
        return 0.0
    return leg.units * (price - leg.average_price) * multiplier

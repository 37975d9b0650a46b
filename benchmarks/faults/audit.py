"""Compares the broker's books with a session's journal: what was lost, what was done twice, what differs."""

from collections import Counter
from collections.abc import Mapping, Sequence

from adapters.ibkr.simulator.broker.broker import Broker, Trade
from adapters.ibkr.simulator.broker.orders import WorkingOrder
from benchmarks.faults.host import LiveHost
from benchmarks.faults.invariants import TRADING_CLIENT
from rl_strategies.live.broker.link import NS
from rl_strategies.live.journal.session_journal import FillRow, OrderRow

UNSENT_S = 5.0


def differences(host: LiveHost) -> list[str]:
    """Fills, position and balance that the session and the broker do not agree on; empty if they agree."""
    host.tail.poll()
    return host.gateway.call(lambda _: _differences(host))


def doubled(host: LiveHost) -> list[str]:
    """Orders that reached the broker twice or were never decided, and fills that closed more than was held."""
    return host.gateway.call(lambda _: _doubled_orders(host.broker, host.tail.orders) + _doubled_trades(host))


def touched(host: LiveHost) -> list[str]:
    """Orders of others that somebody has cancelled; nobody but a flatten of the account may."""

    def look(_: object) -> list[str]:
        others = [order for order in host.broker.orders.values() if not _is_sessions(order)]
        return [
            f"order {order.order_id} of client {order.client_id} was cancelled"
            for order in others
            if order.status == "Cancelled"
        ]

    return host.gateway.call(look)


def lost(host: LiveHost, killed_ns: Sequence[int]) -> tuple[list[str], int]:
    """Orders that the session decided, that never reached the broker, and that it does not know to be refused.

    Parameters
    ----------
    host : LiveHost
    killed_ns : sequence of int
        Times when the session's process was killed: orders journaled in the seconds before may not have been sent.

    Returns
    -------
    list of str, int
        Lost orders, and the number of orders that a kill kept from being sent.
    """
    host.tail.poll()
    arrived = host.gateway.call(lambda _: {_ref(order.request.orderRef) for order in host.broker.orders.values()})
    missing = [row for name, row in host.tail.orders.items() if name not in arrived | host.tail.refused]
    unsent = [row for row in missing if any(0 <= ns - row.sent_ns < UNSENT_S * NS for ns in killed_ns)]
    names = [f"{row.role} {row.client_order_id} of {row.sent_ns}" for row in missing if row not in unsent]
    return names, len(unsent)


def _differences(host: LiveHost) -> list[str]:
    broker, tail = host.broker, host.tail
    real = {trade.details.execution.execId: trade for trade in broker.trades if _is_ours(trade.client_id)}
    # What others closed of the session's position has their execution's id.
    real |= {trade.details.execution.execId: trade for trade in broker.trades if _is_known(trade, tail.fills)}
    found = [f"execution {name} ({real[name].units:+d}) is not known" for name in real.keys() - tail.fills.keys()]
    found += [f"execution {name} never happened" for name in tail.fills.keys() - real.keys()]
    for name in real.keys() & tail.fills.keys():
        believed = (tail.fills[name].units, tail.fills[name].price_ticks, tail.fills[name].commission_cents)
        actual = (real[name].units, real[name].ticks, round(real[name].commission.commissionAndFees * 100))
        if believed != actual:
            found.append(f"execution {name} was {actual}, is known as {believed}")
    by_journal = host.believed()
    for name, units in host.holdings().items():
        if units != by_journal[name]:
            found.append(f"{units:+d} {name} held, {by_journal[name]:+d} believed")
    # Units bought at several prices and sold one by one have results in fractions of a cent: both sides round.
    cash_cents = broker.account.cash_cents - _elsewhere_cents(broker)
    if tail.fills and host.units == 0 and abs(host.balance_cents() - cash_cents) > len(tail.fills) / 2:
        found.append(f"balance {cash_cents} cents, {host.balance_cents()} believed")
    return found


def _elsewhere_cents(broker: Broker) -> int:
    """What others earned and paid in other contracts."""
    reports = [trade.commission for trade in broker.trades if trade.con_id not in broker.contracts]
    return round(sum(report.realizedPNL - report.commissionAndFees for report in reports) * 100)


def _doubled_orders(broker: Broker, orders: Mapping[str, OrderRow]) -> list[str]:
    names = Counter(_ref(order.request.orderRef) for order in broker.orders.values() if _is_ours(order.client_id))
    twice = [f"order {name} reached the broker {count} times" for name, count in names.items() if count > 1]
    return twice + [f"order {name} was never decided" for name in names if name not in orders]


def _doubled_trades(host: LiveHost) -> list[str]:
    return [
        found for con_id in host.con_ids.values()
        for found in _doubled_in(host, [trade for trade in host.broker.trades if trade.con_id == con_id])
    ]  # fmt: skip


def _doubled_in(host: LiveHost, trades: Sequence[Trade]) -> list[str]:
    found: list[str] = []
    held, opened_by = 0, ""
    for trade in trades:
        ref = _trade_ref(trade)
        if not _is_ours(trade.client_id) and not ref.startswith("flatten-"):
            continue
        row = host.tail.orders.get(ref)
        if row is not None and row.role == "entry":
            if held != 0 and ref != opened_by:
                found.append(f"{trade.units:+d} entered while {held:+d} were held")
            opened_by = ref
        elif held * trade.units >= 0 or abs(trade.units) > abs(held):
            role = row.role if row is not None else "foreign"
            found.append(f"{role} of {trade.units:+d} while {held:+d} were held")
        held += trade.units
    return found


def _is_sessions(order: WorkingOrder) -> bool:
    return _is_ours(order.client_id) or order.request.orderRef.startswith("flatten-")


def _is_ours(client_id: int) -> bool:
    return client_id == TRADING_CLIENT


def _is_known(trade: Trade, fills: Mapping[str, FillRow]) -> bool:
    return trade.details.execution.execId in fills


def _trade_ref(trade: Trade) -> str:
    return _ref(trade.details.execution.orderRef)


def _ref(order_ref: str) -> str:
    return order_ref.rsplit(":", 1)[0]

"""Cancel all orders and close all positions at the broker, without the trading node and without NautilusTrader.

The only source of truth is the gateway, asked again after every action. No order is ever sent while another one for
the same contract still works, so a slow fill cannot be closed twice.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from adapters.ibkr.connection import ib_insync

POLL_S = 0.25


@dataclass(frozen=True)
class Flattened:
    """What the flatten did and what it found in the end.

    Attributes
    ----------
    orders_cancelled : int
        Working orders found at the start.
    closed : dict of str to float
        Units sent to close, signed, by contract.
    positions_left, orders_left : dict of str to float, int
        What the broker still shows; both empty and zero when flat.
    seconds : float
    """

    orders_cancelled: int
    positions_left: dict[str, float]
    orders_left: int
    seconds: float
    closed: dict[str, float] = field(default_factory=dict)

    @property
    def is_flat(self) -> bool:
        """Whether the broker shows no position and no order."""
        return not self.positions_left and not self.orders_left


def flatten(
    client: Any, account: str, timeout_s: float, settle_s: float = 1.0, report: Callable[[str], None] = lambda _: None
) -> Flattened:
    """Cancel all orders of all clients and close all positions at the market, until the broker shows none.

    Parameters
    ----------
    client : ib_insync.IB
        Connected under a client id of its own.
    account : str
        Positions of other accounts are left alone; a global cancel knows no accounts.
    timeout_s : float
        Give up after this long and report what is left.
    settle_s : float
        The broker must be flat twice, so far apart: a trading node that still lives may act in between.
    report : callable
        Receives one line for each action.

    Returns
    -------
    Flattened
    """
    began = time.monotonic()
    closed: dict[str, float] = {}
    found = len(_working(client))
    flat_since: float | None = None
    while time.monotonic() - began < timeout_s:
        foreign = _cancel_foreign(client, report)
        positions = _positions(client, account)
        if not foreign:
            _close(client, account, positions, closed, report)
        if positions or _working(client):
            flat_since = None
        elif flat_since is None:
            flat_since = time.monotonic()
        elif time.monotonic() - flat_since >= settle_s:
            break
        client.sleep(POLL_S)
    left = {_name(held.contract): held.position for held in _positions(client, account)}
    seconds = time.monotonic() - began
    return Flattened(found, left, len(_working(client)), seconds, closed)


def _working(client: Any) -> list[Any]:
    return [trade for trade in client.reqAllOpenOrders() if not trade.isDone()]


def _cancel_foreign(client: Any, report: Callable[[str], None]) -> int:
    own = client.client.clientId
    foreign = [trade for trade in _working(client) if trade.order.clientId != own]
    if foreign:
        report(f"cancelling {len(foreign)} working orders")
        client.reqGlobalCancel()
    return len(foreign)


def _positions(client: Any, account: str) -> list[Any]:
    return [held for held in client.reqPositions() if held.account == account and held.position]


def _close(
    client: Any, account: str, positions: list[Any], closed: dict[str, float], report: Callable[[str], None]
) -> None:
    busy = {trade.contract.conId for trade in _working(client)}
    for held in positions:
        if held.contract.conId in busy:
            continue
        # Positions come without the exchange that an order needs.
        contract = ib_insync.Contract(conId=held.contract.conId)
        if not client.qualifyContracts(contract):
            report(f"the gateway does not know the contract of {held.position:+g} {_name(held.contract)}")
            continue
        side = "SELL" if held.position > 0 else "BUY"
        order = ib_insync.MarketOrder(side, abs(held.position), tif="DAY", outsideRth=True, account=account)
        report(f"closing {held.position:+g} {_name(contract)} at the market")
        client.placeOrder(contract, order)
        name = _name(contract)
        closed[name] = closed.get(name, 0.0) - held.position


def _name(contract: Any) -> str:
    return contract.localSymbol or contract.symbol

"""What the processes of the guard's tests do; run by path in processes that have imported the program already."""

import os
import sys
import threading
import time
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import typer
from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.order import Order
from ibapi.wrapper import EWrapper

from adapters.ibkr.closing.book import Pace
from rl_strategies.live.journal.journal import Journal
from rl_strategies.live.journal.session_journal import FillRow, OrderRow, SessionJournal
from run.trade.guard import command, loop
from run.trade.monitoring.heartbeat import Heartbeat
from run.trade.session.folder import SessionHome

FAST = 5.0  # so many times as fast as in earnest are the guard and the gateway's delays
SESSION = 1
ORDER_NAME = "O-20260105-143500-001-001-"


class ApiSession(EWrapper, EClient):
    """IB's own client, with the executions that it was told."""

    def __init__(self) -> None:
        EClient.__init__(self, self)
        self.ready, self.filled = threading.Event(), []

    def nextValidId(self, orderId: int) -> None:
        self.ready.set()

    def execDetails(self, reqId: int, contract: Any, execution: Any) -> None:
        self.filled.append(execution)


def trade(folder: Path, port: int, wanted: list[Any], line: Connection) -> None:
    """Place the orders, journal them and their fills, say so, and beat until told to end."""
    with SessionHome(folder.parent).locked():
        heart = Heartbeat(folder / "heartbeat", "127.0.0.1", port, SESSION)
        inner = Journal(folder / "journal", durable=False)
        journal = SessionJournal(inner)
        session = ApiSession()
        session.connect("127.0.0.1", port, SESSION)
        threading.Thread(target=session.run, daemon=True).start()
        assert session.ready.wait(20)
        for number, each in enumerate(wanted, 1):
            role, units = each[0], each[1]
            side = 1 if units > 0 else -1
            name, size = f"{ORDER_NAME}{number}", abs(units)
            journal.order(OrderRow(name, "MESZ6.XCME", role, side, size, "market", 0, "target", "", 1, 1))
            inner.flush()
            session.placeOrder(number, _future(), _order(number, each, is_last=number == len(wanted)))
        held = sum(each[1] for each in wanted if each[2] == "MKT")
        while sum(int(fill.shares) for fill in session.filled) < abs(held):
            time.sleep(0.01)
        for fill in session.filled:
            units = int(fill.shares) * (1 if fill.side == "BOT" else -1)
            named = f"{ORDER_NAME}{fill.orderId}", fill.execId
            journal.fill("MESZ6.XCME", FillRow(*named, "entry", "market", 0, "target", units, 24000, 186, 24000, 1, 1))
        inner.flush()
        line.send("trading")
        while not line.poll(0.1):
            heart.beat("trading", abs(held))
        session.disconnect()
        heart.close(abs(held))


def _future() -> Contract:
    contract = Contract()
    contract.symbol, contract.secType, contract.exchange, contract.currency = "MES", "FUT", "CME", "USD"
    contract.lastTradeDateOrContractMonth = "202612"
    return contract


def _order(number: int, wanted: Any, is_last: bool) -> Order:
    _, units, kind, price, *group = wanted
    order = Order()
    order.action, order.totalQuantity = "BUY" if units > 0 else "SELL", Decimal(abs(units))
    order.orderType, order.tif, order.outsideRth = kind, "GTC", True
    order.lmtPrice, order.auxPrice, order.orderRef = float(price), float(price), f"{ORDER_NAME}{number}:{number}"
    order.ocaGroup, order.ocaType = (group[0], 2) if group else ("", 0)
    order.parentId, order.transmit = (1 if number > 1 else 0), is_last
    return order


def watch(folder: Path, said: Path) -> None:
    """`rl-intraday guard`, but faster; standard error goes to a file."""
    sys.stderr = said.open("w")
    loop.POLL_S, loop.LOOK_S, loop.LEFT_LOOK_S = loop.POLL_S / FAST, loop.LOOK_S / FAST, loop.LOOK_S / FAST
    loop.RETRIES_S = tuple(pause / FAST for pause in loop.RETRIES_S)
    loop.STOP_S /= FAST
    command.Guard = lambda watched, alerts: loop.Guard(watched, alerts, Pace().faster(FAST))  # type: ignore[assignment,misc]
    os.environ.pop("IB_ACCOUNT", None)
    try:
        command.run_guard(folder, "", 0.0)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)


if __name__ in ("trade", "watch"):
    globals()[__name__](*globals()["arguments"])

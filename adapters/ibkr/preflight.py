"""Checks of a gateway before trading: one finding each, with what to do about it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Literal

from adapters.ibkr.clock import ClockOffset
from adapters.ibkr.connection import ib_insync
from adapters.symbols import vendor_symbol

DATA_TYPES = {1: "real time", 2: "frozen", 3: "delayed", 4: "delayed and frozen"}
DRIFT_WARN_S, DRIFT_FAIL_S = 1.0, 5.0
CLOCK_PAUSES_S = (0.0, 0.37, 0.37, 0.37)  # the broker answers in whole seconds: different fractions narrow the offset
DAY_S = 86_400.0
UNSET = 1e300
ROLL_WARN_DAYS = 7
QUOTE_WAIT_S = 2.0


@dataclass(frozen=True)
class Finding:
    """Outcome of one check.

    Attributes
    ----------
    check : str
    state : {"ok", "warn", "fail"}
    found : str
        One line.
    fix : str
        What to do; empty where the state is ok.
    """

    check: str
    state: Literal["ok", "warn", "fail"]
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Wanted:
    """Contract and account to check.

    Attributes
    ----------
    symbol, kind, exchange, expiry : str
        The contract, as `configs.live.contract.WantedContract` has it.
    account : str
        Empty where none is set.
    """

    symbol: str
    kind: str
    exchange: str
    expiry: str
    account: str


def check_gateway(client: Any, wanted: Wanted, flatten_with: str) -> list[Finding]:
    """All checks of a connected gateway, in the order in which a session needs them.

    Parameters
    ----------
    client : ib_insync.IB
    wanted : Wanted
    flatten_with : str
        Command line that closes everything at this gateway.

    Returns
    -------
    list of Finding
        Without the checks that a failed contract makes pointless.
    """
    managed = client.managedAccounts()
    account = wanted.account or managed[0]
    connected = f"server version {client.client.serverVersion()}, client {client.client.clientId}"
    findings = [
        Finding("gateway", "ok", connected),
        _account(client, wanted.account),
        _clock(client),
        _open_state(client, account, flatten_with),
    ]
    return findings + _of_contract(client, wanted, (_history, _market_data, partial(_margin, account=account)))


def check_traded(client: Any, wanted: Wanted) -> list[Finding]:
    """Checks of another contract that is traded on the same account: contract, history, market data and margin."""
    account = wanted.account or client.managedAccounts()[0]
    findings = _of_contract(client, wanted, (_history, _market_data, partial(_margin, account=account)))
    return [replace(each, check=f"{wanted.symbol} {each.check}") for each in findings]


def check_followed(client: Any, wanted: Wanted, name: str) -> list[Finding]:
    """Checks of a contract whose bars are followed and which is not traded.

    Parameters
    ----------
    client : ib_insync.IB
    wanted : Wanted
    name : str
        Put before the name of every check.

    Returns
    -------
    list of Finding
        Contract, history and market data.
    """
    findings = _of_contract(client, wanted, (_history, _market_data))
    return [replace(each, check=f"{name} {each.check}") for each in findings]


def _of_contract(client: Any, wanted: Wanted, checks: Sequence[Callable[[Any, Any], Finding]]) -> list[Finding]:
    contract, finding = _contract(client, wanted)
    return [finding] + ([] if contract is None else [check(client, contract) for check in checks])


def _account(client: Any, wanted: str) -> Finding:
    managed = client.managedAccounts()
    if wanted and wanted not in managed:
        fix = "log the gateway in to the right account, or correct the environment variable"
        return Finding("account", "fail", "the gateway does not have this account", fix)
    if not wanted and len(managed) > 1:
        return Finding(
            "account",
            "fail",
            f"the gateway has {len(managed)} accounts, none is chosen",
            "set the account's environment variable",
        )
    name = wanted or managed[0]
    kind = "paper" if name.startswith("D") else "LIVE"
    return Finding("account", "ok", f"{kind}, {name[:2]}…{name[-2:]}")


def _clock(client: Any) -> Finding:
    clock = ClockOffset()
    for pause_s in CLOCK_PAUSES_S:
        client.sleep(pause_s)
        clock.ask()
        clock.hear(int(client.reqCurrentTime().timestamp()))
    assert clock.offset_s is not None
    drift_s, within = clock.offset_s, f"within {clock.error_s:.1f} s"
    if abs(drift_s) < DRIFT_WARN_S:
        return Finding("clock", "ok", f"this machine's is {drift_s:+.1f} s from the broker's, {within}")
    side = "ahead of" if drift_s > 0 else "behind"
    found = f"this machine's is {abs(drift_s):.1f} s {side} the broker's, {within}"
    state: Literal["warn", "fail"] = "warn" if abs(drift_s) < DRIFT_FAIL_S else "fail"
    if abs(drift_s) > DAY_S:
        return Finding("clock", state, found, "normal for a simulated gateway, whose clock is that of its bars")
    return Finding("clock", state, found, "synchronise this machine's clock (timedatectl set-ntp true)")


def _open_state(client: Any, account: str, flatten_with: str) -> Finding:
    held = [row for row in client.reqPositions() if row.position and row.account == account]
    orders = [trade for trade in client.reqAllOpenOrders() if not trade.isDone()]
    orders = [trade for trade in orders if trade.order.account in ("", account)]
    if not held and not orders:
        return Finding("open positions", "ok", "no position, no order")
    found = f"{len(held)} positions, {len(orders)} working orders"
    return Finding("open positions", "warn", found, f"expected after a restart; otherwise `{flatten_with}`")


def _contract(client: Any, wanted: Wanted) -> tuple[Any, Finding]:
    asked = ib_insync.Contract(
        symbol=vendor_symbol("ibkr", wanted.symbol), secType=wanted.kind, exchange=wanted.exchange, currency="USD",
        lastTradeDateOrContractMonth=wanted.expiry,
    )  # fmt: skip
    name = f"{wanted.symbol} {wanted.expiry} on {wanted.exchange}".replace("  ", " ")
    details = client.reqContractDetails(asked)
    if len(details) != 1:
        fix = "correct `contract` in the live configuration; a future needs its expiry"
        return None, Finding("contract", "fail", f"{name} matches {len(details)} contracts, must match one", fix)
    contract = details[0].contract
    if wanted.kind != "FUT":
        return contract, Finding("contract", "ok", f"{contract.localSymbol}, number {contract.conId}")
    last = datetime.strptime(contract.lastTradeDateOrContractMonth[:8], "%Y%m%d").replace(tzinfo=UTC).date()
    return contract, _expiry(contract.localSymbol, (last - date.today()).days)


def _expiry(name: str, days: int) -> Finding:
    found = f"{name}, {days} days to its last trading day"
    if days < 0:
        return Finding("contract", "fail", found, "set the expiry of the next contract month")
    if days <= ROLL_WARN_DAYS:
        return Finding("contract", "warn", found, "roll: set the expiry of the next contract month")
    return Finding("contract", "ok", found)


def _history(client: Any, contract: Any) -> Finding:
    with _errors(client) as errors:
        bars = client.reqHistoricalData(contract, "", "7200 S", "1 min", "TRADES", useRTH=False, formatDate=2)
    if bars:
        return Finding("history", "ok", f"{len(bars)} minute bars of the last two hours")
    said = errors[-1][1] if errors else "no bars in two hours"
    fix = "subscribe to the exchange's data for this user; before the open an empty answer is normal"
    return Finding("history", "fail" if errors else "warn", said, fix)


def _market_data(client: Any, contract: Any) -> Finding:
    with _errors(client) as errors:
        ticker = client.reqMktData(contract)
        _wait(client, lambda: bool(errors) or ticker.hasBidAsk() or ticker.last == ticker.last)
        client.cancelMktData(contract)
    refused = [text for code, text in errors if code in (354, 10089, 10090, 10167, 10197, 200)]
    if refused:
        fix = "end the other session that uses this user's data, or subscribe to the exchange's data"
        return Finding("market data", "fail", refused[-1], fix)
    kind = DATA_TYPES.get(ticker.marketDataType, "unknown")
    if ticker.marketDataType != 1:
        return Finding("market data", "fail", kind, "subscribe to real-time data of the exchange for this user")
    return Finding("market data", "ok", kind)


def _margin(client: Any, contract: Any, account: str) -> Finding:
    with _errors(client) as errors:
        try:
            preview = client.whatIfOrder(contract, ib_insync.MarketOrder("BUY", 1, account=account))
        except TimeoutError:  # ib_insync takes no preview without a margin for an answer
            preview = None
    needed = _amount(getattr(preview, "initMarginChange", ""))
    if needed is None:
        said = errors[-1][1] if errors else "the gateway previews no margin"
        return Finding("margin", "fail", said, "allow this account to trade the contract; turn off Read-Only API")
    rows = [row for row in client.accountSummary(account) if row.tag == "AvailableFunds"]
    funds = _amount(rows[0].value) if rows else None
    if funds is None:
        return Finding("margin", "fail", "the gateway does not tell the account's funds", "ask again, or restart it")
    # Both are in the base currency of the account.
    found = f"{needed:,.2f} {rows[0].currency} for one unit, {funds:,.2f} available"
    if needed > funds:
        return Finding("margin", "fail", found, "deposit, or trade a smaller contract")
    return Finding("margin", "ok", found)


def _amount(text: str) -> float | None:
    # What is not known is left empty, or told as the largest double.
    amount = float(text) if text else UNSET
    return amount if abs(amount) < UNSET else None


@contextmanager
def _errors(client: Any) -> Iterator[list[tuple[int, str]]]:
    heard: list[tuple[int, str]] = []

    def note(request_id: int, code: int, text: str, *_: Any) -> None:
        if request_id >= 0:  # notices without a request are about data farms
            heard.append((code, text))

    client.errorEvent += note
    try:
        yield heard
    finally:
        client.errorEvent -= note


def _wait(client: Any, until: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not until() and time.monotonic() - began < QUOTE_WAIT_S:
        client.sleep(0.05)

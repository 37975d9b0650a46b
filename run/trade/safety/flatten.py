"""`rl-intraday flatten`: cancel orders and close positions, also while the trading node hangs."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from adapters.ibkr.closing.book import Pace
from adapters.ibkr.closing.flatten import Flattened, Flattening, flatten_gateway
from adapters.ibkr.closing.scope import OneContract, Scope, WholeAccount
from adapters.ibkr.connection import GatewayError, find_contract
from catalogs.errors import InputError
from configs.live.schema import LiveConfig, load_live
from run.console import print_json, report
from run.trade.account import is_named
from run.trade.choices import ScopeName

NOT_FLAT = 3


def run_flatten(
    *,
    configuration: str,
    scope: ScopeName,
    session: Path | None,
    host: str | None,
    port: int | None,
    account: str | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Cancel orders and close positions at the market, by default all of the account, until the broker shows none.

    The options are those of the verb; see `run.trade.commands.flatten`.
    """
    if (scope == "session") != (session is not None):
        raise InputError("--session and --scope session go together: give both or neither")
    config = load_live(configuration)
    where = (host or config.host, port or config.port)
    wanted = account or config.account()
    find = _scope(config, scope, session)

    def begin(client: Any) -> Flattening:
        chosen = _account(wanted, client.managedAccounts())
        touched, said = find(client, chosen)
        report(f"closing {said} on account {chosen} at {where[0]}:{where[1]}")
        return Flattening(chosen, touched, Pace(), report)

    _print(_flatten(config, where, begin, timeout), as_json)


def _flatten(
    config: LiveConfig, where: tuple[str, int], begin: Callable[[Any], Flattening], timeout_s: float
) -> Flattened:
    try:
        return flatten_gateway(where, config.flatten_client_ids, config.request_timeout_s, begin, timeout_s, report)
    except LookupError as error:
        raise InputError(str(error)) from error
    except GatewayError as error:
        raise InputError(f"{error}; close by hand in TWS or by phone") from error


def _account(wanted: str, managed: list[str]) -> str:
    meant = [account for account in managed if is_named(account, wanted)] if wanted else managed
    if not meant:
        raise InputError(f"gateway has no account {wanted}")
    if len(meant) != 1:
        raise InputError(f"gateway has {len(meant)} accounts{' that end so' * bool(wanted)}: choose one with --account")
    return meant[0]


def _scope(config: LiveConfig, name: ScopeName, session: Path | None) -> Callable[[Any, str], tuple[Scope, str]]:
    """How to find on a connection what is touched, and to say it.

    Roll tables and journals are read with NautilusTrader, which the rest does without. It is imported here, before
    there is a connection: it installs another kind of event loop, in which a connection from before cannot ask.
    """
    if name == "account":
        return lambda client, account: (WholeAccount(), "EVERYTHING (every order of every client, every position)")
    if name == "contract":
        return _contract(config)
    assert session is not None
    return _session(config, session)


def _contract(config: LiveConfig) -> Callable[[Any, str], tuple[Scope, str]]:
    from run.trade.session.contract import contract_on

    def find(client: Any, account: str) -> tuple[Scope, str]:
        wanted = contract_on(config, datetime.now(UTC).date())
        contract = find_contract(client, wanted.symbol, wanted.kind, wanted.exchange, wanted.expiry)
        return OneContract(contract.conId), f"every order and the position in {contract.localSymbol}"

    return find


def _session(config: LiveConfig, session: Path) -> Callable[[Any, str], tuple[Scope, str]]:
    from run.trade.safety.own_trades import own_trades, session_folder
    from run.trade.session.metadata import METADATA_FILE, read_metadata

    def find(client: Any, account: str) -> tuple[Scope, str]:
        folder = session_folder(session)
        if (folder / METADATA_FILE).is_file():
            read_metadata(folder).require_account(account)
        own = own_trades(client, config.trading_client_id, folder)
        return own, f"the own orders and position of session {folder}"

    return find


def _print(result: Flattened, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(result), "is_flat": result.is_flat})
    elif result.is_flat:
        report(f"in {result.seconds:.1f} s: no order, no position", label="flat", style="bold green")
    else:
        left = ", ".join(f"{units:+g} {name}" for name, units in result.positions_left.items()) or "no position"
        said = f"after {result.seconds:.0f} s: {left}, {result.orders_left} orders left"
        report(f"{said}{_advice(result)}", label="NOT FLAT", style="bold red")
    if not result.is_flat:
        raise typer.Exit(NOT_FLAT)


def _advice(result: Flattened) -> str:
    if not result.positions_left and not result.orders_left:
        return "; the broker has not shown it twice: look in TWS"
    if result.by_hand == result.positions_left:
        return "; close fractions of a unit by hand in TWS"
    return "; look in TWS, then run it again"

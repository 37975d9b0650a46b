"""`rl-intraday flatten`: cancel everything and close everything, also while the trading node hangs."""

from dataclasses import asdict
from typing import Annotated

import typer

from catalogs.errors import InputError
from configs.live.schema import load_live
from run.options import JsonOption, answer_json, progress

NOT_FLAT = 3


def command(
    live: Annotated[str, typer.Argument(help="Live configuration: a preset's name or a YAML file.")] = "paper",
    host: Annotated[str | None, typer.Option(help="Instead of the configuration's.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of the configuration's.")] = None,
    account: Annotated[str | None, typer.Option(help="Account number; default: the environment's.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds until it gives up and says what is left.")] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Cancel all orders and close all positions at the broker, then look again.

    Talks to the gateway by itself under a client id of its own: the trading node may be running, hanging or dead.
    Exit code 0 means that the broker shows no order and no position; 3 that something is left, which is printed.
    """
    from adapters.ibkr.connection import GatewayError, gateway
    from adapters.ibkr.flatten import flatten

    config = load_live(live)
    where = (host or config.host, port or config.port)
    try:
        with gateway(*where, config.flatten_client_ids, config.request_timeout_s) as client:
            chosen = _account(account or config.account(), client.managedAccounts())
            result = flatten(client, chosen, timeout, say=progress.print)
    except (GatewayError, OSError, TimeoutError) as error:
        raise InputError(f"{error or 'the gateway stopped answering'}; close by hand in TWS or by telephone") from error
    if as_json:
        answer_json({**asdict(result), "is_flat": result.is_flat})
    elif result.is_flat:
        progress.print(
            f"[bold green]flat[/] in {result.seconds:.1f} s: account {result.account}, no order, no position"
        )
    else:
        left = ", ".join(f"{units:+g} {name}" for name, units in result.positions_left.items()) or "no position"
        progress.print(f"[bold red]NOT FLAT[/] after {result.seconds:.0f} s: {left}, {result.orders_left} orders")
    if not result.is_flat:
        raise typer.Exit(NOT_FLAT)


def _account(wanted: str, managed: list[str]) -> str:
    if wanted and wanted not in managed:
        raise InputError(f"account must be one of the gateway's {len(managed)}, was {wanted!r}")
    if not wanted and len(managed) != 1:
        raise InputError(f"account must be named where the gateway has {len(managed)}")
    return wanted or managed[0]

"""`rl-intraday flatten`: cancel everything and close everything, also while the trading node hangs."""

import time
from dataclasses import asdict
from typing import Annotated

import typer

from adapters.ibkr.connection import GatewayError, gateway
from adapters.ibkr.flatten import Flattened, flatten
from catalogs.errors import InputError
from configs.live.schema import LiveConfig, load_live
from run.options import JsonOption, answer_json, progress

NOT_FLAT = 3
RETRY_S = 2.0


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
    Where the gateway does not answer, or the connection breaks, it tries again until the time is up.
    Exit code 0 means that the broker shows no order and no position; 3 that something is left, which is printed.
    """
    config = load_live(live)
    result = _flatten(config, (host or config.host, port or config.port), account or config.account(), timeout)
    if as_json:
        answer_json({**asdict(result), "is_flat": result.is_flat})
    elif result.is_flat:
        progress.print(f"[bold green]flat[/] in {result.seconds:.1f} s: no order, no position")
    else:
        left = ", ".join(f"{units:+g} {name}" for name, units in result.positions_left.items()) or "no position"
        progress.print(f"[bold red]NOT FLAT[/] after {result.seconds:.0f} s: {left}, {result.orders_left} orders")
    if not result.is_flat:
        raise typer.Exit(NOT_FLAT)


def _flatten(config: LiveConfig, where: tuple[str, int], account: str, timeout_s: float) -> Flattened:
    until = time.monotonic() + timeout_s
    while True:
        try:
            with gateway(*where, config.flatten_client_ids, config.request_timeout_s) as client:
                chosen = _account(account, client.managedAccounts())
                return flatten(client, chosen, until - time.monotonic(), say=progress.print)
        except (GatewayError, OSError, TimeoutError) as error:
            problem = str(error) or f"gateway must answer within {config.request_timeout_s:g} s, was silent"
            if time.monotonic() + RETRY_S > until:
                raise InputError(f"{problem}; close by hand in TWS or by telephone") from error
            progress.print(f"{problem}; trying again")
            time.sleep(RETRY_S)


def _account(wanted: str, managed: list[str]) -> str:
    if wanted and wanted not in managed:
        raise InputError(f"account must be one of the gateway's {len(managed)}, was {wanted!r}")
    if not wanted and len(managed) != 1:
        raise InputError(f"account must be named where the gateway has {len(managed)}")
    return wanted or managed[0]

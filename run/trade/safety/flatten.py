"""`rl-intraday flatten`: cancel all orders and close all positions, also while the trading node hangs."""

import time
from dataclasses import asdict
from typing import Annotated

import typer

from adapters.ibkr.connection import GatewayError, gateway
from adapters.ibkr.flatten import Flattened, flatten
from catalogs.errors import InputError
from configs.live.schema import LiveConfig, load_live
from run.console import print_json, report
from run.options import JsonOption

NOT_FLAT = 3
RETRY_S = 2.0

ConfigurationArgument = Annotated[
    str, typer.Argument(metavar="CONFIGURATION", help="Live configuration: a preset (paper, live) or a YAML file.")
]


def command(
    configuration: ConfigurationArgument,
    host: Annotated[str | None, typer.Option(help="Instead of the configuration's.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of the configuration's.")] = None,
    account: Annotated[
        str | None, typer.Option(help="Account number; default: the environment's, or the gateway's only one.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds after which it gives up and prints what is left.")] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Cancel all orders and close all positions of the account, until the broker shows none.

    Prints account, host and port before it acts. Needs no trading node: it may be running, hanging or dead.
    If the gateway does not answer or the connection breaks, it tries again until the timeout.
    Exit codes: 0 no order and no position, 2 the broker could not be asked, 3 something is left, which is printed.

    Example: rl-intraday flatten live
    """
    config = load_live(configuration)
    result = _flatten(config, (host or config.host, port or config.port), account or config.account(), timeout)
    if as_json:
        print_json({**asdict(result), "is_flat": result.is_flat})
    elif result.is_flat:
        report(f"in {result.seconds:.1f} s: no order, no position", label="flat", style="bold green")
    else:
        left = ", ".join(f"{units:+g} {name}" for name, units in result.positions_left.items()) or "no position"
        report(
            f"after {result.seconds:.0f} s: {left}, {result.orders_left} orders left",
            label="NOT FLAT",
            style="bold red",
        )
    if not result.is_flat:
        raise typer.Exit(NOT_FLAT)


def _flatten(config: LiveConfig, where: tuple[str, int], account: str, timeout_s: float) -> Flattened:
    until = time.monotonic() + timeout_s
    while True:
        try:
            with gateway(*where, config.flatten_client_ids, config.request_timeout_s) as client:
                chosen = _account(account, client.managedAccounts())
                report(f"closing account {chosen} at {where[0]}:{where[1]}")
                return flatten(client, chosen, until - time.monotonic(), report=report)
        except (GatewayError, OSError, TimeoutError) as error:
            problem = str(error) or f"the gateway did not answer within {config.request_timeout_s:g} s"
            if time.monotonic() + RETRY_S > until:
                raise InputError(f"{problem}; close by hand in TWS or by phone") from error
            report(f"{problem}; trying again")
            time.sleep(RETRY_S)


def _account(wanted: str, managed: list[str]) -> str:
    if wanted and wanted not in managed:
        raise InputError(f"gateway has no account {wanted}")
    if not wanted and len(managed) != 1:
        raise InputError(f"gateway has {len(managed)} accounts: choose one with --account")
    return wanted or managed[0]

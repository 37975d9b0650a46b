"""`rl-intraday init live`: a live configuration made from a bundle."""

from pathlib import Path
from typing import Any

import yaml

from adapters.ibkr.exchanges import EXCHANGES
from adapters.symbols import vendor_symbol
from catalogs.cache import written_aside
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from configs.live.schema import load_live
from rl_strategies.bundle.bundle import Bundle, load_bundle
from run.console import print_json, report

PORTS = {"paper": 4002, "live": 4001}  # IB Gateway's own; TWS listens on 7497 and 7496


def run_init_live(bundle: Path, out: Path | None, is_real: bool, as_json: bool) -> None:
    """Write a live configuration that trades what a bundle was trained on.

    The options are those of the verb; see `run.trade.configuration.commands.live`.
    """
    loaded, account = load_bundle(bundle), "live" if is_real else "paper"
    path = out or Path(f"{loaded.instrument.symbol}-{account}.yaml")
    write_live(loaded, path, account)
    if as_json:
        print_json({"file": str(path)})
        return
    report(f"Wrote   {path}: set the account in the environment variable IB_ACCOUNT, then")
    report(f"Next    rl-intraday doctor {path} --bundle {bundle}")
    trade = f"rl-intraday live {bundle} --live --account ENDING" if is_real else f"rl-intraday paper {bundle}"
    report(f"        {trade} --config {path}")


def write_live(bundle: Bundle, path: Path, account: str) -> None:
    """Write the configuration; it is read once, as any other.

    Parameters
    ----------
    bundle : Bundle
        Of one instrument.
    path : Path
    account : {"paper", "live"}

    Raises
    ------
    InputError
        If the file exists, is no YAML file by its name, or the bundle trades several instruments.
    """
    if path.exists():
        raise InputError(f"{path} exists already; choose another --out")
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"--out must end in .yaml, was {path.name}")
    content = yaml.safe_dump(live_content(bundle, account), sort_keys=False, default_flow_style=None)
    with written_aside(path) as aside:
        aside.write_text(f"# Trades {bundle.id} on a {account} account; docs/live.md has every key.\n{content}")
    load_live(str(path))


def live_content(bundle: Bundle, account: str) -> dict[str, Any]:
    """Keys of the configuration."""
    followed = {source.name: _contract(source.instrument) for source in bundle.context if source.instrument is not None}
    return {
        "host": "127.0.0.1",
        "port": PORTS[account],
        **_contract(bundle.instrument),
        **({"context": {"contracts": followed}} if followed else {}),
        "session_folder": f"sessions/{account}",
    }


def _contract(spec: InstrumentSpec) -> dict[str, Any]:
    exchange = EXCHANGES[spec.venue]
    if spec.kind == "equity":
        return {"contract": {"symbol": vendor_symbol("ibkr", spec.symbol), "kind": "STK", "exchange": exchange}}
    # Not the month of the training, which has expired by then or will.
    return {"front_month": {"root": spec.underlying, "exchange": exchange, "roll": "calendar"}}

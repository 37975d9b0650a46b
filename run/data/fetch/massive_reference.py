"""``rl-intraday data fetch massive-reference``: reference data, statements and corporate actions of US stocks."""

import json
from pathlib import Path

from adapters.massive import MassiveClient
from catalogs.cache import written_aside
from catalogs.corporate_actions import write_actions
from run.console import print_json, print_result, progress_bar
from run.data.fetch.massive import massive_client
from run.data.stored import listing_stored
from run.data.universe import named_tickers


def fetch_massive_reference(*, tickers: str, universe: str | None, cpm: float, catalog: Path, as_json: bool) -> None:
    """Fetch reference data, statements, splits and dividends of US stocks from Massive.

    The options are those of the verb; see `run.data.fetch.commands.massive_reference`.
    """
    named = named_tickers(tickers, universe)
    client = massive_client(cpm)
    with listing_stored() as stored:
        for ticker in progress_bar(named, "fetching"):
            _fetch(client, ticker, catalog)
            stored.note(ticker)
    folder = catalog / "reference" / "massive"
    if as_json:
        print_json({"folder": str(folder), "tickers": named})
    else:
        print_result(f"reference data of {', '.join(named)} in {folder}")


def _fetch(client: MassiveClient, ticker: str, catalog: Path) -> None:
    content = {"details": client.details(ticker), "financials": client.financials(ticker)}
    actions = client.corporate_actions(ticker)
    with written_aside(catalog / "reference" / "massive" / f"{ticker}.json") as aside:
        aside.write_text(json.dumps(content, indent=2), encoding="utf-8")
    write_actions(catalog, ticker, actions)

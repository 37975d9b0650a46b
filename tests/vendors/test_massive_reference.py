"""Massive's reference data, statements, snapshots and corporate actions: recorded answers, served again."""

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from adapters.errors import SourceError
from adapters.http import HttpSource
from adapters.massive import MassiveClient

Serve = Callable[..., SimpleNamespace]


@pytest.fixture
def recorded(vendor_bytes: Path, serve: Serve) -> SimpleNamespace:
    """Server of the recorded answers; ``next_url`` points to itself, as the vendor's does."""
    mocks = vendor_bytes / "polygon_rest" / "mocks"
    files = {f"/{path.relative_to(mocks).with_suffix('')}": path for path in mocks.rglob("*.json")}

    def respond(request: SimpleNamespace) -> object:
        cursor = request.query.get("cursor")
        name = f"{unquote(request.path)}&cursor={cursor}" if cursor else request.path
        for found in (name, f"{name}/index"):
            if found in files:
                text = files[found].read_text()
                host = f"http://{request.headers['Host']}"
                return {"body": re.sub(r"https://api\.(polygon\.io|massive\.com)", host, text).encode()}
        return {"status": 404, "body": {"message": f"no {name}"}}

    return serve(respond)


@pytest.fixture
def massive(recorded: SimpleNamespace) -> MassiveClient:
    return MassiveClient(HttpSource("Massive", recorded.url, attempts=1))


def test_splits_and_dividends_by_day(massive: MassiveClient, vendor_bytes: Path) -> None:
    rows = massive.corporate_actions("GOOGL").to_pylist()
    assert rows == sorted(rows, key=lambda row: (row["date"], row["kind"]))
    # Of the recorded answer: 20 new shares of GOOGL for one old share on 18 July 2022.
    split = next(row for row in rows if row["kind"] == "split" and row["date"] == date(2022, 7, 18))
    assert (split["ratio"], split["cash"]) == (20.0, None)
    dividend = next(row for row in rows if row["kind"] == "dividend" and row["date"] == date(2025, 6, 12))
    assert (dividend["ratio"], dividend["cash"]) == (None, 0.59375)


def test_tickers_over_pages(massive: MassiveClient, recorded: SimpleNamespace) -> None:
    names = [row["ticker"] for row in massive.tickers({"market": "stocks"})]
    assert names[:2] == ["A", "AA"]
    assert len(names) > 2
    assert len(recorded.requests) == 2


def test_details_statements_and_snapshots(massive: MassiveClient) -> None:
    assert massive.details("AAPL")["name"] == "Apple Inc."
    assert "balance_sheet" in massive.financials("AAPL")[0]["financials"]
    assert massive.snapshots(["BCAT"])[0]["day"]["c"] == 20.506


def test_daily_values(massive: MassiveClient, vendor_bytes: Path) -> None:
    table = massive.days("AAPL", date(2005, 4, 1), date(2005, 4, 4))
    assert table["close"][0].as_py() == 1.4604
    assert table["date"].to_pylist() == [date(2005, 4, 1), date(2005, 4, 4)]


def test_an_unknown_ticker_is_told(massive: MassiveClient) -> None:
    with pytest.raises(SourceError, match="refused /v3/reference/tickers/ZZZZ with status 404: there is no such thing"):
        massive.details("ZZZZ")


def test_reference_data_are_kept_on_request(
    recorded: SimpleNamespace, tmp_path: Path, answer: Callable[..., dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RL_INTRADAY_MASSIVE_URL", recorded.url)
    monkeypatch.setenv("MASSIVE_API_KEY", "sesame")
    words = ("--tickers", "AAPL", "--cpm", "100000", "--catalog", tmp_path)
    told = answer("data", "fetch", "massive-reference", *words)
    assert told["tickers"] == ["AAPL"]
    stored = json.loads((tmp_path / "reference" / "massive" / "AAPL.json").read_text())
    assert stored["details"]["cik"] == "0000320193"
    assert stored["financials"]

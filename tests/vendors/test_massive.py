"""Massive over a real socket: pages, faults, months, resuming; the same bars as the same month from Parquet."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from adapters.errors import SourceError
from adapters.http import HttpSource
from adapters.massive import MassiveClient
from catalogs.storage.arrow import read_bars, stored_bar_types
from run.cli import main

Serve = Callable[..., SimpleNamespace]
PAGE = 700  # bars, far below the vendor's, so that a month has many pages


def rows_of(frame: pd.DataFrame) -> list[dict]:
    times = (frame["ts_event"].dt.as_unit("ns").astype("int64") // 1_000_000).tolist()
    columns = zip(times, *(frame[name].tolist() for name in ("open", "high", "low", "close", "volume")), strict=True)
    return [dict(zip("tohlcv", row, strict=True)) for row in columns]


class Massive:
    """The vendor's addresses over bars of some tickers; ``faults`` are given out first."""

    def __init__(self, bars: dict[str, list[dict]], faults: list[object] | None = None) -> None:
        self.bars, self.faults = bars, list(faults or [])
        self.splits: list[dict] = []
        self.url = ""

    def __call__(self, request: SimpleNamespace) -> object:
        if request.headers["Authorization"] != "Bearer sesame":
            return {"status": 401, "body": {"status": "ERROR", "error": "Unknown API Key"}}
        if "/v2/aggs/" in request.path and self.faults:
            return self.faults.pop(0)
        if request.path.startswith("/v3/reference/splits"):
            return {"status": "OK", "results": [row for row in self.splits if row["ticker"] == request.query["ticker"]]}
        if request.path.startswith("/v3/reference/dividends"):
            return {"status": "OK", "results": []}
        return self._aggregates(request)

    def _aggregates(self, request: SimpleNamespace) -> object:
        _, _, _, _, ticker, _, _, _, first, last = request.path.split("/")
        low, high = (1e3 * pd.Timestamp(day, tz="America/New_York").timestamp() for day in (first, last))
        high += 86_400_000
        rows = [row for row in self.bars.get(ticker, []) if low <= row["t"] < high]
        start = int(request.query.get("cursor", 0))
        content = {"status": "OK", "ticker": ticker, "adjusted": False}
        if rows:
            content["results"] = rows[start : start + PAGE]
        if start + PAGE < len(rows):
            content["next_url"] = f"{self.url}{request.path}?cursor={start + PAGE}"
        return content


def minutes(first: str, n: int) -> list[dict]:
    times = pd.date_range(first, periods=n, freq="min", tz="America/New_York")
    close = np.round(100 + 0.01 * np.arange(n), 2)
    frame = pd.DataFrame({"ts_event": times.tz_convert("UTC"), "volume": 1_000})
    return rows_of(frame.assign(open=close, high=close, low=close, close=close))


DAYS = [*minutes("2025-01-31 09:30", 390), *minutes("2025-02-03 09:30", 390), *minutes("2025-03-03 09:30", 390)]
RANGE = ("--start", "2025-01-15", "--end", "2025-03-10", "--cpm", "100000")


@pytest.fixture
def massive(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SimpleNamespace]:
    """``massive(bars, faults)``: a server whose address and key are in the environment; ``.vendor``, ``.requests``."""

    def start(bars: dict[str, list[dict]], faults: list[object] | None = None) -> SimpleNamespace:
        vendor = Massive(bars, faults)
        server = serve(vendor)
        vendor.url, server.vendor = server.url, vendor
        monkeypatch.setenv("RL_INTRADAY_MASSIVE_URL", server.url)
        monkeypatch.setenv("MASSIVE_API_KEY", "sesame")
        return server

    return start


def aggregates(server: SimpleNamespace) -> list[str]:
    return [request.path for request in server.requests if "/v2/aggs/" in request.path]


def test_months_are_fetched_once_and_imported(
    massive: Callable[..., SimpleNamespace], tmp_path: Path, answer: Callable[..., dict]
) -> None:
    server = massive({"AAPL": DAYS, "MSFT": DAYS[:390]})
    words = ("data", "fetch", "massive", "--tickers", "aapl,MSFT", *RANGE, "--catalog", tmp_path)
    told = answer(*words)["imports"]
    assert [(each["ticker"], each["rows"], each["new_rows"]) for each in told] == [
        ("AAPL", 1170, 1170),
        ("MSFT", 390, 390),
    ]
    spans = sorted({path.rpartition("/minute/")[2] for path in aggregates(server)})
    assert spans == ["2025-01-15/2025-01-31", "2025-02-01/2025-02-28", "2025-03-01/2025-03-10"]
    server.requests.clear()
    assert [each["new_rows"] for each in answer(*words)["imports"]] == [0, 0]
    assert aggregates(server) == []
    assert len(read_bars(tmp_path, "AAPL.EQUS-1-MINUTE-LAST-EXTERNAL")) == 1170


def test_a_broken_off_fetch_goes_on_where_it_stopped(
    massive: Callable[..., SimpleNamespace], tmp_path: Path, answer: Callable[..., dict], refusal: Callable[..., str]
) -> None:
    not_paid = {"status": 403, "body": {"message": "upgrade your plan"}}
    massive({"AAPL": DAYS}, [{"body": {"results": DAYS[:390]}}, not_paid])
    words = ("data", "fetch", "massive", "--tickers", "AAPL", *RANGE, "--catalog", tmp_path, "--concurrency", "1")
    assert "not entitled to this data (upgrade your plan)" in refusal(*words)
    assert stored_bar_types(tmp_path) == []
    server = massive({"AAPL": DAYS})
    assert answer(*words)["imports"][0]["new_rows"] == 1170
    spans = [path.rpartition("/minute/")[2] for path in aggregates(server)]
    assert "2025-02-01/2025-02-28" in spans
    assert "2025-01-15/2025-01-31" not in spans


def test_tickers_stored_before_a_failure_are_listed(
    massive: Callable[..., SimpleNamespace], tmp_path: Path, refusal: Callable[..., str]
) -> None:
    massive({"AAPL": DAYS})
    line = refusal("data", "fetch", "massive", "--tickers", "AAPL,MSFT", *RANGE, "--catalog", tmp_path)
    assert "Massive has no bars of MSFT" in line
    assert "; stored before: AAPL.EQUS-1-MINUTE-LAST-EXTERNAL (1,170 new): " in line


def client(server: SimpleNamespace) -> MassiveClient:
    headers = {"Authorization": "Bearer sesame"}
    return MassiveClient(HttpSource("Massive", server.url, headers=headers, timeout_s=0.3, sleep=lambda _: None))


FAULTS = [
    {"status": 429, "body": b"", "headers": {"Retry-After": "1"}},
    {"status": 502, "body": b"<html>"},
    {"body": {"results": DAYS}, "cut": 2_000},
    {"body": json.dumps({"results": DAYS}).encode()[:-40]},
    {"body": {"results": DAYS}, "stall_s": 5},
]


def test_pages_survive_every_passing_fault(massive: Callable[..., SimpleNamespace]) -> None:
    server = massive({"AAPL": DAYS}, FAULTS)
    table = client(server).bars("AAPL", 1, date(2025, 1, 1), date(2025, 3, 31), adjusted=False)
    assert table["ts_ns"].to_pylist() == [row["t"] * 1_000_000 for row in DAYS]
    assert len(aggregates(server)) == len(FAULTS) + 2


def test_a_repeated_page_is_refused(serve: Serve) -> None:
    server = serve(
        lambda request: {"results": DAYS[:10], "next_url": f"http://{request.headers['Host']}/page?cursor=1"}
    )
    with pytest.raises(SourceError, match=r"sent a page of .* twice"):
        client(server).bars("AAPL", 1, date(2025, 1, 1), date(2025, 3, 31), adjusted=False)


def test_bars_twice_under_another_cursor_are_refused(serve: Serve) -> None:
    def same_again(request: SimpleNamespace) -> object:
        later = {} if request.query.get("cursor") else {"next_url": f"http://{request.headers['Host']}/page?cursor=1"}
        return {"results": DAYS[:10], **later}

    with pytest.raises(SourceError, match="do not ascend: fetch them again"):
        client(serve(same_again)).bars("AAPL", 1, date(2025, 1, 1), date(2025, 3, 31), adjusted=False)


@pytest.mark.parametrize(
    ("key", "words", "message"),
    [
        ("wrong", ("--tickers", "AAPL", *RANGE), "the key is wrong or missing (Unknown API Key)"),
        ("", ("--tickers", "AAPL", *RANGE), "Massive needs a key: set MASSIVE_API_KEY"),
        ("sesame", ("--tickers", "ZZZZ", *RANGE), "Massive has no bars of ZZZZ"),
        ("sesame", RANGE, "no ticker: give --tickers or --universe"),
        ("sesame", ("--universe", "nothing", *RANGE), "universe must be a YAML file or one of low_price"),
        ("sesame", ("--tickers", "AAPL", "--start", "2035-01-01"), "--start must not be after the last finished day"),
    ],
)
def test_bad_input_is_one_line_and_the_catalog_unchanged(
    massive: Callable[..., SimpleNamespace], tmp_path: Path, refusal: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch, key: str, words: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    massive({"AAPL": DAYS})
    monkeypatch.setenv("MASSIVE_API_KEY", key)
    line = refusal("data", "fetch", "massive", *words, "--catalog", tmp_path / "store")
    assert message in line
    assert "wrong" not in line.replace("the key is wrong", "")
    assert stored_bar_types(tmp_path / "store") == []


def test_a_split_inside_the_range_is_told_and_applied_only_when_asked(
    massive: Callable[..., SimpleNamespace], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = massive({"AAPL": DAYS[:780]})
    server.vendor.splits = [
        {"ticker": "AAPL", "execution_date": "2025-02-03", "split_from": 1, "split_to": 4},
    ]
    words = ["data", "fetch", "massive", "--tickers", "AAPL", *RANGE, "--catalog", str(tmp_path)]
    assert main(words) == 0
    assert "AAPL: 4:1 split on 2025-02-03; bars are as traded" in capsys.readouterr().err
    bar_type = "AAPL.EQUS-1-MINUTE-LAST-EXTERNAL"
    assert read_bars(tmp_path, bar_type).close[0] == 10_000
    out = tmp_path / "aapl.parquet"
    assert main(["data", "export", bar_type, str(out), "--split-adjusted", "--catalog", str(tmp_path)]) == 0
    frame = pq.read_table(out).to_pandas()
    assert (frame["close"].iloc[0], frame["volume"].iloc[0]) == (25.0, 4_000)
    assert (frame["close"].iloc[390], frame["volume"].iloc[390]) == (100.0, 1_000)


@pytest.mark.parametrize("name", ["ES", "ES.EQUS", "cl"])
def test_a_share_with_the_ticker_of_a_future_is_the_share(
    massive: Callable[..., SimpleNamespace],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    ticker = name.upper().removesuffix(".EQUS")
    server = massive({ticker: DAYS})
    words = ["data", "fetch", "massive", "--tickers", name, *RANGE, "--catalog", str(tmp_path)]
    capsys.readouterr()
    assert main(words) == 0
    # Three months, one table.
    assert f"imported: 1,170 bars of {ticker}.EQUS-1-MINUTE-LAST-EXTERNAL" in capsys.readouterr().out
    assert {request.path.split("/")[4] for request in server.requests if "/aggs/" in request.path} == {ticker}
    assert read_bars(tmp_path, f"{ticker}.EQUS-1-MINUTE-LAST-EXTERNAL").close[:2].tolist() == [10_000, 10_001]


@pytest.mark.slow
def test_a_month_of_thirty_tickers_equals_the_same_month_from_parquet(
    massive: Callable[..., SimpleNamespace], shared_data: Path, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    frame = pd.read_parquet(shared_data / "us30_1min_201510_201602.parquet")
    local = frame["ts_event"].dt.tz_convert("America/New_York")
    month = frame[(local >= "2015-11-01") & (local < "2015-12-01")]
    month.to_parquet(tmp_path / "month.parquet")
    answer("data", "import", tmp_path / "month.parquet", "--stamp", "open", "--catalog", tmp_path / "files")
    server = massive({str(name): rows_of(rows) for name, rows in month.groupby("symbol", observed=True)}, FAULTS[:2])
    tickers = ",".join(server.vendor.bars)
    words = ("--tickers", tickers, "--start", "2015-11-01", "--end", "2015-11-30", "--cpm", "100000")
    answer("data", "fetch", "massive", *words, "--concurrency", "8", "--catalog", tmp_path / "fetched")
    names = stored_bar_types(tmp_path / "files")
    assert len(names) == 30
    assert stored_bar_types(tmp_path / "fetched") == names
    for name in names:
        assert read_bars(tmp_path / "fetched", name).hash == read_bars(tmp_path / "files", name).hash, name

"""Yahoo over a real socket: finished sessions, holes, the unfinished last row, refusals."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from adapters.yahoo import YahooClient
from catalogs.storage.arrow import read_bars, stored_bar_types
from run.cli import main
from run.data.fetch.last_session import last_finished_day

Serve = Callable[..., SimpleNamespace]
LAST = last_finished_day()


def chart(times: list[int], close: list[float | None]) -> dict:
    quote = dict.fromkeys(("open", "high", "low", "close"), close)
    quote["volume"] = [None if price is None else 100 for price in close]
    return {"chart": {"result": [{"meta": {}, "timestamp": times, "indicators": {"quote": [quote]}}], "error": None}}


UNKNOWN = {
    "chart": {"result": None, "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"}}
}


def opening_minutes(n: int) -> np.ndarray:
    """Epochs of the first minutes of the last finished session."""
    return int(pd.Timestamp(f"{LAST} 09:30", tz="America/New_York").timestamp()) + 60 * np.arange(n)


class Yahoo:
    """One session of minutes: 100.00 rising a cent each, the third without trade, a stray quote at the end."""

    def __init__(self, n: int = 30) -> None:
        self.times = opening_minutes(n).tolist()
        self.close: list[float | None] = [float(np.float32(100 + 0.01 * i)) for i in range(n)]
        self.close[2] = None
        self.paths: set[str] = set()

    def __call__(self, request: SimpleNamespace) -> object:
        assert request.headers["User-Agent"].startswith("Mozilla")
        self.paths.add(request.path)
        if request.path.endswith("/ZZZZ"):
            return UNKNOWN
        begin, end = int(request.query["period1"]), int(request.query["period2"])
        assert request.query["interval"] == "1m"
        assert end - begin <= 7 * 86_400
        rows = [i for i, ts in enumerate(self.times) if begin <= ts < end]
        if not rows:
            return {"chart": {"result": [{"meta": {}, "indicators": {"quote": [{}]}}], "error": None}}
        return chart([self.times[i] for i in rows] + [self.times[-1] + 77], [self.close[i] for i in rows] + [999.0])


@pytest.fixture
def yahoo(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    vendor = Yahoo()
    server = serve(vendor)
    server.vendor = vendor
    monkeypatch.setenv("RL_INTRADAY_YAHOO_URL", server.url)
    monkeypatch.setattr("run.data.fetch.yahoo.PER_MINUTE", 60_000.0)
    return server


@pytest.mark.parametrize("words", [("--symbols", "SPY", "QQQ"), ("--symbols", "spy,QQQ")])
def test_minutes_of_finished_sessions_are_imported(
    yahoo: SimpleNamespace, tmp_path: Path, answer: Callable[..., dict], words: tuple[str, ...]
) -> None:
    told = answer("data", "fetch", "yahoo", *words, "--catalog", tmp_path)["imports"]
    assert [record["bar_type"].split(".")[0] for record in told] == ["SPY", "QQQ"]
    bars = read_bars(tmp_path, "SPY.EQUS-1-MINUTE-LAST-EXTERNAL")
    assert np.array_equal(bars.ts_ns, (opening_minutes(30) + 60) * 10**9)
    # The minute without trade is filled at the last close.
    assert bars.close[:4].tolist() == [10_000, 10_001, 10_001, 10_003]
    assert [finding["rule"] for finding in told[0]["findings"]] == ["off_tick", "gap_filled"]


def test_a_share_class_is_asked_for_as_yahoo_spells_it(
    yahoo: SimpleNamespace, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    told = answer("data", "fetch", "yahoo", "--symbols", "BRK.B", "--catalog", tmp_path)
    assert told["bar_type"] == "BRK.B.EQUS-1-MINUTE-LAST-EXTERNAL"
    assert {path.rpartition("/")[2] for path in yahoo.vendor.paths} == {"BRK-B"}


def test_what_was_stored_before_a_failure_is_listed(
    yahoo: SimpleNamespace, tmp_path: Path, answer: Callable[..., dict], refusal: Callable[..., str]
) -> None:
    words = ("data", "fetch", "yahoo", "--symbols", "SPY,ZZZZ", "--catalog", tmp_path)
    line = refusal(*words)
    assert "Yahoo does not know ZZZZ" in line
    assert "; stored before: SPY.EQUS-1-MINUTE-LAST-EXTERNAL (30 new): the same command goes on from there" in line
    assert "stored before" not in refusal(*words), "this time nothing was new"
    assert stored_bar_types(tmp_path) == ["SPY.EQUS-1-MINUTE-LAST-EXTERNAL"]


@pytest.mark.parametrize("before", ["", "SPY"])
def test_what_was_stored_before_ctrl_c_is_listed(
    yahoo: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    before: str,
) -> None:
    asked = YahooClient.minutes

    def minutes(client: YahooClient, symbol: str, *days: date) -> pa.Table:
        if symbol == "QQQ":
            raise KeyboardInterrupt
        return asked(client, symbol, *days)

    monkeypatch.setattr(YahooClient, "minutes", minutes)
    symbols = ",".join(filter(None, (before, "QQQ")))
    assert main(["data", "fetch", "yahoo", "--symbols", symbols, "--catalog", str(tmp_path)]) == 130
    said = f"stored before: {before}.EQUS-1-MINUTE-LAST-EXTERNAL (30 new): " if before else "nothing was stored: "
    assert said + "the same command goes on from there" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ES", "es", "ES.EQUS", "NQ"])
def test_a_share_with_the_ticker_of_a_future_is_the_share(
    yahoo: SimpleNamespace, tmp_path: Path, answer: Callable[..., dict], name: str
) -> None:
    told = answer("data", "fetch", "yahoo", "--symbols", name, "--catalog", tmp_path)
    ticker = name.upper().removesuffix(".EQUS")
    assert told["bar_type"] == f"{ticker}.EQUS-1-MINUTE-LAST-EXTERNAL"
    assert {path.rpartition("/")[2] for path in yahoo.vendor.paths} == {ticker}
    assert read_bars(tmp_path, told["bar_type"]).close[:2].tolist() == [10_000, 10_001]  # cents


def test_a_daily_fetch_appends(yahoo: SimpleNamespace, tmp_path: Path, answer: Callable[..., dict]) -> None:
    whole = yahoo.vendor.times
    yahoo.vendor.times = whole[:20]
    answer("data", "fetch", "yahoo", "--symbols", "SPY", "--catalog", tmp_path)
    yahoo.vendor.times = whole
    told = answer("data", "fetch", "yahoo", "--symbols", "SPY", "--catalog", tmp_path)
    assert (told["outcome"], told["new_rows"]) == ("appended", 10)


def test_a_changed_past_is_refused_and_the_catalog_unchanged(
    yahoo: SimpleNamespace, tmp_path: Path, answer: Callable[..., dict], refusal: Callable[..., str]
) -> None:
    answer("data", "fetch", "yahoo", "--symbols", "SPY", "--catalog", tmp_path)
    before = read_bars(tmp_path, "SPY.EQUS-1-MINUTE-LAST-EXTERNAL").hash
    yahoo.vendor.close = [None if price is None else price / 2 for price in yahoo.vendor.close]  # a split since
    line = refusal("data", "fetch", "yahoo", "--symbols", "SPY", "--catalog", tmp_path)
    assert "differ from the stored ones in catalog" in line
    assert read_bars(tmp_path, "SPY.EQUS-1-MINUTE-LAST-EXTERNAL").hash == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--symbols", "ZZZZ"), "Yahoo does not know ZZZZ: No data found, symbol may be delisted"),
        ((), "no symbol: give --symbols"),
        (("--symbols", "TpC"), "instrument 'TpC' mixes upper and lower case"),
        (("--symbols", "ESU5"), "a US share must be named by its ticker (SPY, BRK.B), was 'ESU5'"),
        (("--symbols", "SPY.XNAS"), "venue of instrument SPY.XNAS"),
        (("--symbols", "SPY", "--days", "400"), "--days must be 29 or less, was 400"),
    ],
)
def test_bad_input_is_one_line(
    yahoo: SimpleNamespace, tmp_path: Path, refusal: Callable[..., str], words: tuple[str, ...], message: str
) -> None:
    assert message in refusal("data", "fetch", "yahoo", *words, "--catalog", tmp_path / "store")
    assert stored_bar_types(tmp_path / "store") == []


def test_an_empty_range_is_told(yahoo: SimpleNamespace, tmp_path: Path, refusal: Callable[..., str]) -> None:
    yahoo.vendor.times = []
    line = refusal("data", "fetch", "yahoo", "--symbols", "SPY", "--catalog", tmp_path)
    assert f"Yahoo has no bars of SPY from {LAST - timedelta(days=28)} to {LAST}" in line


def test_something_else_than_a_chart_is_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("RL_INTRADAY_YAHOO_URL", serve(lambda _: {"finance": "moved"}).url)
    assert main(["data", "fetch", "yahoo", "--symbols", "SPY", "--catalog", str(tmp_path)]) == 2
    assert "Yahoo's answer for SPY is not a chart" in capsys.readouterr().err

"""Volatility indices: every layout, every fallback, one series stamped with when its values were known."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import databento_dbn as dbn
import numpy as np
import pandas as pd
import pytest

from adapters.errors import SourceError
from adapters.vix import from_file, parse_daily_csv
from catalogs.daily_values import read_context
from catalogs.errors import InputError

Serve = Callable[..., SimpleNamespace]
CBOE = "DATE,OPEN,HIGH,LOW,CLOSE\n07/01/2025,16.9,17.4,16.5,16.8\n07/02/2025,16.8,17.1,16.4,16.6\n"
ONE_VALUE = "DATE,VIX9D\n07/01/2025,14.1\n07/02/2025,13.9\n"
FRED = "observation_date,VIXCLS\n2025-07-02,16.64\n2025-07-03,16.38\n2025-07-04,\n2025-07-05,.\n"


def test_the_layouts_of_the_vendors() -> None:
    assert parse_daily_csv(CBOE, "cboe").to_pylist()[0] == {
        "date": date(2025, 7, 1), "open": 16.9, "high": 17.4, "low": 16.5, "close": 16.8
    }  # fmt: skip
    assert parse_daily_csv(ONE_VALUE, "cboe")["open"].to_pylist() == [14.1, 13.9]
    assert parse_daily_csv(FRED, "fred")["date"].to_pylist() == [date(2025, 7, 2), date(2025, 7, 3)]
    assert parse_daily_csv("\ufeff" + FRED.replace("observation_date", "DATE"), "fred")["close"].to_pylist() == [
        16.64,
        16.38,
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must begin with a date column, was 'empty'"),
        ("<html>", "must begin with a date column"),
        ("DATE\n", "has no column of values"),
        ("DATE,VIX\n", "has no values"),
        ("DATE,VIX\n13/40/2025,1\n", "line 2 was '13/40/2025'"),
        ("DATE,VIX\n07/01/2025,abc\n", "must have numbers, line 2 was abc"),
        ("DATE,VIX\n07/01/2025,-3\n", "must have values above 0 and below 1000"),
        ("DATE,OPEN,HIGH,LOW,CLOSE\n07/01/2025,16,15,17,16\n", "the low not above the high; line 2 was 16, 15, 17, 16"),
        ("DATE,VIX\n07/01/2025,3\n07/01/2025,4\n", "has 2025-07-01 twice, again in line 3"),
    ],
)
def test_what_is_no_table_of_values_is_refused(text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        parse_daily_csv(text, "cboe")


def test_recorded_files_are_read_whole(vendor_bytes: Path) -> None:
    path = vendor_bytes / "vix_daily" / "vix-daily.csv"
    frame = pd.read_csv(path)
    table = parse_daily_csv(path.read_text(), path.name)
    assert table["close"].to_pylist() == frame["CLOSE"].tolist()
    assert len(parse_daily_csv((vendor_bytes / "vix_daily" / "VVIX_History.csv").read_text(), "VVIX")) > 4_000


@pytest.fixture
def vendors(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[SimpleNamespace], object]]:
    """What each vendor responds with; a test replaces what it wants."""
    responses: dict[str, Callable[[SimpleNamespace], object]] = dict.fromkeys(
        ("cboe", "fred", "yahoo", "massive"), lambda _: {"status": 404, "body": b"{}"}
    )
    for name in responses:
        monkeypatch.setenv(
            f"RL_INTRADAY_{name.upper()}_URL", serve(lambda request, name=name: responses[name](request)).url
        )
    monkeypatch.setenv("MASSIVE_API_KEY", "sesame")
    monkeypatch.setattr("run.data.fetch.vix.FREE_PLAN_PER_MINUTE", 60_000.0)
    monkeypatch.setattr("run.data.fetch.yahoo.PER_MINUTE", 60_000.0)
    monkeypatch.setattr("run.data.fetch.vix.last_finished_day", lambda: date(2025, 7, 3))
    return responses


def cboe(request: SimpleNamespace) -> object:
    texts = {"/VIX_History.csv": CBOE, "/VIX9D_History.csv": ONE_VALUE, "/VIX3M_History.csv": ONE_VALUE}
    return {"body": texts[request.path].encode()}


def yahoo(request: SimpleNamespace) -> object:
    # Daily bars are stamped with 09:30 New York.
    times = [int(pd.Timestamp(f"2025-07-0{day} 09:30", tz="America/New_York").timestamp()) for day in (2, 3)]
    price = 19.0 if request.path.endswith("VIX3M") else 15.0
    quote = {name: [price, price + 1] for name in ("open", "high", "low", "close", "volume")}
    return {"chart": {"result": [{"timestamp": times, "indicators": {"quote": [quote]}}], "error": None}}


def massive(request: SimpleNamespace) -> object:
    t = int(pd.Timestamp("2025-07-03", tz="America/New_York").timestamp()) * 1_000
    return {"status": "OK", "results": [{"t": t, "o": 20.0, "h": 21.0, "l": 19.5, "c": 20.5}]}


def test_each_day_comes_from_the_first_source_that_has_it(
    vendors: dict, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    vendors["cboe"], vendors["fred"], vendors["yahoo"] = cboe, lambda _: {"body": FRED.encode()}, yahoo
    told = answer("data", "fetch", "vix", "--catalog", tmp_path)
    steps = [(step["index"], step["source"], step["outcome"].split(":")[0]) for step in told["steps"]]
    assert steps == [
        ("VIX", "cboe", "taken"), ("VIX", "fred", "taken"),
        ("VIX9D", "cboe", "taken"), ("VIX9D", "fred", "failed"), ("VIX9D", "yahoo", "taken"),
        ("VIX3M", "cboe", "taken"), ("VIX3M", "fred", "taken"),
    ]  # fmt: skip
    vix = read_context(tmp_path, "VIX")
    assert vix.close.tolist() == [16.8, 16.6, 16.38]
    assert [str(np.datetime64(int(ns), "ns"))[:16] for ns in vix.ts_ns] == [
        "2025-07-01T20:15", "2025-07-02T20:15", "2025-07-03T20:15",
    ]  # fmt: skip
    assert read_context(tmp_path, "VIX9D").close.tolist() == [14.1, 13.9, 16.0]


def test_the_last_source_serves_when_the_others_fail(
    vendors: dict, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    vendors["massive"] = massive
    answer("data", "fetch", "vix", "--catalog", tmp_path)
    vix3m = read_context(tmp_path, "VIX3M")
    assert (vix3m.open.tolist(), vix3m.close.tolist()) == ([20.0], [20.5])


def test_files_are_asked_first(vendors: dict, tmp_path: Path, answer: Callable[..., dict], vendor_bytes: Path) -> None:
    vendors["cboe"] = cboe
    path = vendor_bytes / "vix_daily" / "vix-daily.csv"
    told = answer("data", "fetch", "vix", "--file", path, "--sources", "cboe", "--catalog", tmp_path)
    assert (told["steps"][0]["source"], told["steps"][0]["outcome"]) == ("file", "taken")
    assert len(read_context(tmp_path, "VIX").close) == len(pd.read_csv(path))
    assert read_context(tmp_path, "VIX9D").close.tolist() == [14.1, 13.9]


def dbn_days(symbol: str, closes: list[float], schema: dbn.Schema = dbn.Schema.OHLCV_1D) -> bytes:
    """Daily bars from 1 July 2025 on, as Databento stamps them: midnight UTC."""
    interval = SimpleNamespace(start_date=date(2025, 1, 1), end_date=date(2026, 1, 1), symbol="3")
    metadata = dbn.Metadata(
        dataset="OPRA.PILLAR", schema=schema, symbols=[symbol], start=0, stype_in=dbn.SType.RAW_SYMBOL,
        stype_out=dbn.SType.INSTRUMENT_ID, mappings=[SimpleNamespace(raw_symbol=symbol, intervals=[interval])],
    )  # fmt: skip
    midnight = int(np.datetime64("2025-07-01", "ns").astype(int))
    prices = [int(close * 1e9) for close in closes]
    return metadata.encode() + b"".join(
        bytes(dbn.OHLCVMsg(35, 1, 3, midnight + 86_400 * 10**9 * day, price, price, price, price, 0))
        for day, price in enumerate(prices)
    )


def test_daily_bars_of_a_databento_file(vendors: dict, tmp_path: Path, answer: Callable[..., dict]) -> None:
    path = tmp_path / "VIX.ohlcv-1d.dbn"
    path.write_bytes(dbn_days("VIX", [16.75, 16.5, 16.25]))
    answer("data", "fetch", "vix", "--file", path, "--sources", "cboe", "--catalog", tmp_path)
    vix = read_context(tmp_path, "VIX")
    assert vix.close.tolist() == [16.75, 16.5, 16.25]
    assert str(np.datetime64(int(vix.ts_ns[0]), "ns"))[:16] == "2025-07-01T20:15"


def test_minutes_are_no_daily_values(tmp_path: Path) -> None:
    path = tmp_path / "VIX.dbn"
    path.write_bytes(dbn_days("VIX", [16.75], dbn.Schema.OHLCV_1M))
    with pytest.raises(SourceError, match=r"must hold daily bars \(ohlcv-1d\), was ohlcv-1m"):
        from_file(path)


def test_a_later_fetch_without_an_index_keeps_it(vendors: dict, tmp_path: Path, answer: Callable[..., dict]) -> None:
    vendors["cboe"] = cboe
    answer("data", "fetch", "vix", "--sources", "cboe", "--catalog", tmp_path)
    vendors["fred"] = lambda _: {"body": FRED.encode()}
    answer("data", "fetch", "vix", "--sources", "fred", "--catalog", tmp_path)
    assert read_context(tmp_path, "VIX").close.tolist() == [16.64, 16.38]
    assert read_context(tmp_path, "VIX9D").close.tolist() == [14.1, 13.9]


def test_no_source_at_all_is_told_and_nothing_written(
    vendors: dict, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    line = refusal("data", "fetch", "vix", "--catalog", tmp_path)
    assert "no values of VIX from cboe, fred, yahoo, massive" in line
    assert not (tmp_path / "context").exists()
    with pytest.raises(InputError, match=r"no daily values of VIX in catalog .*: run `data fetch vix`"):
        read_context(tmp_path, "VIX")


def test_an_unknown_source_is_refused(vendors: dict, tmp_path: Path, refusal: Callable[..., str]) -> None:
    assert "must be from cboe, fred, yahoo, massive, was 'stooq'" in refusal(
        "data", "fetch", "vix", "--sources", "stooq", "--catalog", tmp_path
    )

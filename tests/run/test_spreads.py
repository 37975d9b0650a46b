"""``rl-intraday data spreads`` from the command line, and a training that pays what it wrote."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from catalogs.instruments.specification import resolve
from catalogs.spreads.table import read_spreads
from catalogs.storage.ticks import write_ticks
from configs import instruments_path
from configs.schema import load_experiment
from run.cli import BAD_INPUT, main

OPEN = pd.Timestamp("2024-11-18 14:30", tz="UTC")
Answer = Callable[..., dict]


@pytest.fixture
def quotes(tmp_path: Path) -> pd.DataFrame:
    """A quote every thirty seconds of a session: five ticks wide for an hour, one tick afterwards."""
    times = pd.date_range(OPEN, periods=780, freq="30s")
    wide = np.where(np.arange(780) < 120, 0.05, 0.01)
    frame = pd.DataFrame({"ts_event": times, "bid": 300.0, "ask": np.round(300.0 + wide, 2)})
    frame.to_parquet(tmp_path / "quotes.parquet")
    frame.to_csv(tmp_path / "quotes.csv", index=False)
    return frame


def test_bars_are_estimated(synthetic_catalog: Path, answer: Answer, tmp_path: Path) -> None:
    out = tmp_path / "spreads.csv"
    words = ("--minutes", 195, "--out", out, "--catalog", synthetic_catalog)
    told = answer("data", "spreads", "SPY", "AAPL", *words)
    assert told["method"] == "abdi-ranaldo"
    assert list(told["spreads"]) == ["SPY.EQUS", "AAPL.EQUS"]
    table = read_spreads(out)
    assert [minute for minute, _ in table["SPY.EQUS"]] == [0, 195]
    assert all(ticks >= 1 for rows in table.values() for _, ticks in rows)


@pytest.mark.parametrize("file", ["quotes.parquet", "quotes.csv"])
def test_quotes_of_a_file_are_measured(
    file: str, quotes: pd.DataFrame, synthetic_catalog: Path, answer: Answer, tmp_path: Path
) -> None:
    out = tmp_path / "spreads.csv"
    words = ("--quotes", tmp_path / file, "--minutes", 60, "--out", out, "--catalog", synthetic_catalog)
    answer("data", "spreads", "SPY", *words)
    # Minutes 1 to 59, then 60 and later.
    assert read_spreads(out) == {"SPY.EQUS": [(0, 5.0), *[(minute, 1.0) for minute in (60, 120, 180, 240, 300, 360)]]}
    assert load_experiment("spy_single", {"execution.slippage.spreads": str(out)}).execution.slippage is not None


def test_quotes_of_the_catalog_are_measured(quotes: pd.DataFrame, answer: Answer, tmp_path: Path) -> None:
    nano = {f"{side}_price": np.rint(quotes[side] * 1e9).astype(np.int64) for side in ("bid", "ask")}
    sizes = {name: np.full(len(quotes), 100) for name in ("bid_size", "ask_size")}
    stamps = quotes["ts_event"].dt.as_unit("ns").astype("int64")
    table = pa.table({"ts_ns": stamps.to_numpy(), **nano, **sizes})
    write_ticks(tmp_path / "store", resolve("SPY", instruments_path()), "quotes", [table])
    told = answer("data", "spreads", "SPY", "--method", "quotes", "--minutes", 60, "--catalog", tmp_path / "store")
    assert [bucket["spread_ticks"] for bucket in told["spreads"]["SPY.EQUS"]][:2] == [5.0, 1.0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("QQQ",), "instrument must be one that the catalog holds, AAPL.EQUS, MSFT.EQUS, SPY.EQUS; was 'QQQ'"),
        (("SPY", "SPY"), "SPY.EQUS is named twice"),
        (("SPY", "--method", "quotes"), "has no quotes of SPY.EQUS"),
        (("SPY", "--bar", "5-MINUTE"), "no 5-MINUTE bars of SPY.EQUS"),
        (("SPY", "--minutes", "7"), "minutes must be a multiple of 5, was 7"),
        (("SPY", "--quotes", "nowhere.csv"), "nowhere.csv"),
        (("SPY", "AAPL", "--quotes", "quotes.csv"), "--quotes is a file of one instrument, 2 were named"),
    ],
)
def test_bad_input_is_one_line(
    words: tuple[str, ...], said: str, synthetic_catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "spreads", *words, "--catalog", str(synthetic_catalog)]) == BAD_INPUT
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"time": ["2024-11-18T14:30:00Z"], "ask": [1.0]}, "must have one of the columns bid, bid_price"),
        ({"when": [1], "bid": [1.0], "ask": [1.0]}, "must have one of the columns ts_event"),
        ({"time": ["2024-11-18T14:30:00Z"], "bid": ["x"], "ask": [1.0]}, "prices must be numbers"),
        ({"time": ["2024-11-18T14:30:00Z"], "bid": [3e11], "ask": [3e11]}, "prices must be in USD"),
        ({"time": ["2024-11-18 14:30:00"], "bid": [1.0], "ask": [2.0]}, "zone"),
    ],
)
def test_quote_files_that_are_none_are_refused(
    columns: dict, said: str, synthetic_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "quotes.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    assert main(["data", "spreads", "SPY", "--quotes", str(path), "--catalog", str(synthetic_catalog)]) == BAD_INPUT
    assert said in " ".join(capsys.readouterr().err.split())

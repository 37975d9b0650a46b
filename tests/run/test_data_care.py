"""``rl-intraday data consolidate``, ``export`` and ``check --against`` from the command line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from run.cli import main

SPY_MINUTES = "SPY.EQUS-1-MINUTE-LAST-EXTERNAL"
Answer = Callable[..., dict]


@pytest.fixture
def store(tmp_path: Path, answer: Answer) -> Path:
    """Catalog into which two days were imported one by one, the second from a file that holds both."""
    frames = []
    for day in ("2025-03-10", "2025-03-11"):
        close = np.round(100 + 0.01 * np.random.default_rng(len(frames)).integers(0, 50, 390), 2)
        times = pd.date_range(f"{day} 13:31", periods=390, freq="min", tz="UTC")
        frames.append(
            pd.DataFrame({"time": times, "open": close, "high": close, "low": close, "close": close, "volume": 5})
        )
        path = tmp_path / f"{day}.parquet"
        pd.concat(frames).to_parquet(path)
        words = ("--instrument", "SPY", "--stamp", "close", "--catalog", tmp_path / "store")
        told = answer("data", "import", path, *words)
        assert (told["outcome"], told["new_rows"]) == (("imported", "appended")[len(frames) - 1], 390)
    return tmp_path / "store"


def test_consolidate_says_how_many_files_there_were(store: Path, answer: Answer) -> None:
    [result] = answer("data", "consolidate", "--catalog", store)["consolidated"]
    assert result == {"bar_type": SPY_MINUTES, "files_before": 2, "files_after": 1}
    assert answer("data", "list", "--catalog", store)["bars"][0]["rows"] == 780


def test_list_tells_what_else_there_is(store: Path, answer: Answer, tmp_path: Path) -> None:
    bundle = tmp_path / "runs" / "one" / "bundle" / "spy-1"
    bundle.mkdir(parents=True)
    (bundle / "manifest.json").write_text("{}")
    (store / "context").mkdir()
    (store / "context" / "vix.parquet").write_bytes(b"")
    told = answer("data", "list", "--catalog", store, "--runs", tmp_path / "runs")
    assert told["instruments"] == ["SPY.EQUS"]
    assert told["context"] == ["vix"]
    assert told["bundles"] == [str(bundle)]


def test_export_takes_whole_days(store: Path, answer: Answer, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    words = ("--start", "2025-03-11", "--end", "2025-03-11", "--catalog", store)
    assert answer("data", "export", SPY_MINUTES, out, *words)["rows"] == 390
    frame = pd.read_csv(out, parse_dates=["ts_close"])
    assert str(frame["ts_close"].iloc[0]) == "2025-03-11 13:31:00+00:00"


def test_a_late_source_is_told(store: Path, answer: Answer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = ("--catalog", tmp_path / "other")
    path = tmp_path / "2025-03-11.parquet"
    answer("data", "import", path, "--instrument", "SPY", "--stamp", "open", *other)  # a minute late
    [comparison] = answer("data", "check", "--catalog", tmp_path / "other", "--against", store)["comparisons"].values()
    assert comparison["shift_bars"] == 1
    assert main(["data", "check", *map(str, other), "--against", str(store)]) == 0
    assert "LATE BY 1 BARS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("consolidate", "QQQ.EQUS-1-MINUTE-LAST-EXTERNAL"), "no bars of 'QQQ.EQUS-1-MINUTE-LAST-EXTERNAL'"),
        (("export", SPY_MINUTES, "bars.xlsx"), "must end in .csv or .parquet"),
        (("export", SPY_MINUTES, "bars.csv", "--start", "2026-01-01"), "no bars of"),
        (("check", "--against", "nowhere"), "catalog nowhere does not exist"),
    ],
)
def test_bad_input_is_one_line(
    store: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["data", *words, "--catalog", str(store)]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert message in errors[0]
    assert not Path("bars.csv").exists()

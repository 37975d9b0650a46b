"""A share class, BRK.B, goes the whole way from a file to a traded session; every vendor spells it otherwise."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd
import pytest

from catalogs.instruments.specification import resolve
from catalogs.synthetic import synthetic_sessions
from configs import instruments_path
from rl_strategies.features import FeatureSpec, StreamSpec
from rl_strategies.live.journal.journal import read_journal
from run.cli import main
from run.features.context import find_streams
from tests.live.conftest import PAPER_DAY, PAPER_EXPERIMENT, ROOT

FIRST = "2024-12-19"
PAPER_CONFIG = """
host: 127.0.0.1
port: 4002
contract: {symbol: SYMBOL, kind: STK, exchange: SMART}
health: null
"""


class Trained(NamedTuple):
    """A bundle for BRK.B, and the catalog that it was trained on."""

    bundle: Path
    catalog: Path
    home: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Imported from a CSV file and hardly trained."""
    home = tmp_path_factory.mktemp("share_class")
    spec = resolve("BRK.B", instruments_path())
    bars = synthetic_sessions(spec, np.datetime64(FIRST), np.datetime64(PAPER_DAY), seed=0, start_price=450.0).bars
    table = {name: getattr(bars, name) / 100 for name in ("open", "high", "low", "close")}
    times = pd.to_datetime(bars.ts_ns, utc=True)
    file, catalog, experiment = home / "BRK.B.csv", home / "catalog", home / "quick.yaml"
    pd.DataFrame({"timestamp": times, "symbol": "BRK.B", **table, "volume": bars.volume}).to_csv(file, index=False)
    imported = ["data", "import", str(file), "--instrument", "BRK.B", "--stamp", "close", "--catalog", str(catalog)]
    assert main(imported) == 0
    experiment.write_bytes(msgspec.yaml.encode({**PAPER_EXPERIMENT, "instrument": "BRK.B"}))
    assert main(["train", str(experiment), "--catalog", str(catalog), "--runs", str(home / "runs")]) == 0
    (bundle,) = home.glob("runs/*/bundle/*")
    return Trained(bundle, catalog, home)


def test_a_file_is_imported_under_its_own_name(trained: Trained, answer: Callable[..., dict]) -> None:
    told = answer("data", "list", "--catalog", trained.catalog)
    assert "BRK.B.EQUS-1-MINUTE-LAST-EXTERNAL" in json.dumps(told)


def test_backtest_and_simulator_agree(trained: Trained, tmp_path: Path, answer: Callable[..., dict]) -> None:
    days = ("--start", PAPER_DAY, "--end", PAPER_DAY)
    told = answer("backtest", trained.bundle, "--catalog", trained.catalog, *days, "--out", tmp_path)
    assert (told["simulator_agrees"], told["fills"] > 20) == (True, True)


@pytest.mark.parametrize("symbol", ["BRK.B", "BRK B"])
def test_paper_trades_it_at_the_broker(
    trained: Trained, symbol: str, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    config = tmp_path / "paper.yaml"
    config.write_text(PAPER_CONFIG.replace("SYMBOL", symbol))
    words = ["paper", trained.bundle, "--simulated", "--start", PAPER_DAY, "--speed", 100_000, "--json"]
    words += ["--catalog", trained.catalog, "--sessions", tmp_path / "sessions", "--config", config]
    command = [sys.executable, "-W", "ignore", "-m", "run.cli", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert (told["units"], told["fills"] > 20) == (0, True)
    rows = read_journal(Path(told["folder"]) / "journal").rows.to_pylist()
    assert {row["instrument_id"] for row in rows if row["kind"] in ("order", "fill")} == {"BRK.B.EQUS"}
    assert answer("replay", told["folder"], "--catalog", trained.catalog)["is_equal"] is True


def test_a_context_stream_names_it_with_an_underscore(trained: Trained) -> None:
    stream = StreamSpec("BRK_B", (FeatureSpec("momentum", "momentum", {"n": 5}),))
    found = find_streams(trained.catalog, [stream], "1-MINUTE")
    assert found["BRK_B"].source.bar_type == "BRK.B.EQUS-1-MINUTE-LAST-EXTERNAL"
    source = found["BRK_B"].source.instrument
    assert source is not None
    assert source.instrument_id == "BRK.B.EQUS"

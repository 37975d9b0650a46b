"""A share below one dollar is stored, trained, backtested and traded on a tick of a hundredth of a cent."""

import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd
import pytest

from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.instruments.stored import TICK_BELOW_ONE_DOLLAR, stored_spec
from catalogs.storage.arrow import read_bars
from catalogs.synthetic import synthetic_sessions
from configs import instruments_path
from rl_strategies.bundle.bundle import load_bundle
from rl_strategies.live.journal.journal import read_journal
from run.cli import BAD_INPUT, main
from run.trade.session.metadata import read_metadata
from tests.live.conftest import PAPER_CONFIG, PAPER_DAY, PAPER_EXPERIMENT, ROOT

FIRST = "2024-12-19"
BAR_TYPE = "PENY.EQUS-1-MINUTE-LAST-EXTERNAL"


class Trained(NamedTuple):
    """A bundle for a share below one dollar, and its catalog."""

    bundle: Path
    catalog: Path


def penny() -> InstrumentSpec:
    """As the instrument table knows it."""
    return resolve("PENY", instruments_path())


def prices(start_price: float) -> pd.DataFrame:
    """Minutes around a price, in hundredths of a cent."""
    fine = msgspec.structs.replace(penny(), tick_size=TICK_BELOW_ONE_DOLLAR)
    days = np.datetime64(FIRST), np.datetime64(PAPER_DAY)
    bars = synthetic_sessions(fine, *days, seed=0, start_price=start_price).bars
    table = {name: getattr(bars, name) / 10_000 for name in ("open", "high", "low", "close")}
    return pd.DataFrame({"timestamp": pd.to_datetime(bars.ts_ns, utc=True), **table, "volume": bars.volume})


def import_words(file: Path, catalog: Path) -> list[str]:
    """A full import command."""
    return ["data", "import", str(file), "--instrument", "PENY", "--stamp", "close", "--catalog", str(catalog)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Imported from a CSV file and hardly trained."""
    home = tmp_path_factory.mktemp("below")
    file, catalog, experiment = home / "peny.csv", home / "catalog", home / "quick.yaml"
    prices(0.6).to_csv(file, index=False)
    assert main(import_words(file, catalog)) == 0
    experiment.write_bytes(msgspec.yaml.encode({**PAPER_EXPERIMENT, "instrument": "PENY"}))
    assert main(["train", str(experiment), "--catalog", str(catalog), "--runs", str(home / "runs")]) == 0
    (bundle,) = home.glob("runs/*/bundle/*")
    return Trained(bundle, catalog)


def test_the_import_chooses_the_tick_by_the_prices(trained: Trained) -> None:
    assert penny().tick_size == Decimal("0.01")
    assert stored_spec(trained.catalog, penny()).tick_size == TICK_BELOW_ONE_DOLLAR
    bars = read_bars(trained.catalog, BAR_TYPE)
    assert bars.tick_raw == 10**12
    assert len(np.unique(bars.close % 100)) > 50  # not rounded to cents
    assert load_bundle(trained.bundle).instrument.tick_size == TICK_BELOW_ONE_DOLLAR


def test_prices_on_both_sides_of_a_dollar_keep_the_cent(tmp_path: Path, answer: Callable[..., dict]) -> None:
    file = tmp_path / "mixed.csv"
    frame = prices(0.6)
    frame.loc[100:, ["open", "high", "low", "close"]] += 0.5
    frame.to_csv(file, index=False)
    told = answer(*import_words(file, tmp_path / "catalog"))
    assert stored_spec(tmp_path / "catalog", penny()).tick_size == Decimal("0.01")
    assert "off_tick" in {finding["rule"] for finding in told["findings"]}


def test_a_share_that_has_reached_a_dollar_is_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "later.csv"
    frame = prices(0.6)
    frame.loc[frame.index[-1], "high"] = 1.0
    frame.to_csv(file, index=False)
    capsys.readouterr()
    assert main(import_words(file, trained.catalog)) == BAD_INPUT
    said = capsys.readouterr().err
    assert "prices of PENY.EQUS must be below 1 USD, as its tick in" in said
    assert "the highest was 1.0: import all its bars into a new catalog" in said


def test_backtest_and_simulator_agree(trained: Trained, tmp_path: Path, answer: Callable[..., dict]) -> None:
    days = ("--start", PAPER_DAY, "--end", PAPER_DAY)
    told = answer("backtest", trained.bundle, "--catalog", trained.catalog, *days, "--out", tmp_path)
    assert (told["simulator_agrees"], told["metrics"]["unreconciled_usd"]) == (True, 0.0)
    assert told["fills"] > 20


def test_paper_sends_barriers_in_hundredths_of_a_cent(
    trained: Trained, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    config = tmp_path / "paper.yaml"
    config.write_text(PAPER_CONFIG.replace("SPY", "PENY"))
    words = ["paper", trained.bundle, "--simulated", "--start", PAPER_DAY, "--speed", 100_000, "--json"]
    words += ["--catalog", trained.catalog, "--sessions", tmp_path / "sessions", "--config", config]
    command = [sys.executable, "-W", "ignore", "-m", "run.cli", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert (told["units"], told["fills"] > 20) == (0, True)
    folder = Path(told["folder"])
    rows = read_journal(folder / "journal").rows.to_pylist()
    triggers = [json.loads(row["text"])["trigger_ticks"] for row in rows if row["kind"] == "fill"]
    assert any(trigger % 100 for trigger in triggers if trigger)
    assert read_metadata(folder).tick_size == TICK_BELOW_ONE_DOLLAR
    assert answer("replay", folder, "--catalog", trained.catalog)["is_equal"] is True

"""A policy that reads two markets and a daily index beside its own: on a gateway it decides as in the BacktestNode."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks.faults.bundle import Traded
from catalogs.daily_values import write_context
from catalogs.sessions import session_calendar
from configs.schema import parse_experiment
from rl_strategies.bundle.bundle import load_bundle
from rl_strategies.live.journal.journal import Journal, read_journal
from run.backtest.node import NodeRun, run_node
from run.backtest.window import ReplayWindow
from run.cli import main
from run.trade.replay.session import replay_session
from run.train.train import train_experiment
from tests.live.conftest import PAPER_CONFIG, PAPER_DAY, ROOT
from tests.live.context_day import EXPERIMENT, STREAMS, make_beside

pytestmark = [pytest.mark.xdist_group("context"), pytest.mark.slow]
CAUSES = ("data", "feature", "state", "policy", "fill", "cost")
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Traded:
    """SPY does not trade in every twentieth minute."""
    return make_beside(tmp_path_factory.mktemp("beside"), holes=0.05)


@pytest.fixture(scope="module")
def folder(beside: Traded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session that `rl-intraday paper --simulated` traded."""
    return trade(beside, PAPER_DAY, tmp_path_factory.mktemp("sessions"))


def trade(traded: Traded, day: str, home: Path) -> Path:
    """Trade a day; the session's folder."""
    (home / "paper.yaml").write_text(PAPER_CONFIG)
    words = ["paper", traded.bundle, "--simulated", "--start", day, "--speed", 100_000, "--json"]
    words += ["--catalog", traded.catalog, "--sessions", home / "sessions", "--config", home / "paper.yaml"]
    # A process of its own: NautilusTrader's live node sets things that outlive it.
    command = [sys.executable, "-W", "ignore", "-m", "run.cli", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return Path(json.loads(done.stdout)["folder"])


@pytest.fixture(scope="module")
def rows(folder: Path) -> Rows:
    """The session's journal."""
    return read_journal(folder / "journal").rows.to_pylist()


@pytest.fixture(scope="module")
def node_run(beside: Traded, rows: Rows) -> NodeRun:
    """The BacktestNode's run of the same day over the catalog, with the warm-up that the session had."""
    calendar = session_calendar("NYSE")
    day = int(np.searchsorted(calendar.session_date, np.datetime64(PAPER_DAY)))
    open_ns, close_ns = int(calendar.open_ns[day]), int(calendar.close_ns[day])
    warm_ns = min(row["ts_ns"] for row in rows if row["kind"] == "bar" or row["instrument_id"] in ("SPY", "QQQ"))
    window = ReplayWindow(warm_ns, open_ns + 60 * 10**9, close_ns)
    return run_node(load_bundle(beside.bundle), beside.catalog, window, volume_known=True)


def test_observations_are_the_nodes_byte_for_byte(rows: Rows, node_run: NodeRun) -> None:
    seen = np.array([row["values"] for row in rows if row["kind"] == "observation"], np.float32)
    assert len(seen) == 204
    assert seen.tobytes() == node_run.observations.tobytes()


def test_executions_are_the_nodes(rows: Rows, node_run: NodeRun) -> None:
    names = ("units", "price_ticks", "commission_cents", "kind", "trigger_ticks")
    journaled = [json.loads(row["text"]) for row in rows if row["kind"] == "fill"]
    (fills,) = node_run.fills
    assert [tuple(fill[name] for name in names) for fill in journaled] == [
        tuple(getattr(fill, name) for name in names) for fill in fills
    ]
    assert len(fills) > 50


def test_context_is_written_before_the_decision_that_uses_it(rows: Rows) -> None:
    known: dict[str, int] = {}
    for row in rows:
        if row["kind"] == "context":
            assert row["ts_ns"] > known.get(row["instrument_id"], 0)
            known[row["instrument_id"]] = row["ts_ns"]
        elif row["kind"] == "observation":
            assert known["QQQ"] == row["ts_ns"]  # no minute of it is missing
            assert 0 <= row["ts_ns"] - known["SPY"] < 5 * 60 * 10**9
    assert set(known) == set(STREAMS)


def test_what_cannot_be_remembered_is_not_handed_over(rows: Rows) -> None:
    written = [row for row in rows if row["kind"] == "context" and row["instrument_id"] == "VIX"]
    # The z-score looks back on 60 days; the session begins with the bars of three days before.
    assert 60 <= len(written) < 70


def test_the_session_says_what_it_read(folder: Path) -> None:
    assert json.loads((folder / "session.json").read_text())["context"] == {
        "SPY": "SPY.EQUS-1-MINUTE-LAST-EXTERNAL",
        "QQQ": "QQQ.EQUS-1-MINUTE-LAST-EXTERNAL",
        "VIX": None,
    }


def test_its_replay_finds_no_divergence(folder: Path, beside: Traded, answer: Callable[..., dict]) -> None:
    replay = answer("replay", folder, "--catalog", beside.catalog)
    assert {
        cause: (each["divergences"], each["decisions"]) for cause, each in replay["causes"].items()
    } == dict.fromkeys(CAUSES, (0, 0))
    assert (replay["decisions"], replay["equal_observations"], replay["bars_compared"]) == (204, 204, True)


def test_a_real_day_beside_two_real_markets(shared_data: Path, tmp_path: Path) -> None:
    catalog = tmp_path / "store"
    source = shared_data / "us_vix_1min_20190211_15.parquet"
    for ticker in ("AAPL", "SPY", "QQQ"):
        named = ("--instrument", ticker, "--symbol", ticker, "--bar", "1-MINUTE", "--stamp", "open")
        assert main(["data", "import", str(source), *named, "--catalog", str(catalog)]) == 0
    vix = pd.read_parquet(shared_data / "vix_daily_1990_202509.parquet")
    vix = vix[vix["ts_event"].dt.year.isin([2018, 2019])]
    prices = {name: vix[name].to_numpy() for name in ("open", "high", "low", "close")}
    table = pa.table({"date": vix["ts_event"].dt.date.tolist(), **prices, "source": ["file"] * len(vix)})
    write_context(catalog, {"VIX": table})
    days = {"train": {"start": "2019-02-13", "end": "2019-02-14"}}
    experiment = parse_experiment(EXPERIMENT | days, "beside")
    bundle = train_experiment(experiment, catalog, tmp_path / "runs", listener=lambda _: None).bundle
    replay = replay_session(trade(Traded(bundle, catalog), "2019-02-15", tmp_path), catalog)
    assert (replay.divergences, len(replay.session.decisions), replay.equal_observations) == ((), 384, 384)
    assert replay.session.context.keys() == {"SPY", "QQQ", "VIX"}


# Changed journals -------------------------------------------------------------------------------------------------


@pytest.fixture
def changed(folder: Path, rows: Rows, tmp_path: Path) -> Callable[[Callable[[Rows], None]], Path]:
    """``changed(change)``: folder of the session with its journal's rows changed."""

    def make(change: Callable[[Rows], None]) -> Path:
        copy = tmp_path / PAPER_DAY
        copy.mkdir()
        shutil.copy(folder / "session.json", copy)
        copied = [{**row, "values": list(row["values"])} for row in rows]
        change(copied)
        journal = Journal(copy / "journal", durable=False)
        for row in copied:
            journal.append(row["kind"], row["ts_ns"], row["instrument_id"], row["values"], row["text"])
        journal.close()
        return copy

    return make


def used_by(rows: Rows, decision: int, name: str) -> int:
    """Place of the last row of a stream before a decision's observation."""
    seen = [place for place, row in enumerate(rows) if row["kind"] == "observation"][decision]
    return max(k for k, row in enumerate(rows[:seen]) if row["kind"] == "context" and row["instrument_id"] == name)


def test_a_changed_row_of_context_is_data_where_a_catalog_knows_better(
    changed: Callable[[Callable[[Rows], None]], Path], beside: Traded
) -> None:
    def higher(rows: Rows) -> None:
        row = rows[used_by(rows, 100, "QQQ")]
        row["values"] = [price + 1.0 for price in row["values"][:4]] + row["values"][4:]

    copy = changed(higher)
    replay = replay_session(copy, beside.catalog)
    first = replay.divergences[0]
    assert (first.cause, first.what) == ("data", "context QQQ: high")
    assert float(first.written) - float(first.made) == pytest.approx(1.0, abs=0.01)
    assert set(replay.decisions) == {"data"}
    alone = replay_session(copy)
    assert alone.divergences[0].cause == "feature"
    assert alone.decisions["feature"] == replay.decisions["data"] > 0


def test_a_row_that_came_after_the_decision_is_data(changed: Callable[[Callable[[Rows], None]], Path]) -> None:
    def late(rows: Rows) -> None:
        place = used_by(rows, 100, "QQQ")
        row = rows.pop(place)
        review = next(k for k in range(place, len(rows)) if rows[k]["kind"] == "review")
        rows.insert(review + 1, row)

    replay = replay_session(changed(late))
    first = next(each for each in replay.divergences if each.cause == "data")
    assert (first.what, first.written, first.made) == ("context QQQ: known", "after the decision", "before it")


def test_a_row_of_context_that_is_lost_is_data(
    changed: Callable[[Callable[[Rows], None]], Path], beside: Traded
) -> None:
    replay = replay_session(changed(lambda rows: rows.pop(used_by(rows, 100, "QQQ")) and None), beside.catalog)
    first = replay.divergences[0]
    assert (first.cause, first.what, first.written, first.made) == ("data", "context QQQ", "not seen", "in the catalog")

"""What trades on a gateway decides as the BacktestNode does on the same bars, and is filled as that is."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from catalogs.sessions import session_calendar
from rl_strategies.bundle.bundle import load_bundle
from rl_strategies.live.journal.journal import read_journal
from run.backtest.node import NodeRun, run_node
from run.backtest.window import ReplayWindow
from run.cli import main
from run.trade.session.folder import SessionHome
from tests.live.conftest import PAPER_CONFIG, PAPER_DAY, ROOT, PaperDay

pytestmark = pytest.mark.xdist_group("paper")


@pytest.fixture(scope="module")
def journal(paper_day: PaperDay) -> dict[str, list[dict]]:
    """Rows of the session's journal by kind."""
    rows: dict[str, list[dict]] = {}
    for row in read_journal(paper_day.folder / "journal").rows.to_pylist():
        rows.setdefault(row["kind"], []).append(row)
    return rows


@pytest.fixture(scope="module")
def node_run(paper_day: PaperDay, journal: dict[str, list[dict]]) -> NodeRun:
    """The BacktestNode's run of the same day over the catalog, with the warm-up that the session had."""
    calendar = session_calendar("NYSE")
    day = int(np.searchsorted(calendar.session_date, np.datetime64(PAPER_DAY)))
    open_ns, close_ns = int(calendar.open_ns[day]), int(calendar.close_ns[day])
    window = ReplayWindow(journal["bar"][0]["ts_ns"], open_ns + 60 * 10**9, close_ns)
    return run_node(load_bundle(paper_day.bundle), paper_day.catalog, window, volume_known=True)


def test_observations_are_the_nodes_byte_for_byte(journal: dict[str, list[dict]], node_run: NodeRun) -> None:
    seen = np.array([row["values"] for row in journal["observation"]], np.float32)
    # Minutes that close from 9:31 to 12:54: five minutes before the end everything is closed.
    assert len(seen) == 204
    assert seen.tobytes() == node_run.observations.tobytes()


def test_targets_are_the_nodes(journal: dict[str, list[dict]], node_run: NodeRun) -> None:
    targets = [int(row["values"][0]) for row in journal["target"]]
    assert targets == [int(action) - 1 for action in node_run.actions[:, 0]]
    assert len(set(targets)) > 1


def test_executions_are_the_nodes(journal: dict[str, list[dict]], node_run: NodeRun) -> None:
    names = ("units", "price_ticks", "commission_cents", "kind", "trigger_ticks")
    told = [json.loads(row["text"]) for row in journal["fill"]]
    written = [tuple(fill[name] for name in names) for fill in told]
    (fills,) = node_run.fills
    assert written == [tuple(getattr(fill, name) for name in names) for fill in fills]
    assert {fill["reason"] for fill in told} >= {"entry", "stop_loss", "take_profit"}
    assert len(fills) > 50


def test_the_session_ends_flat_and_says_so(journal: dict[str, list[dict]]) -> None:
    assert sum(json.loads(row["text"])["units"] for row in journal["fill"]) == 0
    states = [json.loads(row["text"]) for row in journal["state"]]
    assert [(state["from"], state["to"]) for state in states if state["what"] == "session"] == [
        ("starting", "trading"),
        ("trading", "ending"),
        ("trading", "stopped"),
    ]


def test_every_decision_of_the_session_was_taken(paper_day: PaperDay) -> None:
    assert (paper_day.told["decisions"], paper_day.told["not_taken"]) == (204, {})


def test_its_replay_finds_no_divergence(paper_day: PaperDay, answer: Callable[..., dict]) -> None:
    replay = answer("replay", paper_day.folder, "--catalog", paper_day.catalog)
    assert {
        cause: (found["divergences"], found["decisions"]) for cause, found in replay["causes"].items()
    } == dict.fromkeys(("data", "feature", "state", "policy", "fill", "cost"), (0, 0))
    assert (replay["is_equal"], replay["bars_compared"], replay["torn"]) == (True, True, None)
    assert (replay["decisions"], replay["equal_observations"]) == (204, 204)


def test_the_replay_says_so_in_one_line(paper_day: PaperDay, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(paper_day.folder)]) == 0
    said = capsys.readouterr().err
    assert "equal: all 204 decisions and" in said
    assert "not compared: no --catalog" in said


# Calls of the command line, one after the other, in a process that NautilusTrader may set things of.
CALLS = """
import json, sys
from run.cli import main
for words in json.loads(sys.argv[1]):
    print("code", main(words), file=sys.stderr)
"""


def test_bad_input_is_one_line(paper_day: PaperDay, tmp_path: Path) -> None:
    bundle, home = str(paper_day.bundle), SessionHome(tmp_path / paper_day.bundle.name)
    config = tmp_path / "paper.yaml"
    config.write_text(PAPER_CONFIG)
    paper = ["paper", bundle, "--sessions", str(tmp_path), "--config", str(config)]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        calls = {
            "needs the day to replay": [*paper, "--simulated"],
            "2024-12-25 is not a trading day of NYSE": [*paper, "--simulated", "--start", "2024-12-25"],
            "no bars of SPY.EQUS-1-MINUTE": [*paper, "--simulated", "--start", PAPER_DAY, "--catalog", str(tmp_path)],
            "no live configuration": [*paper[:-1], "nowhere"],
            "another process is using": paper,
            f"port {port} cannot be listened on": [
                "gateway", "SPY", "--start", PAPER_DAY, "--catalog", str(paper_day.catalog), "--port", port,
            ],
        }  # fmt: skip
        command = [sys.executable, "-W", "ignore", "-c", CALLS, json.dumps(list(calls.values()))]
        environment = {**os.environ, "IB_ACCOUNT": "DU1234567"}
        with home.locked():
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    said = done.stderr.splitlines()
    assert said[1::2] == ["code 2"] * len(calls)
    for expected, line in zip(calls, said[::2], strict=True):
        assert line.startswith("error: ")
        assert expected in line
    assert [path.name for path in tmp_path.glob("*/*")] == ["lock"]

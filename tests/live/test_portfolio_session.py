"""A policy that trades three shares on one account: on a gateway it decides and trades as in the BacktestNode."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.faults.bundle import Traded
from catalogs.sessions import session_calendar
from rl_strategies.bundle.bundle import load_bundle
from rl_strategies.live.journal.journal import read_journal
from run.backtest.node import NodeRun, run_node
from run.backtest.window import ReplayWindow
from tests.live.conftest import PAPER_DAY
from tests.live.portfolio_day import NAMES, make_portfolio, trade

pytestmark = [pytest.mark.xdist_group("portfolio"), pytest.mark.slow]
CAUSES = ("data", "feature", "state", "policy", "fill", "cost")
FIELDS = ("units", "price_ticks", "commission_cents", "kind", "trigger_ticks", "reason")
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def portfolio(tmp_path_factory: pytest.TempPathFactory) -> Traded:
    """AAPL has no trade in every twentieth bar."""
    return make_portfolio(tmp_path_factory.mktemp("portfolio"), holes=0.05)


@pytest.fixture(scope="module")
def folder(portfolio: Traded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session that `rl-intraday paper --simulated` traded."""
    return trade(portfolio, tmp_path_factory.mktemp("sessions"))


@pytest.fixture(scope="module")
def rows(folder: Path) -> Rows:
    """The session's journal."""
    return read_journal(folder / "journal").rows.to_pylist()


@pytest.fixture(scope="module")
def node_run(portfolio: Traded, rows: Rows) -> NodeRun:
    """The BacktestNode's run of the same day over the catalog, with the warm-up that the session had."""
    calendar = session_calendar("NYSE")
    day = int(np.searchsorted(calendar.session_date, np.datetime64(PAPER_DAY)))
    open_ns, close_ns = int(calendar.open_ns[day]), int(calendar.close_ns[day])
    warm_ns = min(row["ts_ns"] for row in rows if row["kind"] == "bar")
    return run_node(
        load_bundle(portfolio.bundle),
        portfolio.catalog,
        ReplayWindow(warm_ns, open_ns + 300 * 10**9, close_ns),
        volume_known=True,
    )


def test_observations_are_the_nodes_byte_for_byte(rows: Rows, node_run: NodeRun) -> None:
    seen = np.array([row["values"] for row in rows if row["kind"] == "observation"], np.float32)
    assert len(seen) > 35
    assert seen.tobytes() == node_run.observations.tobytes()


@pytest.mark.parametrize("k", range(3))
def test_executions_are_the_nodes(rows: Rows, node_run: NodeRun, k: int) -> None:
    written = [row for row in rows if row["kind"] == "fill" and row["instrument_id"] == NAMES[k]]
    journaled = [json.loads(row["text"]) for row in written]
    assert [tuple(fill[name] for name in FIELDS) for fill in journaled] == [
        tuple(getattr(fill, name) for name in FIELDS) for fill in node_run.fills[k]
    ]
    assert len(node_run.fills[k]) > 5


def test_entries_share_one_budget(rows: Rows) -> None:
    reviews = [row for row in rows if row["kind"] == "review"]
    # Three times ten shares of 300 USD want 9,000 USD; 5 % of 100,000 are allowed: entries are scaled down.
    wanted = [int(row["values"][2]) for row in reviews if row["values"][2]]
    assert min(wanted) < 10
    assert max(wanted) == 10


def test_its_replay_finds_no_divergence(folder: Path, portfolio: Traded, answer: Callable[..., dict]) -> None:
    replay = answer("replay", folder, "--catalog", portfolio.catalog)
    assert {
        cause: (each["divergences"], each["decisions"]) for cause, each in replay["causes"].items()
    } == dict.fromkeys(CAUSES, (0, 0))
    assert replay["decisions"] == replay["equal_observations"] > 35
    assert replay["bars_compared"]
    assert replay["instrument_ids"] == list(NAMES)


def test_the_session_says_what_it_traded(folder: Path) -> None:
    metadata = json.loads((folder / "session.json").read_text())
    traded = [metadata["instrument_id"], *(each["instrument_id"] for each in metadata["others"])]
    assert traded == list(NAMES)


def test_its_costs_are_measured_of_every_instrument(folder: Path, answer: Callable[..., dict]) -> None:
    measured = answer("calibrate", folder)
    assert measured["commission_usd_per_unit"].keys() == set(NAMES)

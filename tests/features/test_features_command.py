"""`rl-intraday features list`."""

import json

from typer.testing import CliRunner

from rl_strategies.features import REGISTRY
from run.features.commands import app


def test_json_lists_every_kind() -> None:
    result = CliRunner().invoke(app, ["list", "--json"])
    assert result.exit_code == 0
    listed = {row["kind"]: row for row in json.loads(result.stdout)}
    assert listed.keys() == REGISTRY.keys()
    assert listed["macd"] == {
        "kind": "macd",
        "family": "technical",
        "outputs": ["line", "signal", "histogram"],
        "params": {"fast": 12, "slow": 26, "signal": 9},
        "needs": ["close"],
        "wire": [],
        "anchored": False,
        "warmup_rows": listed["macd"]["warmup_rows"],
        "summary": "Moving average convergence divergence, over the price.",
    }
    assert listed["log_return"]["warmup_rows"] == 2
    assert listed["ratio"]["wire"] == ["numerator", "denominator"]
    assert listed["vwap_distance"]["anchored"]


def test_table_lists_every_kind() -> None:
    result = CliRunner().invoke(app, ["list"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    for kind in REGISTRY:
        assert kind in result.stdout
    assert "fast=12" in result.stdout

"""The demo: no key, no network, the whole path."""

import json
from pathlib import Path

import pytest

from run.cli import main


@pytest.mark.slow
def test_demo_finds_most_of_the_planted_edge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["backtest"]["simulator_agrees"] is True
    assert told["share_of_oracle"] > 0.5
    report = Path(told["backtest"]["files"]["report.html"]).read_text()
    assert "Synthetic data with a planted edge" in report
    assert "training" in err

"""`data import` of Databento's CSV with bars of several venues: combined, chosen or refused; never the last one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from catalogs.storage.arrow import read_bars
from run.cli import main

HEADER = "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n"
SPY = "SPY.EQUS-1-MINUTE-LAST-EXTERNAL"
XNAS, BATS = 2, 5  # Databento's numbers


def rows(publisher: int, close: float, volume: int, minutes: range = range(30, 45)) -> str:
    """Flat minutes of SPY after 13:00 UTC."""
    return "".join(
        f"2025-07-03T13:{minute}:00Z,33,{publisher},7,{close},{close},{close},{close},{volume},SPY\n"
        for minute in minutes
    )


def written(path: Path, content: str) -> Path:
    path.write_text(HEADER + content)
    return path


def test_what_is_combined_is_said_and_stored(
    tmp_path: Path, answer: Callable[..., dict], capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "spy.csv", rows(XNAS, 620.0, 1000) + rows(BATS, 620.1, 5))
    told = answer("data", "import", path, "--catalog", tmp_path / "store")
    assert (told["publishers"], told["combined"], told["rows"]) == (["XNAS", "BATS"], 15, 15)
    bars = read_bars(tmp_path / "store", SPY)
    assert {tuple(getattr(bars, name)) for name in ("open", "low", "close")} == {(62000,) * 15}
    assert (set(bars.high.tolist()), set(bars.volume.tolist())) == ({62010}, {1005})
    assert main(["data", "import", str(path), "--catalog", str(tmp_path / "shown")]) == 0
    said = capsys.readouterr().out.replace("\n", " ")
    assert "15 bars combined from several publishers (XNAS, BATS): highest high" in said


def test_one_can_be_chosen_and_strict_refuses_to_combine(
    tmp_path: Path, answer: Callable[..., dict], refusal: Callable[..., str]
) -> None:
    path = written(tmp_path / "spy.csv", rows(XNAS, 620.0, 1000) + rows(BATS, 620.1, 5))
    line = refusal("data", "import", path, "--strict", "--catalog", tmp_path / "store")
    assert "spy.csv has 15 minutes of SPY from several publishers (XNAS, BATS): choose one with --publisher" in line
    assert not (tmp_path / "store").exists()
    told = answer("data", "import", path, "--strict", "--publisher", "bats", "--catalog", tmp_path / "store")
    assert (told["publishers"], told["combined"]) == (["BATS"], 0)
    assert set(read_bars(tmp_path / "store", SPY).close.tolist()) == {62010}


def test_files_of_different_publishers_for_one_minute_are_refused(
    tmp_path: Path, answer: Callable[..., dict], refusal: Callable[..., str]
) -> None:
    one = written(tmp_path / "a.csv", rows(XNAS, 620.0, 1000))
    other = written(tmp_path / "b.csv", rows(BATS, 620.1, 5, range(40, 55)))
    line = refusal("data", "import", one, other, "--catalog", tmp_path / "store")
    assert "5 minutes of SPY are from different publishers in two files (XNAS in a.csv and BATS in b.csv)" in line
    assert not (tmp_path / "store").exists()
    later = written(tmp_path / "c.csv", rows(BATS, 620.1, 5, range(45, 55)))
    assert answer("data", "import", one, later, "--catalog", tmp_path / "store")["rows"] == 25

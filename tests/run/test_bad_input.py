"""Bad input ends in one readable line on standard error, exit code 2, and nothing written."""

from pathlib import Path

import pandas as pd
import pytest

from run.cli import main


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """Run a command that must be refused; the line it prints."""
    assert main([str(word) for word in words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "Traceback" not in err
    return lines[0]


@pytest.fixture
def bars_csv(tmp_path: Path) -> Path:
    """Two good minutes of SPY with explicit UTC."""
    path = tmp_path / "bars.csv"
    times = pd.date_range("2024-04-01T13:30Z", periods=2, freq="1min")
    prices = {"open": 500.0, "high": 500.5, "low": 499.5, "close": 500.1}
    frame = pd.DataFrame({"timestamp": times, **prices, "volume": 900})
    frame.to_csv(path, index=False)
    return path


def import_words(path: Path, catalog: Path, instrument: str = "SPY") -> list[str | Path]:
    """A full import command."""
    return ["data", "import", path, "--instrument", instrument, "--bar", "1-MINUTE", "--catalog", catalog]


def test_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere.csv" in refused(capsys, *import_words(tmp_path / "nowhere.csv", tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_unknown_column(bars_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.read_csv(bars_csv).rename(columns={"close": "settled"}).to_csv(bars_csv, index=False)
    assert "close" in refused(capsys, *import_words(bars_csv, tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_naive_time_without_zone(bars_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = bars_csv.read_text().replace("+00:00", "")
    bars_csv.write_text(text)
    assert "--tz" in refused(capsys, *import_words(bars_csv, tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_unknown_instrument(bars_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "XYZZY9" in refused(capsys, *import_words(bars_csv, tmp_path / "store", "XYZZY9.XCME"))
    assert not (tmp_path / "store").exists()


def test_good_file_is_not_refused(bars_csv: Path, tmp_path: Path) -> None:
    assert main([str(word) for word in import_words(bars_csv, tmp_path / "store")]) == 0
    assert (tmp_path / "store").is_dir()


def test_unknown_experiment_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ninstrument: SPY\ntrain: {start: 2024-04-01, end: 2024-04-30}\nlearning_speed: 3\n")
    line = refused(capsys, "train", path, "--runs", tmp_path / "runs")
    assert "unknown key learning_speed" in line
    assert not (tmp_path / "runs").exists()


def test_unknown_nested_key_by_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("train", "spy_single", "--runs", tmp_path / "runs", "--set", "trading.lots=2")
    assert "unknown key trading.lots" in refused(capsys, *words)
    assert not (tmp_path / "runs").exists()


def test_unknown_preset_names_the_presets(capsys: pytest.CaptureFixture[str]) -> None:
    assert "spy_single" in refused(capsys, "train", "no_such_preset")


def test_range_that_ends_before_it_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--start", "2024-05-01", "--end", "2024-04-01", "--runs", tmp_path / "runs")
    line = refused(capsys, "train", "spy_single", *words)
    assert "2024-05-01 to 2024-04-01" in line


def test_empty_date_range(bars_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = tmp_path / "store"
    main([str(word) for word in import_words(bars_csv, catalog)])
    capsys.readouterr()
    words = ("train", "spy_single", "--catalog", catalog, "--start", "2030-01-01", "--end", "2030-01-31")
    assert "2030-01-01" in refused(capsys, *words, "--runs", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_catalog_without_the_bars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "SPY.EQUS-1-MINUTE" in refused(
        capsys, "train", "spy_single", "--catalog", tmp_path / "none", "--runs", tmp_path / "runs"
    )
    assert list(tmp_path.iterdir()) == []


def test_unknown_verb_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert "trian" in refused(capsys, "trian", "spy_single")
    assert "--spede" in refused(capsys, "train", "spy_single", "--spede", "3")


def test_bundle_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("backtest", tmp_path / "nothing", "--start", "2025-01-01", "--end", "2025-01-31")
    assert "nothing" in refused(capsys, *words)

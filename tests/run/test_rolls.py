"""`data rolls` and `data check` around the expiry of a contract, on bars without a known history."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pytest

from catalogs.instruments.specification import resolve
from catalogs.rolls import read_rolls
from catalogs.storage.arrow import write_bars
from catalogs.storage.inventory import check
from catalogs.synthetic import PlantedEdge, synthetic_provenance, synthetic_sessions
from configs import instruments_path
from run.cli import main

FIRST, LAST = np.datetime64("2025-06-09"), np.datetime64("2025-06-24")
MINUTE = "1-MINUTE"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole sessions of ESM5, which expires on Friday the 20th, and of ESU5."""
    folder = tmp_path_factory.mktemp("rolls")
    for name in ("ESM5", "ESU5"):
        spec, edge = resolve(name, instruments_path(), date(2025, 6, 1)), PlantedEdge()
        bars = synthetic_sessions(spec, FIRST, LAST, seed=4, edge=edge).bars
        write_bars(folder, spec, bars, synthetic_provenance(spec, bars, edge, 4))
    return folder


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (("--method", "calendar"), date(2025, 6, 16)),
        (("--method", "calendar", "--days-before-expiry", "2"), date(2025, 6, 18)),
        (("--method", "calendar", "--bar", MINUTE), date(2025, 6, 16)),
    ],
)
def test_rolls_by_calendar_as_documented(
    catalog: Path, answer: Callable[..., dict], words: tuple[str, ...], first: date
) -> None:
    told = answer("data", "rolls", "es", *words, "--catalog", catalog)
    assert [month["instrument_id"] for month in told["months"]] == ["ESM5.XCME", "ESU5.XCME"]
    assert read_rolls(catalog, "ES").months[1].first_session == first


def test_a_series_that_is_refused_leaves_the_stored_table(
    catalog: Path, tmp_path: Path, answer: Callable[..., dict], capsys: pytest.CaptureFixture[str]
) -> None:
    answer("data", "rolls", "es", "--method", "calendar", "--catalog", catalog)
    before = read_rolls(catalog, "ES")
    words = ["data", "rolls", "es", "--method", "calendar", "--days-before-expiry", "2", "--catalog", str(catalog)]
    assert main([*words, "--continuous", str(tmp_path / "es.txt")]) == 2
    assert "export file must end in .csv or .parquet" in capsys.readouterr().err
    assert read_rolls(catalog, "ES") == before


def test_the_bars_to_read_are_asked_for_where_there_are_several(
    catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "rolls", "NQ", "--method", "calendar", "--catalog", str(catalog)]) == 2
    assert "no bars of NQ contracts in catalog" in capsys.readouterr().err
    assert main(["data", "rolls", "ZC", "--catalog", str(catalog)]) == 2
    assert "root must be one of ES, MES" in capsys.readouterr().err
    folders = [tmp_path / "data" / "bar" / f"ESU5.XCME-{bar}-LAST-EXTERNAL" for bar in (MINUTE, "5-MINUTE")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "2025-06-09T00-00-00-000000000Z_2025-06-10T00-00-00-000000000Z.parquet").touch()
    assert main(["data", "rolls", "ES", "--catalog", str(tmp_path)]) == 2
    assert "has ES contracts in bars of 1-MINUTE, 5-MINUTE: choose with --bar" in capsys.readouterr().err


def test_the_day_of_an_expiry_is_complete_with_its_last_trade(catalog: Path) -> None:
    coverage = check(catalog, f"ESM5.XCME-{MINUTE}-LAST-EXTERNAL")
    # Juneteenth until noon, and Friday the 20th until 08:30 in Chicago: short, and whole.
    assert coverage.sessions == coverage.complete_sessions == 10
    assert (coverage.missing_bars, coverage.outside_sessions, coverage.incomplete_sessions) == (0, 0, ())


def test_bars_after_the_last_trade_are_outside(tmp_path: Path) -> None:
    spec, edge = resolve("ESM5", instruments_path(), date(2025, 6, 1)), PlantedEdge()
    endless = msgspec.structs.replace(spec, expiration_ns=0)
    bars = synthetic_sessions(endless, np.datetime64("2025-06-20"), np.datetime64("2025-06-20"), seed=4, edge=edge).bars
    write_bars(tmp_path, spec, bars, synthetic_provenance(spec, bars, edge, 4))
    coverage = check(tmp_path, f"ESM5.XCME-{MINUTE}-LAST-EXTERNAL")
    assert (coverage.complete_sessions, coverage.outside_sessions) == (1, 450)  # 08:30 to 16:00

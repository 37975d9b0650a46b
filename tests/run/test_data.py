"""``rl-intraday data`` from the command line, as a user runs it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from run.cli import main

SPY_MINUTES = "SPY.EQUS-1-MINUTE-LAST-EXTERNAL"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run("list", …)``: exit code, standard output and standard error of ``data list`` on a catalog of its own."""

    def call(verb: str, *arguments: object) -> tuple[int, str, str]:
        words = ["data", verb, *map(str, arguments), "--catalog", str(tmp_path / "catalog")]
        code = main(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def session_csv(tmp_path: Path) -> Path:
    """Monday 10 March 2025 in New York: 390 minutes stamped with their open, local time without a zone."""
    close = np.round(100 + 0.01 * np.arange(390), 2)
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2025-03-10 09:30", periods=390, freq="min").strftime("%Y-%m-%d %H:%M"),
            "open": close,
            "high": np.round(close + 0.01, 2),
            "low": np.round(close - 0.01, 2),
            "close": close,
            "volume": 1_000,
            "vwap": close,
        }
    )
    path = tmp_path / "session.csv"
    frame.to_csv(path, index=False)
    return path


NEW_YORK = ("--tz", "America/New_York")


def test_import_list_and_check(run: Run, session_csv: Path) -> None:
    code, out, err = run("import", session_csv, "--instrument", "SPY", *NEW_YORK)
    assert code == 0
    assert f"imported: 390 bars of {SPY_MINUTES}" in out
    assert "2025-03-10T13:31:00Z to 2025-03-10T20:00:00Z" in out
    assert "nothing to mend" in out
    assert "timestamps are taken as bar OPENS" in err
    assert "unused columns: vwap" in err
    code, out, _ = run("list")
    assert code == 0
    assert SPY_MINUTES in out
    code, out, _ = run("check")
    assert code == 0
    assert "1, of which 1 complete" in out


def test_json_is_one_object_on_standard_output(run: Run, session_csv: Path) -> None:
    code, out, err = run("import", session_csv, "--instrument", "SPY", "--stamp", "open", *NEW_YORK, "--json")
    record = json.loads(out)
    assert (code, record["outcome"], record["rows"], record["stamp"]) == (0, "imported", 390, "open")
    assert record["findings"] == []
    assert record["sources"][0]["rows"] == 390
    assert "OPEN" not in err
    _, out, _ = run("list", "--json")
    assert [bars["rows"] for bars in json.loads(out)["bars"]] == [390]
    _, out, _ = run("check", SPY_MINUTES, "--json")
    assert json.loads(out)["coverage"][0]["missing_bars"] == 0


def test_the_stamp_shifts_by_one_bar(run: Run, session_csv: Path) -> None:
    _, out, _ = run("import", session_csv, "--instrument", "SPY", "--stamp", "close", *NEW_YORK, "--json")
    record = json.loads(out)
    # 09:30 closes no bar of the session.
    assert record["first"] == "2025-03-10T13:31:00Z"
    assert record["last"] == "2025-03-10T19:59:00Z"
    assert [finding["rule"] for finding in record["findings"]] == ["out_of_session", "misplaced"]


def test_importing_twice_says_so(run: Run, session_csv: Path) -> None:
    run("import", session_csv, "--instrument", "SPY", *NEW_YORK)
    code, out, _ = run("import", session_csv, "--instrument", "SPY", *NEW_YORK)
    assert code == 0
    assert "already imported: 390 bars" in out


def test_a_contract_month_takes_its_decade_from_the_data(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "es.csv"
    times = pd.date_range("2015-08-03 14:00", periods=20, freq="min", tz="UTC").strftime("%Y-%m-%dT%H:%MZ")
    pd.DataFrame({"ts": times, "o": 2000.0, "h": 2000.25, "l": 1999.75, "c": 2000.0}).to_csv(path, index=False)
    code, _, _ = run("import", path, "--instrument", "ESU5", "--assume-volume", 100)
    assert code == 0
    [contract] = ParquetDataCatalog(tmp_path / "catalog").instruments()
    assert contract.expiration_utc.isoformat() == "2015-09-18T13:30:00+00:00"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--instrument", "SPY"), "session.csv has times without a time zone"),
        (("--instrument", "ZCZ5", *NEW_YORK), "root of future ZCZ5 must be one of ES, MES"),
        (("--instrument", "SPY.ARCA", *NEW_YORK), "venue of instrument SPY.ARCA"),
        (("--instrument", "SPY", "--bar", "1-DAY", *NEW_YORK), "bar must be N-MINUTE or N-HOUR"),
        (("--instrument", "SPY", "--bar", "5-MINUTE", *NEW_YORK), "most are 1 minutes apart"),
        (("--instrument", "SPY", "--tz", "Mars/Base"), "time zone must be an IANA name"),
        (("--instrument", "SPY", "--symbol", "SPY", *NEW_YORK), "has no symbol column"),
        (
            ("--instrument", "SPY", "--stamp", "close", "--strict", *NEW_YORK),
            "strict import refused: out_of_session at",
        ),
        (("--instrument", "SPY", "--tz", "Asia/Tokyo"), "sessions begin and end 13 hours early"),
        (("--instrument", "SPY", "--stamp", "middle", *NEW_YORK), "'middle'"),
    ],
)
def test_bad_input_is_one_line_and_code_two(
    run: Run, session_csv: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = run("import", session_csv, *arguments)
    errors = [line for line in err.splitlines() if line.startswith("error:")]
    assert code == 2
    assert out == ""
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in err
    assert not (tmp_path / "catalog").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "bad.csv does not exist"),
        ("", "bad.csv is empty: no bars"),
        ("time,open,high,low,close\n", "is empty: no bars"),
        ("time,open,price\n1,1,1\n", "the file has time, open, price"),
    ],
)
def test_a_bad_file_is_one_line_and_code_two(run: Run, tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "bad.csv"
    if text is not None:
        path.write_text(text)
    code, out, err = run("import", path, "--instrument", "SPY")
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert not (tmp_path / "catalog").exists()


def test_a_missing_catalog_is_refused(run: Run) -> None:
    for verb in ("list", "check"):
        code, out, err = run(verb)
        assert (code, out) == (2, "")
        assert re.search(r"error: catalog \S+ does not exist", err)


def test_an_empty_catalog_says_how_to_begin(run: Run, tmp_path: Path) -> None:
    (tmp_path / "catalog").mkdir()
    for verb in ("list", "check"):
        code, out, _ = run(verb)
        assert code == 0
        assert "holds no bars" in out


def test_a_foreign_symbol_is_told(run: Run, session_csv: Path) -> None:
    pd.read_csv(session_csv).assign(symbol="QQQ").to_csv(session_csv, index=False)
    _, _, err = run("import", session_csv, "--instrument", "SPY", *NEW_YORK)
    assert "session.csv: bars of symbol 'QQQ' are stored as SPY.EQUS" in err


def test_the_right_zone_is_not_doubted(session_csv: Path, run: Run) -> None:
    words = ("import", session_csv, "--instrument", "SPY", "--stamp", "open", "--tz")
    assert "lie outside every session" not in run(*words, "America/New_York")[2]


def test_a_wrong_zone_is_named_as_the_likely_cause(
    session_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 09:30 to 15:59 taken as UTC is 05:30 to 11:59 in New York: 240 of 389 minutes come before the open. A whole
    # session would show by how much it is off; this one lacks its last minute.
    shorter = tmp_path / "shorter.csv"
    shorter.write_text("".join(session_csv.read_text().splitlines(keepends=True)[:-1]))
    words = ["data", "import", str(shorter), "--instrument", "SPY", "--stamp", "open", "--tz", "UTC"]
    assert main([*words, "--catalog", str(tmp_path / "other")]) == 0
    err = " ".join(capsys.readouterr().err.split())
    assert "warning: 62% of the rows lie outside every session and were dropped" in err

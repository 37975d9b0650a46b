"""`rl-intraday features build` on a catalog: coverage by family, what is left out and why, context, own features."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from catalogs.daily_values import write_context
from catalogs.errors import InputError
from catalogs.instruments.specification import resolve
from catalogs.storage.arrow import write_bars
from catalogs.synthetic import PlantedEdge, synthetic_provenance, synthetic_sessions
from configs import instruments_path
from rl_strategies.features.plans.coverage import family_coverage
from rl_strategies.features.plans.plan import FeaturePlan
from rl_strategies.features.spec import FeatureSpec
from run.features.commands import app

FIRST, LAST = np.datetime64("2025-03-03"), np.datetime64("2025-03-14")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks of MES and SPY, and VIX by day."""
    folder = tmp_path_factory.mktemp("catalog")
    for name in ("MESM5", "SPY"):
        spec = resolve(name, instruments_path(), reference=date(2025, 3, 14))
        bars = synthetic_sessions(spec, FIRST, LAST, seed=1).bars
        write_bars(folder, spec, bars, synthetic_provenance(spec, bars, PlantedEdge(), 1))
    days = [date(2024, 11, 1) + timedelta(days=n) for n in range(140)]
    values = pa.array(np.linspace(15.0, 25.0, len(days)))
    prices = dict.fromkeys(("open", "high", "low", "close"), values)
    write_context(folder, {"VIX": pa.table({"date": days, **prices, "source": ["made up"] * len(days)})})
    return folder


def build(catalog: Path, *arguments: str) -> Any:
    result = CliRunner().invoke(app, ["build", *arguments, "--catalog", str(catalog), "--json"])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return json.loads(result.stdout)


def test_summary_counts_by_family(catalog: Path) -> None:
    answer = build(catalog, "SPY", "--features", "default+vpa")
    families = {family["family"]: family for family in answer["families"]}
    assert families.keys() == {"technical", "session", "vpa"}
    assert answer["left_out"] == {"regular_hours": "these bars cover regular hours only, so it would be constant"}
    # Ten sessions of 390 bars: 50-bar averages need 1450 rows, the VWAP is there from the first.
    assert answer["rows"] == 3900
    assert families["technical"]["warmup_rows"] == 1450
    assert families["technical"]["first_valid_session"] == "2025-03-04"
    assert families["session"]["finite_share"] == 1.0
    assert families["session"]["first_valid_session"] == "2025-03-03"
    assert 0.9 < families["technical"]["finite_share"] < 1.0


def test_context_of_the_catalog_is_joined_and_the_rest_left_out(catalog: Path, tmp_path: Path) -> None:
    out = tmp_path / "matrix.npz"
    answer = build(catalog, "MESM5", "--smt", "--vix", "--out", str(out))
    assert answer["left_out"] == {
        "smt_spy_qqq": "QQQ has no data",
        "smt_swing_spy_qqq": "QQQ has no data",
        "vix_9d_1m": "VIX9D has no data",
        "vix_1m_3m": "VIX3M has no data",
    }
    assert {"smt_own_spy", "smt_swing_own_spy", "vix", "vix_z"} <= {*answer["outputs"]}
    families = {family["family"]: family for family in answer["families"]}
    assert families["smt"]["finite_share"] > 0.99
    with np.load(out) as matrix:
        fresh = matrix["values"][:, matrix["names"].tolist().index("SPY_fresh")]
    assert fresh.mean() == pytest.approx(390 / 1380, abs=0.01), "SPY trades 6.5 of the 23 hours"


def test_daily_values_are_those_of_the_day_before(catalog: Path, tmp_path: Path) -> None:
    out = tmp_path / "matrix.npz"
    build(catalog, "SPY", "--vix", "--out", str(out))
    with np.load(out) as kept:
        column = kept["values"][:, list(kept["names"]).index("vix")] * 100
        day = kept["ts_ns"].astype("datetime64[ns]").astype("datetime64[D]")
    # 2025-03-04 is day 123 from the first of November, of 140 from 15 to 25 points; its own value is not known yet.
    expected = 15.0 + 10.0 * 122 / 139
    np.testing.assert_allclose(column[day == np.datetime64("2025-03-04")], expected, rtol=1e-12)


def test_a_matrix_that_is_interrupted_leaves_the_file_as_it_was(
    catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "matrix.npz"
    build(catalog, "SPY", "--out", str(out))
    before = out.read_bytes()

    def interrupted(file: Path, **arrays: Any) -> None:
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    CliRunner().invoke(app, ["build", "SPY", "--vix", "--out", str(out), "--catalog", str(catalog)])
    assert out.read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]


def test_table_says_what_is_left_out(catalog: Path) -> None:
    result = CliRunner().invoke(app, ["build", "SPY", "--features", "full", "--catalog", str(catalog)])
    assert result.exit_code == 0, result.output
    assert "left out: quoted_spread: there are no quotes for these bars" in result.stdout
    assert "vpa" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SPY", "--features", "defualt+ict"], "was 'defualt+ict'; did you mean 'default'?"),
        (["SPY", "--out", "x.csv"], "--out must end in .npz, was x.csv"),
        (["SPY", "--file", "nowhere.py"], "no file of features at"),
        (["QQQ"], "no bars of QQQ"),
    ],
)
def test_bad_input_is_refused(catalog: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["build", *arguments, "--catalog", str(catalog)])
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)


def test_coverage_by_hand() -> None:
    plan = FeaturePlan([FeatureSpec("sma", "mean", {"n": 2}), FeatureSpec("session_clock", "clock")])
    values = np.ones((4, 3))
    values[0, 0] = np.nan
    days = np.array(["2025-03-03", "2025-03-04"], "datetime64[D]")
    session, technical = family_coverage(plan, values, np.array([0, 0, 1, 1]), days)
    assert (session.family, session.finite_share, session.first_valid_session) == ("session", 1.0, days[0])
    assert (technical.family, technical.finite_share, technical.warmup_rows) == ("technical", 0.75, 2)
    assert technical.first_valid_session == days[1]

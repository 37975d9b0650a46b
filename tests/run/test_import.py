"""What ``data import`` takes, and what it refuses because a good guess would be wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from catalogs.storage.arrow import read_bars, stored_bar_types
from run.cli import main

Run = Callable[..., tuple[int, str, str]]
NEW_YORK = "America/New_York"
SPY = "SPY.EQUS-1-MINUTE-LAST-EXTERNAL"


def day(
    date: str = "2025-06-12", price: float = 600.0, start: str = "09:30", end: str = "16:00", freq: str = "1min"
) -> pd.DataFrame:
    """A session of New York, stamped with opens: the close rises a cent a bar from ``price``."""
    times = pd.date_range(
        f"{date} {start}", f"{date} {end}", freq=freq, tz=NEW_YORK, inclusive="left", name="timestamp"
    )
    close = np.round(price + 0.01 * np.arange(len(times)), 2)
    prices = {"open": close, "high": close + 0.02, "low": close - 0.02, "close": close}
    return pd.DataFrame({**prices, "volume": 1_000}, times).round(4)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


@pytest.fixture
def run(tmp_path: Path, catalog: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run(frame, "--instrument", "SPY")``: code, standard output and error of importing a frame, or a path."""

    def call(source: pd.DataFrame | Path, *words: str) -> tuple[int, str, str]:
        path = source
        if isinstance(source, pd.DataFrame):
            path = tmp_path / "bars.csv"
            source.to_csv(path)
        capsys.readouterr()
        code = main(["data", "import", str(path), *words, "--catalog", str(catalog)])
        out, err = capsys.readouterr()
        return code, out, err.strip().splitlines()[-1] if err.strip() else ""

    return call


def two(first: str, second: str) -> pd.DataFrame:
    """Two symbols in one file, the second at a tenth of the price."""
    return pd.concat([day().assign(symbol=first), day(price=60.0).assign(symbol=second)])


def test_one_instrument_and_a_file_of_two_symbols(run: Run, catalog: Path) -> None:
    code, _, said = run(two("NA", "SPY"), "--instrument", "SPY")
    assert code == 2
    assert "the files hold 2 symbols (NA, SPY), --instrument names one: choose with --symbol" in said
    assert not catalog.exists()
    assert run(two("NA", "SPY"), "--symbol", "NA,SPY")[0] == 0
    assert stored_bar_types(catalog) == ["NA.EQUS-1-MINUTE-LAST-EXTERNAL", SPY]


@pytest.mark.parametrize("other", ["TpC", "ESM5-ESU5", "tpc"])
def test_a_symbol_that_cannot_be_kept_stops_all(run: Run, catalog: Path, other: str) -> None:
    code, _, said = run(two("TPC", other))
    assert code == 2
    assert other in said
    assert "--symbol" in said
    assert not catalog.exists()
    assert run(two("TPC", other), "--symbol", "TPC")[0] == 0
    assert stored_bar_types(catalog) == ["TPC.EQUS-1-MINUTE-LAST-EXTERNAL"]


def test_bars_that_differ_stop_the_other_symbols_too(run: Run, catalog: Path) -> None:
    run(day(), "--instrument", "SPY")
    before = read_bars(catalog, SPY).hash
    code, _, said = run(two("AAPL", "SPY"))  # SPY at 60
    assert (code, stored_bar_types(catalog)) == (2, [SPY])
    assert "differ from the stored ones" in said
    assert read_bars(catalog, SPY).hash == before


def test_an_interrupt_leaves_all_symbols_or_none(run: Run, catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, seen = Path.replace, []

    def interrupted(self: Path, target: Path) -> Path:
        seen.append(self)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    assert run(two("AAPL", "SPY"))[0] == 130
    assert len(stored_bar_types(catalog)) == 2
    assert all(len(read_bars(catalog, name)) == 390 for name in stored_bar_types(catalog))


def test_a_killed_import_is_finished_by_the_next(run: Run, catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(self: Path, target: Path) -> Path:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            run(two("AAPL", "MSFT"))
    assert stored_bar_types(catalog) == []
    assert run(day(), "--instrument", "SPY")[0] == 0
    assert [name.partition(".")[0] for name in stored_bar_types(catalog)] == ["AAPL", "MSFT", "SPY"]
    assert not list(catalog.glob(".commit-*"))


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (10_000, "look like USD times 10,000: nearly every close is a whole multiple of 100;"),
        (100, "look like USD times 100: nearly every close is a whole multiple of 1;"),
        (1e9, "look like USD times 1,000,000,000"),
    ],
)
def test_a_file_in_another_unit(run: Run, catalog: Path, factor: float, said: str) -> None:
    frame = day()
    frame[["open", "high", "low", "close"]] = (frame[["open", "high", "low", "close"]] * factor).round()
    code, _, refused = run(frame, "--instrument", "SPY")
    assert code == 2
    assert said in refused
    assert not catalog.exists()


def test_a_cheap_share_in_ten_thousandths_costs_no_more_than_a_dear_one(run: Run) -> None:
    frame = day(price=20.0)
    frame[["open", "high", "low", "close"]] = (frame[["open", "high", "low", "close"]] * 10_000).round()
    code, _, refused = run(frame, "--instrument", "SPY")
    assert code == 2
    assert "look like USD times 10,000: nearly every close is a whole multiple of 100;" in refused
    dear = day(price=700_000.0)
    dear[["open", "high", "low", "close"]] = dear[["open", "high", "low", "close"]].mul(100).floordiv(100).round()
    dear["close"] += np.arange(390) % 7
    dear["high"] = dear["close"] + 9
    assert run(dear, "--instrument", "BRK.A")[0] == 0  # whole dollars are its real prices


@pytest.mark.parametrize(("later", "factor"), [(6.0, "1/100"), (60_000.0, "100"), (5_990_000.0, "10,000")])
def test_a_level_that_breaks(run: Run, catalog: Path, later: float, factor: str) -> None:
    code, _, said = run(pd.concat([day(), day("2025-06-13", later)]), "--instrument", "SPY")
    assert code == 2
    assert f"break by a factor of {factor}" in said or "look like USD times" in said
    run(day(), "--instrument", "SPY")
    code, _, said = run(day("2025-06-17", later), "--instrument", "SPY")
    assert code == 2
    assert f"break by a factor of {factor} against catalog" in said or "look like USD times" in said
    assert len(read_bars(catalog, SPY)) == 390


def test_a_tenth_between_two_sessions_of_a_share_may_be_a_split(run: Run, catalog: Path, answer: Callable) -> None:
    code, out, _ = run(pd.concat([day(), day("2025-06-13", 60.0)]), "--instrument", "SPY")
    assert code == 0
    assert "level_break" in out
    told = answer("data", "check", "--catalog", catalog)["coverage"][0]
    assert [(step["ts"], round(step["ratio"], 2)) for step in told["level_steps"]] == [("2025-06-13T13:31:00Z", 0.1)]
    inside = day()
    inside.loc[inside.index[200:], ["open", "high", "low", "close"]] /= 10
    assert "break by a factor of 1/10" in run(inside.round(2), "--instrument", "AAPL")[2]


def test_a_future_does_not_split(run: Run) -> None:
    es = day(price=6000.0)
    es[["open", "high", "low", "close"]] = np.round(4 * es[["open", "high", "low", "close"]]) / 4
    tenth = es.shift(freq="1D")
    tenth[["open", "high", "low", "close"]] = np.round(0.4 * tenth[["open", "high", "low", "close"]]) / 4
    assert "break by a factor of 1/10" in run(pd.concat([es, tenth]), "--instrument", "ESU5")[2]


def test_a_future_that_is_off_its_tick(run: Run) -> None:
    code, _, said = run(day(price=600.0), "--instrument", "ESU5")
    assert code == 2
    assert "of the closes are off the tick of 0.25" in said


@pytest.mark.parametrize("volume", [0, -1])
def test_a_volume_that_says_nothing(run: Run, volume: int) -> None:
    code, out, _ = run(day().assign(volume=volume), "--instrument", "SPY", "--json")
    told = json.loads(out)
    assert (code, told["rows"], told["volume_known"]) == (0, 390, False)
    assert [(finding["rule"], finding["count"]) for finding in told["findings"]] == [("volume_unknown", 390)]


def test_trades_between_two_cents_are_sound(run: Run) -> None:
    frame = day()
    frame.loc[frame.index[::2], "high"] += 0.0049
    code, out, _ = run(frame, "--instrument", "SPY", "--strict", "--json")
    assert code == 0
    assert [(f["rule"], f["treatment"], f["count"]) for f in json.loads(out)["findings"]] == [
        ("between_ticks", "noted", 195)
    ]


def test_below_a_dollar_four_decimals_stay(run: Run, catalog: Path) -> None:
    frame = day(price=0.5)
    frame[["open", "high", "low", "close"]] = (frame[["open", "high", "low", "close"]] / 10).round(4)
    assert run(frame, "--instrument", "PENY", "--strict")[0] == 0
    bars = read_bars(catalog, "PENY.EQUS-1-MINUTE-LAST-EXTERNAL")
    assert (bars.close[:3] * bars.tick_raw / 1e16).round(4).tolist() == [0.05, 0.051, 0.052]


@pytest.mark.parametrize(("minutes", "stamp", "other"), [(1, None, "close"), (0, "close", None)])
def test_bars_one_bar_late(run: Run, minutes: int, stamp: str | None, other: str | None) -> None:
    frame = pd.concat([day(), day("2025-06-13", 604.0)])
    frame.index += pd.Timedelta(minutes=minutes)
    words = ("--stamp", stamp) if stamp else ()
    code, out, said = run(frame, "--instrument", "SPY", *words)
    if other:  # closes, taken for opens by default
        assert code == 2
        assert "most sessions look one bar late, as if the times marked bar closes: pass --stamp close" in said
        assert run(frame, "--instrument", "SPY", "--stamp", other, "--strict")[0] == 0
    else:  # opens, said to be closes
        assert code == 0
        assert "misplaced" in out


def hours(start: str, end: str) -> pd.DataFrame:
    """Two weeks of hourly bars."""
    days = pd.bdate_range("2025-06-02", "2025-06-13").strftime("%Y-%m-%d")
    return pd.concat([day(date, 600 + i / 10, start, end, "1h") for i, date in enumerate(days)])


def test_hourly_bars_that_begin_before_the_session(run: Run, catalog: Path) -> None:
    name = "SPY.EQUS-1-HOUR-LAST-EXTERNAL"
    code, out, _ = run(hours("09:00", "16:00"), "--instrument", "SPY", "--bar", "1-HOUR", "--json")
    told = {finding["rule"]: finding["count"] for finding in json.loads(out)["findings"]}
    assert (code, told["partial_bar"], len(read_bars(catalog, name))) == (0, 10, 70)
    code, out, _ = run(hours("07:00", "20:00"), "--instrument", "AAPL", "--bar", "1-HOUR", "--json")
    told = {finding["rule"]: finding["count"] for finding in json.loads(out)["findings"]}
    assert (told["straddles_open"], told["out_of_session"]) == (10, 60)
    assert len(read_bars(catalog, name.replace("SPY", "AAPL"))) == 60
    code, _, said = run(hours("09:30", "16:00"), "--instrument", "MSFT", "--bar", "1-HOUR")
    assert code == 2
    assert "must close on the clock, every 60 minutes from the full hour; most close at minute 30" in said
    assert "import 30-MINUTE bars instead" in said


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("known", [True, False])
def test_what_is_exported_comes_back(run: Run, catalog: Path, tmp_path: Path, suffix: str, known: bool) -> None:
    frame = pd.concat([day(), day("2025-06-13", 604.0)])
    run(frame.drop(frame.index[[5, 100]]).assign(**({} if known else {"volume": 0})), "--instrument", "ES.EQUS")
    name = "ES.EQUS-1-MINUTE-LAST-EXTERNAL"
    out, again = tmp_path / f"es{suffix}", tmp_path / "again"
    assert main(["data", "export", name, str(out), "--catalog", str(catalog)]) == 0
    assert main(["data", "import", str(out), "--strict", "--catalog", str(again)]) == 0
    assert stored_bar_types(again) == [name]
    assert read_bars(again, name).hash == read_bars(catalog, name).hash


def test_training_says_that_it_could_never_trade(
    run: Run, catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days = pd.bdate_range("2025-06-02", "2025-06-13").strftime("%Y-%m-%d")
    run(pd.concat([day(date, 600 + i / 10) for i, date in enumerate(days)]).assign(volume=0), "--instrument", "SPY")
    experiment = tmp_path / "two.yaml"
    features = [{"kind": "log_return", "name": "r", "params": {"n": 1}}]
    features += [{"kind": "atr", "name": "atr_14", "params": {"n": 14}}]
    content = {"name": "two", "instrument": "SPY", "features": features, "trading": {"units": 2}}
    content |= {"train": {"start": "2025-06-09", "end": "2025-06-13"}, "learner": {"total_timesteps": 64}}
    experiment.write_text(json.dumps(content))
    words = ["train", str(experiment), "--catalog", str(catalog), "--runs", str(tmp_path / "runs")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "trading.units must be at most a quarter of a bar's volume, was 2; the volume of SPY.EQUS is unknown" in said
    assert "--assume-volume 8 or more" in said
    assert not (tmp_path / "runs").exists()

"""Contracts are learned from and traded while they are in front, on two real months and a roll between them."""

import json
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from catalogs.errors import InputError
from catalogs.instruments.specification import resolve
from catalogs.rolls import read_rolls
from configs import instruments_path
from run.cli import main
from run.train.front_month import front_days

WINDOW = date(2025, 5, 26), date(2025, 7, 4)


@pytest.fixture(scope="module")
def catalog(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five-minute bars of the June and September contracts of ES, with their roll table."""
    folder = tmp_path_factory.mktemp("rolls")
    frame = pd.read_parquet(shared_data / "es_5min_contracts_202405_202509.parquet")
    frame = frame[frame["symbol"].isin(["ESM5", "ESU5"]) & (frame["ts_event"] > "2025-04-20")]
    source = folder / "es.parquet"
    frame.to_parquet(source)
    store = folder / "store"
    assert main(["data", "import", str(source), "--bar", "5-MINUTE", "--stamp", "open", "--catalog", str(store)]) == 0
    assert main(["data", "rolls", "ES", "--bar", "5-MINUTE", "--catalog", str(store)]) == 0
    return store


def test_windows_of_two_contracts_meet_at_the_roll(catalog: Path) -> None:
    june, september = (resolve(name, instruments_path(), WINDOW[1]) for name in ("ESM5", "ESU5"))
    first, last = front_days(june, catalog, *WINDOW)
    begun, ended = front_days(september, catalog, *WINDOW)
    assert (first, ended) == WINDOW
    months = {month.instrument_id: month for month in read_rolls(catalog, "ES").months}
    assert (last, begun) == (months["ESM5.XCME"].last_session, months["ESU5.XCME"].first_session)
    # The June contract of 2025 expires on Friday the 20th; traders move to September in the week before.
    assert date(2025, 6, 12) <= last < begun <= date(2025, 6, 19)
    assert (begun - last).days <= 3


def test_a_window_without_the_contract_is_refused(catalog: Path) -> None:
    june = resolve("ESM5", instruments_path(), WINDOW[1])
    with pytest.raises(InputError, match="is not the front month from"):
        front_days(june, catalog, date(2025, 7, 1), date(2025, 7, 4))


def test_shares_and_futures_without_a_table_keep_their_window(catalog: Path, tmp_path: Path) -> None:
    assert front_days(resolve("SPY", instruments_path()), catalog, *WINDOW) == WINDOW
    assert front_days(resolve("ESM5", instruments_path(), WINDOW[1]), tmp_path, *WINDOW) == WINDOW


def test_training_stops_at_the_roll(catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = {
        "learner.n_steps": 64,
        "learner.n_envs": 4,
        "learner.batch_size": 128,
        "learner.total_timesteps": 256,
        "bar": "5-MINUTE",
        "features": "technical",
    }
    words = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    dates = ["--start", str(WINDOW[0]), "--end", str(WINDOW[1])]
    named = ["--instrument", "ESM5", "--catalog", str(catalog), "--runs", str(tmp_path)]
    capsys.readouterr()
    assert main(["train", "es_single", *named, *dates, *words, "--json"]) == 0
    out, err = capsys.readouterr()
    last = front_days(resolve("ESM5", instruments_path(), WINDOW[1]), catalog, *WINDOW)[1]
    assert f"to {last}," in err
    assert json.loads(out)["sessions"] < 20

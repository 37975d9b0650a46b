"""Roll tables: drawn volumes, the calendar, and the crossovers that one can read off two real futures."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from catalogs.bars import BarSeries
from catalogs.continuous import continuous_bars
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.instruments.table import load_table
from catalogs.rolls import FrontMonth, build_rolls, read_rolls, write_rolls
from catalogs.sessions import session_calendar
from catalogs.storage.ingest import import_bars
from configs import instruments_path

TERMS = load_table(instruments_path())


def contract(name: str) -> InstrumentSpec:
    return resolve(name, TERMS, date(2025, 6, 1))


def drawn(name: str, volumes: dict[str, int], price: int = 24_000) -> BarSeries:
    """Bars of an hour before the close of each session, with its whole volume in one of them."""
    calendar = session_calendar("CME Globex Equity")
    sessions = np.searchsorted(calendar.session_date, np.array(list(volumes), "datetime64[D]"))
    close_ns = calendar.close_ns[sessions]
    ticks = np.full(len(close_ns), price)
    volume = np.array(list(volumes.values()))
    bar_type = f"{name}.XCME-1-HOUR-LAST-EXTERNAL"
    return BarSeries(bar_type, close_ns, ticks, ticks, ticks, ticks, volume, True, 2.5e15)


# Expiry of ESM5: Friday 20 June 2025.
JUNE = {"2025-06-12": 100, "2025-06-13": 90, "2025-06-16": 50, "2025-06-17": 40, "2025-06-18": 20}
SEPTEMBER = {"2025-06-12": 10, "2025-06-13": 90, "2025-06-16": 51, "2025-06-17": 80, "2025-06-18": 90}


def test_the_roll_follows_the_first_session_with_more_volume() -> None:
    table = build_rolls([contract("ESU5"), contract("ESM5")], [drawn("ESU5", SEPTEMBER), drawn("ESM5", JUNE)], "volume")
    assert table.months == (
        FrontMonth("ESM5.XCME", date(2025, 6, 12), date(2025, 6, 16)),
        FrontMonth("ESU5.XCME", date(2025, 6, 17), None, crossover=date(2025, 6, 16)),
    )
    assert table.front(date(2025, 6, 16)).instrument_id == "ESM5.XCME"
    assert table.front(date(2025, 6, 17)).instrument_id == "ESU5.XCME"
    with pytest.raises(InputError, match=r"ES begins on 2025-06-12; no front month is known on 2025-06-11"):
        table.front(date(2025, 6, 11))


@pytest.mark.parametrize(("days", "first"), [(4, "2025-06-16"), (8, "2025-06-10"), (1, "2025-06-19")])
def test_the_calendar_counts_sessions_before_expiry(days: int, first: str) -> None:
    later = {**SEPTEMBER, "2025-06-19": 1, "2025-06-20": 1}
    table = build_rolls(
        [contract("ESM5"), contract("ESU5")], [drawn("ESM5", JUNE), drawn("ESU5", later)], "calendar", days
    )
    assert table.months[1].first_session == date.fromisoformat(first)
    assert table.months[1].crossover is None


def test_without_a_crossover_the_roll_comes_at_the_latest_day() -> None:
    thin = dict.fromkeys([*JUNE, "2025-06-19"], 1)
    table = build_rolls([contract("ESM5"), contract("ESU5")], [drawn("ESM5", JUNE), drawn("ESU5", thin)], "volume", 2)
    assert (table.months[1].first_session, table.months[1].crossover) == (date(2025, 6, 18), None)


def test_a_session_that_the_data_end_in_decides_nothing() -> None:
    june, september = drawn("ESM5", JUNE), drawn("ESU5", SEPTEMBER)
    cut = september.slice(0, 3)
    cut.ts_ns[-1] -= 5 * 3600 * 10**9  # Monday 16 June, five hours before its close
    table = build_rolls([contract("ESM5"), contract("ESU5")], [june.slice(0, 3), cut], "volume")
    assert [month.last_session for month in table.months] == [None]


def test_an_episode_warms_up_on_the_contracts_own_bars() -> None:
    table = build_rolls([contract("ESM5"), contract("ESU5")], [drawn("ESM5", JUNE), drawn("ESU5", SEPTEMBER)], "volume")
    warmup, first, last = table.episode_span(table.months[0], warmup_sessions=3)
    stamps = [str(np.datetime64(ns, "ns"))[:16] for ns in (warmup, first, last)]
    assert stamps == ["2025-06-08T22:00", "2025-06-11T22:00", "2025-06-16T21:00"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "at least one contract month"),
        (["ESM5", "NQU5"], "must share one root, had ES, NQ"),
        (["ES"], "must have an expiry; ES.XCME has none"),
    ],
)
def test_what_makes_no_table_is_refused(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_rolls([contract(name) for name in names], [drawn(name, JUNE) for name in names])


def test_months_that_do_not_overlap_are_refused() -> None:
    late = drawn("ESU5", {"2025-07-01": 5})
    with pytest.raises(InputError, match="must overlap to roll"):
        build_rolls([contract("ESM5"), contract("ESU5")], [drawn("ESM5", JUNE), late])


def test_a_table_is_kept_and_found_again(tmp_path: Path) -> None:
    table = build_rolls([contract("ESM5")], [drawn("ESM5", JUNE)])
    write_rolls(tmp_path, table)
    assert read_rolls(tmp_path, "ES") == table
    with pytest.raises(InputError, match=r"no roll table of NQ .*: run `data rolls NQ`"):
        read_rolls(tmp_path, "NQ")


# The sessions in which the next month first traded more, read off a pivot of the files' daily volumes by eye.
CROSSOVERS = {
    "ES": [date(2024, 6, 17), date(2024, 9, 16), date(2024, 12, 16), date(2025, 3, 17), date(2025, 6, 16)],
    "NQ": [date(2024, 6, 17), date(2024, 9, 16), date(2024, 12, 17), date(2025, 3, 18), date(2025, 6, 16)],
}
MONTHS = ("M4", "U4", "Z4", "H5", "M5", "U5", "Z5")


@pytest.fixture(scope="module", params=["ES", "NQ"])
def real(request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """Root, catalog and bars of all contract months of a real future, and the frame that they came from."""
    root, catalog = request.param, tmp_path_factory.mktemp(request.param)
    frame = pd.read_parquet(shared_data / f"{root.lower()}_5min_contracts_202405_202509.parquet")
    specs, series = [], []
    for month in MONTHS:
        rows = frame[frame["symbol"] == root + month]
        table = load_table_of(rows)
        specs.append(contract(root + month))
        series.append(import_bars(catalog, specs[-1], "5-MINUTE", [table], [], stamp="open").bars)
    return root, catalog, specs, series, frame


def load_table_of(rows: pd.DataFrame) -> object:
    import pyarrow as pa

    ts_ns = rows["ts_event"].dt.as_unit("ns").astype("int64")
    return pa.table({"ts_ns": ts_ns, **{name: rows[name] for name in ("open", "high", "low", "close", "volume")}})


def test_real_rolls_follow_the_volume(real: tuple) -> None:
    root, _, specs, series, frame = real
    table = build_rolls(specs, series, "volume")
    assert [month.crossover for month in table.months[1:]] == CROSSOVERS[root]
    # The same by pandas alone: the trading day of Globex begins at 17:00 Central.
    central = frame["ts_event"].dt.tz_convert("America/Chicago")
    day = (central + pd.Timedelta(hours=7)).dt.date
    volume = frame.groupby([day, "symbol"], observed=True)["volume"].sum().unstack()
    for one, following, crossover in zip(MONTHS, MONTHS[1:], CROSSOVERS[root], strict=False):
        more = volume.index[volume[root + following] > volume[root + one]]
        assert more[0] == crossover


def test_the_real_continuous_view_changes_contract_at_the_rolls(real: tuple) -> None:
    root, catalog, specs, series, frame = real
    table = build_rolls(specs, series, "volume")
    plain = continuous_bars(catalog, table, "5-MINUTE")
    assert (np.diff(plain.ts_ns) > 0).all()
    adjusted = continuous_bars(catalog, table, "5-MINUTE", back_adjusted=True)
    moved = np.flatnonzero(np.diff(plain.close - adjusted.close))
    calendar = session_calendar("CME Globex Equity")
    days = calendar.session_date[calendar.locate(plain.ts_ns[moved + 1])].tolist()
    assert days == [month.first_session for month in table.months[1:]]
    # Contracts further out cost more in these years, so unadjusted rolls jump up and the adjusted past is higher.
    assert (adjusted.close[: moved[0]] > plain.close[: moved[0]]).all()
    assert adjusted.close[-1] == plain.close[-1]
    # The last gap, by pandas alone: both contracts' closes at the last bar that both have before the roll.
    last = table.months[-1]
    _, first_ns, _ = table.episode_span(last)
    names = [month.instrument_id.partition(".")[0] for month in table.months[-2:]]
    closes = frame[frame["ts_event"].dt.as_unit("ns").astype("int64") < first_ns]
    closes = closes[closes["symbol"].isin(names)].pivot(index="ts_event", columns="symbol", values="close").dropna()
    gap = closes[names[1]].iloc[-1] - closes[names[0]].iloc[-1]
    assert (adjusted.close - plain.close)[moved[-1]] / 4 == gap
    assert plain.bar_type == f"{root}.XCME-5-MINUTE-LAST-EXTERNAL"

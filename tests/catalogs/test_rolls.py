"""Roll tables: drawn volumes, the calendar, and the crossovers that one can read off two real futures."""

from datetime import date, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from catalogs.bars import BarSeries
from catalogs.continuous import continuous_bars
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.instruments.table import load_table
from catalogs.rolls import (
    FrontMonth,
    RollTable,
    build_rolls,
    extend_rolls,
    front_by_calendar,
    read_rolls,
    write_rolls,
)
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


@pytest.mark.parametrize(
    ("root", "day", "before", "after"),
    [
        ("ES", date(2026, 6, 15), "ESM6", "ESU6"),  # Juneteenth moves the expiry from Friday the 19th to Thursday
        ("MNQ", date(2027, 6, 14), "MNQM7", "MNQU7"),  # and from Friday the 18th
        ("ES", date(2026, 3, 16), "ESH6", "ESM6"),
        ("YM", date(2026, 12, 14), "YMZ6", "YMH7"),
        ("ZN", date(2026, 11, 23), "ZNZ6", "ZNH7"),  # given up on Tuesday the 24th, before the first notice
        ("GC", date(2026, 11, 23), "GCZ6", "GCG7"),
        ("CL", date(2026, 11, 9), "CLZ6", "CLF7"),  # given up on Thursday the 12th
    ],
)
def test_by_calendar_a_roll_is_on_the_monday_of_the_week(root: str, day: date, before: str, after: str) -> None:
    assert day.weekday() == 0
    friday = day - timedelta(days=3)
    assert [front_by_calendar(root, TERMS, each).symbol for each in (friday, day)] == [before, after]


def test_by_calendar_bars_roll_on_the_monday_too() -> None:
    june, september = (resolve(name, TERMS, date(2026, 6, 1)) for name in ("ESM6", "ESU6"))
    days = {f"2026-06-{day}": 5 for day in (10, 11, 12, 15, 16, 17, 18)}
    table = build_rolls([june, september], [drawn("ESM6", days), drawn("ESU6", days)], "calendar")
    assert [month.first_session for month in table.months] == [date(2026, 6, 10), date(2026, 6, 15)]
    # Four sessions before the expiry on Thursday would have been Friday the 12th.
    counted = build_rolls([june, september], [drawn("ESM6", days), drawn("ESU6", days)], "calendar", 4)
    assert counted.months[1].first_session == date(2026, 6, 12)


def told(*months: tuple[str, str], until: str) -> RollTable:
    """What a vendor told: contracts by their first sessions, up to a day."""
    begins = [date.fromisoformat(first) for _, first in months]
    calendar = session_calendar("CME Globex Equity").session_date.tolist()
    ends = [calendar[calendar.index(begin) - 1] for begin in begins[1:]]
    fronts = [FrontMonth(f"{n}.XCME", b, e) for (n, _), b, e in zip(months, begins, [*ends, None], strict=True)]
    return RollTable("ES", "CME Globex Equity", "volume", 1, tuple(fronts), date.fromisoformat(until))


def shown(table: RollTable) -> list[tuple[str, str, str]]:
    return [(m.instrument_id[:4], str(m.first_session), str(m.last_session)) for m in table.months]


SPRING = told(("ESH5", "2025-03-03"), ("ESM5", "2025-03-18"), until="2025-05-30")
SUMMER = told(("ESM5", "2025-06-02"), ("ESU5", "2025-06-17"), until="2025-07-03")
BOTH = [
    ("ESH5", "2025-03-03", "2025-03-17"), ("ESM5", "2025-03-18", "2025-06-16"), ("ESU5", "2025-06-17", "None"),
]  # fmt: skip


def test_a_later_table_extends_an_earlier_one_and_the_other_way_round() -> None:
    for table in (extend_rolls(SPRING, SUMMER), extend_rolls(SUMMER, SPRING)):
        assert shown(table) == BOTH
        assert table.known_until == date(2025, 7, 3)
    assert extend_rolls(extend_rolls(SPRING, SUMMER), SUMMER) == extend_rolls(SPRING, SUMMER)
    assert extend_rolls(extend_rolls(SPRING, SUMMER), SPRING) == extend_rolls(SPRING, SUMMER)


def test_what_was_told_anew_of_some_sessions_holds_for_them() -> None:
    other = told(("ESM5", "2025-06-09"), ("ESU5", "2025-06-18"), until="2025-06-20")
    assert shown(extend_rolls(SUMMER, other)) == [
        ("ESM5", "2025-06-02", "2025-06-17"), ("ESU5", "2025-06-18", "None"),
    ]  # fmt: skip


def test_a_month_may_come_back() -> None:
    back = told(
        ("ESM5", "2025-06-02"),
        ("ESU5", "2025-06-13"),
        ("ESM5", "2025-06-16"),
        ("ESU5", "2025-06-17"),
        until="2025-07-03",
    )
    assert [back.front(date(2025, 6, day)).instrument_id[:4] for day in (12, 13, 16, 17)] == ["ESM5", "ESU5"] * 2
    assert shown(extend_rolls(SPRING, back))[1:] == [
        ("ESM5", "2025-03-18", "2025-06-12"), ("ESU5", "2025-06-13", "2025-06-13"),
        ("ESM5", "2025-06-16", "2025-06-16"), ("ESU5", "2025-06-17", "None"),
    ]  # fmt: skip


def test_tables_that_leave_sessions_open_are_not_joined() -> None:
    late = told(("ESU5", "2025-07-01"), until="2025-07-31")
    with pytest.raises(InputError, match=r"known until 2025-05-30, the new ones begin on 2025-07-01: fetch from"):
        extend_rolls(SPRING, late)
    with pytest.raises(InputError, match=r"known from 2025-07-01 on, the new ones end on 2025-05-30: fetch until"):
        extend_rolls(late, SPRING)
    with pytest.raises(InputError, match="is by volume, the new one by calendar"):
        extend_rolls(SPRING, msgspec.structs.replace(SUMMER, method="calendar"))


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
        (["ES.XCME"], "must have an expiry; ES.XCME has none"),
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

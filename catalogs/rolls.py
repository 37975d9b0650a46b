"""Roll tables: which contract month is the front month of a session, for training, charts and live trading alike.

Prices and features are always those of a real contract. A roll takes effect at a session's open and is decided by what
was known before it: after the first session in which the next month traded more, or some sessions before expiry.
"""

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.cache import written_aside
from catalogs.errors import InputError
from catalogs.instruments.contract_months import MONTH_CODES
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.instruments.table import InstrumentTable
from catalogs.sessions import SessionCalendar, session_calendar

Method = Literal["volume", "calendar"]
# By volume as late as the session before the one in which the contract ends; by calendar at the beginning of that week.
DAYS_BEFORE_EXPIRY: dict[Method, int] = {"volume": 1, "calendar": 0}
WARMUP_SESSIONS = 25

_HOUR_NS = 3600 * 10**9


class FrontMonth(msgspec.Struct, frozen=True):
    """The sessions in which one contract is the front month.

    Attributes
    ----------
    instrument_id : str
    first_session : date
    last_session : date or None
        Positions are closed by its end; None if the next roll is not known yet.
    crossover : date or None
        Session in which this contract first traded more than the one before it, if that caused the roll.
    """

    instrument_id: str
    first_session: date
    last_session: date | None
    crossover: date | None = None


class RollTable(msgspec.Struct, frozen=True):
    """Front months of one future, in order of time and without gaps.

    Attributes
    ----------
    root : str
        For example ``"ES"``.
    calendar : str
    method : {"volume", "calendar"}
    days_before_expiry : int
        Sessions before the session in which a contract ends (by expiry, or because brokers close it out) at which the
        next month becomes the front month; for ``volume`` the latest such session. 0: the first session of that week,
        a Monday.
    months : tuple of FrontMonth
        A month may be in front more than once, where a vendor says so.
    known_until : date or None
        Last session that the source of the table told about, if it said so.
    """

    root: str
    calendar: str
    method: Method
    days_before_expiry: int
    months: tuple[FrontMonth, ...]
    known_until: date | None = None

    def front(self, day: date) -> FrontMonth:
        """Front month of a session.

        Raises
        ------
        InputError
            If the day is before the first month.
        """
        begun = [month for month in self.months if month.first_session <= day]
        if not begun:
            first = self.months[0].first_session
            raise InputError(f"the roll table of {self.root} begins on {first}; no front month is known on {day}")
        return begun[-1]

    def episode_span(self, month: FrontMonth, warmup_sessions: int = WARMUP_SESSIONS) -> tuple[int, int, int]:
        """Times that bound a contract's bars: start of its warm-up, start and end of its time as front month.

        Features warm up on the contract's own bars from ``warmup_sessions`` before it becomes the front month, as live.

        Returns
        -------
        warmup_ns, first_ns, last_ns : int
            Open of the first warm-up session, open of the first and close of the last session as front month, UTC
            nanoseconds; the last is the end of the calendar if the next roll is not known.
        """
        calendar = session_calendar(self.calendar)
        first = _session_of(calendar, month.first_session)
        last = len(calendar) - 1 if month.last_session is None else _session_of(calendar, month.last_session)
        warmup = max(0, first - warmup_sessions)
        return int(calendar.open_ns[warmup]), int(calendar.open_ns[first]), int(calendar.close_ns[last])


def build_rolls(
    contracts: Sequence[InstrumentSpec],
    bars: Sequence[BarSeries],
    method: Method = "volume",
    days_before_expiry: int | None = None,
) -> RollTable:
    """Roll table of one future from the bars of its contract months.

    Parameters
    ----------
    contracts : sequence of InstrumentSpec
        Contract months of one root, in any order.
    bars : sequence of BarSeries
        Bars of each contract.
    method : {"volume", "calendar"}
    days_before_expiry : int, optional
        See `RollTable`; default `DAYS_BEFORE_EXPIRY`.

    Returns
    -------
    RollTable

    Raises
    ------
    InputError
        If there is no contract, one has no expiry, roots differ, the volume is needed but unknown, or a month between
        two others is missing.
    """
    days = DAYS_BEFORE_EXPIRY[method] if days_before_expiry is None else days_before_expiry
    order = sorted(range(len(contracts)), key=lambda i: contracts[i].expiration_ns)
    specs, series = [contracts[i] for i in order], [bars[i] for i in order]
    _check(specs, series, method, days)
    calendar = session_calendar(specs[0].calendar)
    first = int(calendar.locate(series[0].ts_ns[:1])[0])
    months = [FrontMonth(specs[0].instrument_id, _day(calendar, first), None)]
    for current, following in enumerate(series[1:]):
        latest = latest_roll(calendar, specs[current], days)
        crossed = _crossover(calendar, series[current], following) if method == "volume" else None
        roll = latest if crossed is None else min(crossed + 1, latest)
        if roll > int(calendar.locate(following.ts_ns[-1:])[0]) + 1:
            break  # the bars end before it
        crossover = _day(calendar, crossed) if crossed is not None and crossed < latest else None
        months[-1] = msgspec.structs.replace(months[-1], last_session=_day(calendar, roll - 1))
        months.append(FrontMonth(specs[current + 1].instrument_id, _day(calendar, roll), None, crossover))
    return RollTable(specs[0].underlying, calendar.name, method, days, tuple(months))


def front_by_calendar(root: str, table: InstrumentTable, day: date) -> InstrumentSpec:
    """Front month of a future by calendar alone: the next month from the Monday of the week on in which one ends.

    Parameters
    ----------
    root : str
        For example ``"MES"``.
    table : InstrumentTable
    day : date
        Trading day.

    Raises
    ------
    InputError
        If the root is unknown, or the day lies after the end of the calendar.
    """
    if root not in table.futures:
        raise InputError(f"root of a future must be one of {', '.join(table.futures)}, was {root!r}")
    terms = table.futures[root]
    calendar = session_calendar(terms.calendar)
    session = int(np.searchsorted(calendar.session_date, np.datetime64(day)))
    months = [date(year, MONTH_CODES.index(code) + 1, 1) for year in (day.year, day.year + 1) for code in terms.months]
    listed = (resolve(f"{root}{MONTH_CODES[month.month - 1]}{month.year % 10}", table, month) for month in months)
    for spec in listed:
        if session < latest_roll(calendar, spec, DAYS_BEFORE_EXPIRY["calendar"]):
            return spec
    raise InputError(f"day must be in calendar {calendar.name}, which ends {calendar.session_date[-1]}, was {day}")


def latest_roll(calendar: SessionCalendar, spec: InstrumentSpec, days_before_expiry: int) -> int:
    """Session, as an index into the calendar, in which a contract is the front month no more; see `RollTable`.

    A holiday that moves the expiry within its week moves nothing: in June 2026 ES expires on a Thursday, and the roll
    is on the Monday before it all the same.
    """
    last = int(np.searchsorted(calendar.close_ns, spec.tradable_until_ns, side="left"))
    if days_before_expiry:
        return last - days_before_expiry
    day = calendar.session_date[min(last, len(calendar) - 1)]
    monday = day - (day.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    return min(last, int(np.searchsorted(calendar.session_date, monday)))


def extend_rolls(stored: RollTable, told: RollTable) -> RollTable:
    """A stored roll table with what a source told about some sessions; it holds for those sessions, the rest stays.

    Parameters
    ----------
    stored, told : RollTable
        ``told`` knows until when it was told.

    Raises
    ------
    InputError
        If root or method differ, or sessions between the two are told by neither.

    Examples
    --------
    >>> june = FrontMonth("ESM5.XCME", date(2025, 4, 2), None)
    >>> september = FrontMonth("ESU5.XCME", date(2025, 7, 2), None)
    >>> spring = RollTable("ES", "CME Globex Equity", "volume", 1, (june,), date(2025, 7, 1))
    >>> summer = RollTable("ES", "CME Globex Equity", "volume", 1, (september,), date(2025, 8, 1))
    >>> [(month.instrument_id, str(month.last_session)) for month in extend_rolls(spring, summer).months]
    [('ESM5.XCME', '2025-07-01'), ('ESU5.XCME', 'None')]
    """
    if (stored.root, stored.method) != (told.root, told.method):
        raise InputError(
            f"the stored roll table of {stored.root} is by {stored.method}, the new one by {told.method}: "
            f"use another catalog, or remove rolls/{stored.root}.json"
        )
    calendar = session_calendar(told.calendar)
    first, last = told.months[0].first_session, told.known_until or told.months[-1].first_session
    _check_adjacent(calendar, stored, first, last)
    before = [
        _cut(month, last=_neighbour(calendar, first, -1)) for month in stored.months if month.first_session < first
    ]
    after = [
        _cut(month, first=_neighbour(calendar, last, 1))
        for month in stored.months
        if stored.known_until and stored.known_until > last and (month.last_session or stored.known_until) > last
    ]
    own = list(told.months)
    if after:
        own[-1] = _cut(own[-1], last=last)
    known = max(stored.known_until or last, last)
    return msgspec.structs.replace(told, months=_joined([*before, *own, *after]), known_until=known)


def rolls_path(catalog: Path, root: str) -> Path:
    """File of the roll table of a root in a catalog: ``rolls/ES.json``."""
    return catalog / "rolls" / f"{root}.json"


def write_rolls(catalog: Path, table: RollTable) -> Path:
    """Write a roll table into a catalog, replacing the stored one."""
    path = rolls_path(catalog, table.root)
    with written_aside(path) as aside:
        aside.write_bytes(msgspec.json.format(msgspec.json.encode(table), indent=2))
    return path


def read_rolls(catalog: Path, root: str) -> RollTable:
    """Roll table of a root.

    Raises
    ------
    InputError
        If the catalog has none, or it cannot be read.
    """
    path = rolls_path(catalog, root)
    try:
        return msgspec.json.decode(path.read_bytes(), type=RollTable)
    except FileNotFoundError:
        raise InputError(f"no roll table of {root} ({path}): run `data rolls {root}`") from None
    except msgspec.DecodeError as error:
        raise InputError(f"invalid roll table {path}: {error}") from error


def _check_adjacent(calendar: SessionCalendar, stored: RollTable, first: date, last: date) -> None:
    # A table of an earlier version does not say until when it was told: at least until its last month began.
    known = stored.known_until or stored.months[-1].first_session
    begun = stored.months[0].first_session
    if _session_of(calendar, first) > _session_of(calendar, known) + 1:
        raise InputError(f"front months of {stored.root} are known until {known}, the new ones begin on {first}: "
                         f"fetch from {known} on")  # fmt: skip
    if _session_of(calendar, last) < _session_of(calendar, begun) - 1:
        raise InputError(f"front months of {stored.root} are known from {begun} on, the new ones end on {last}: "
                         f"fetch until {begun}")  # fmt: skip


def _cut(month: FrontMonth, *, first: date | None = None, last: date | None = None) -> FrontMonth:
    begin = month.first_session if first is None else max(month.first_session, first)
    end = month.last_session if last is None else min(month.last_session or last, last)
    crossover = month.crossover if begin == month.first_session else None
    return msgspec.structs.replace(month, first_session=begin, last_session=end, crossover=crossover)


def _joined(months: list[FrontMonth]) -> tuple[FrontMonth, ...]:
    joined = months[:1]
    for month in months[1:]:
        if month.instrument_id == joined[-1].instrument_id:
            joined[-1] = msgspec.structs.replace(joined[-1], last_session=month.last_session)
        else:
            joined.append(month)
    return tuple(joined)


def _neighbour(calendar: SessionCalendar, day: date, step: int) -> date:
    return _day(calendar, _session_of(calendar, day) + step)


def _check(specs: list[InstrumentSpec], series: list[BarSeries], method: Method, days: int) -> None:
    if not specs:
        raise InputError("a roll table must have at least one contract month, had none")
    if days < 0:
        raise InputError(f"days before expiry must not be negative, was {days}")
    roots = {spec.underlying for spec in specs}
    if len(roots) != 1:
        raise InputError(f"contracts of a roll table must share one root, had {', '.join(sorted(roots))}")
    for spec, bars in zip(specs, series, strict=True):
        if not spec.expiration_ns:
            raise InputError(f"contracts of a roll table must have an expiry; {spec.instrument_id} has none")
        if method == "volume" and not bars.volume_known:
            raise InputError(f"rolls by volume need the volume; it is unknown in {bars.bar_type}: roll by calendar")
    for one, following in pairwise(series):
        if following.ts_ns[0] > one.ts_ns[-1]:
            raise InputError(f"contracts must overlap to roll; {one.bar_type} ends before {following.bar_type} begins")


def _crossover(calendar: SessionCalendar, current: BarSeries, following: BarSeries) -> int | None:
    ours, theirs = _session_volume(calendar, current), _session_volume(calendar, following)
    last = int(calendar.locate(following.ts_ns[-1:])[0])
    if following.ts_ns[-1] < calendar.close_ns[last] - _HOUR_NS:
        theirs[last] = 0  # the data end inside this session, so its volume is not known yet
    both = np.flatnonzero((ours > 0) & (theirs > ours))
    return int(both[0]) if len(both) else None


def _session_volume(calendar: SessionCalendar, bars: BarSeries) -> NDArray[np.float64]:
    return np.bincount(calendar.locate(bars.ts_ns), weights=bars.volume, minlength=len(calendar))


def _session_of(calendar: SessionCalendar, day: date) -> int:
    return int(np.searchsorted(calendar.session_date, np.datetime64(day)))


def _day(calendar: SessionCalendar, session: int) -> date:
    return calendar.session_date[session].item()

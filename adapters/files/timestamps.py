"""Times as vendors write them, to UTC nanoseconds: epochs of any unit, text with or without a zone, Arrow times.

Text is cut into day and time of day, each of which has few different values: every one is read once.
"""

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from adapters.errors import SourceError

DateOrder = Literal["mdy", "dmy", "ymd"]

# An epoch between 1990 and 2100 has one unit only: the ranges of two units are a factor of 1000 apart.
_FIRST_S, _LAST_S = 631_152_000, 4_102_444_800
_EPOCH_UNITS = {"s": 10**9, "ms": 10**6, "µs": 10**3, "ns": 1}

_EPOCH = r"^\d{9,}$"
_PARTS = r"^(?P<day>\d{8}|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4})(?:[T ,]+(?P<clock>\d.*))?$"
_DASHED = r"^(\d{8})-(\d.*)$"  # as Interactive Brokers writes UTC
_DAY = re.compile(r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?( ?[AP]M)?|(\d{3,6})", re.IGNORECASE)
_OFFSET = re.compile(r"(?:GMT|UTC)?([+-])(\d{2}):?(\d{2})?")
_ORDERS: dict[str, tuple[int, int, int]] = {"mdy": (2, 0, 1), "dmy": (2, 1, 0), "ymd": (0, 1, 2)}
_MIDNIGHT = "00:00"
_HOUR_NS = 3600 * 10**9
_AFTERNOON = (1, 2, 3)  # hours after 12 on a clock of twelve hours, with room for a gap

Zone = ZoneInfo | timedelta | str  # a zone's name that means several zones stays text


def to_utc_ns(
    times: pa.ChunkedArray, time_zone: str | None, source: str, *, dates: DateOrder | None = None
) -> NDArray[np.int64]:
    """UTC nanoseconds of a column of times.

    Parameters
    ----------
    times : pyarrow.ChunkedArray
        Integers (seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by magnitude), text
        (``2025-07-03 09:31``, ``20250703 093100``, ``7/3/2025 9:31 AM``, …), Arrow timestamps or dates.
    time_zone : str or None
        IANA zone of times that name none themselves; not used otherwise.
    source : str
        Name of the file, for errors.
    dates : {"mdy", "dmy", "ymd"}, optional
        Order of text such as ``07/03/2025``. Default: as the column shows, by a number above 12.

    Returns
    -------
    int64[n]

    Raises
    ------
    SourceError
        If a time is missing or unreadable, names no zone while none is given, or does not exist or exists twice
        in its zone because clocks were changed; if the order of day and month cannot be known; or if hours go from
        12 to 1 within a day and none is above 12, as on a clock that needs AM and PM.
    """
    if times.null_count:
        raise SourceError(f"{source}: row {int(np.argmax(times.is_null().to_numpy())) + 1} has no time")
    kind = times.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        trimmed = pc.utf8_trim_whitespace(times)
        if pc.all(pc.match_substring_regex(trimmed, _EPOCH)).as_py():
            return _epochs(trimmed.cast(pa.int64()).to_numpy(), source)
        return _text(trimmed, time_zone, source, dates)
    if pa.types.is_integer(kind):
        return _epochs(times.cast(pa.int64()).to_numpy(), source)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        stamps = pd.Series(times.cast(pa.timestamp("ns", getattr(kind, "tz", None))).to_pandas())
        return _utc(stamps, time_zone, source)
    raise SourceError(f"{source} must have times as text, whole epochs or timestamps, was {kind}")


def names_zone(times: pa.ChunkedArray) -> bool:
    """Whether the first of a column of times says itself which moment it is."""
    kind = times.type
    if pa.types.is_timestamp(kind):
        return kind.tz is not None
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return not pa.types.is_date(kind)
    text = times[0].as_py().strip()
    if re.match(_EPOCH, text) or re.match(_DASHED, text):
        return True
    found = re.match(_PARTS, text)
    clock = _clock(found["clock"] or _MIDNIGHT) if found else None
    return clock is not None and clock[1] is not None and not isinstance(clock[1], str)


def zone_named(name: str) -> ZoneInfo:
    """Time zone by its IANA name.

    Raises
    ------
    SourceError
        If there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError):
        raise SourceError(f"time zone must be an IANA name such as America/New_York, was {name!r}") from None


def _epochs(values: NDArray[np.int64], source: str) -> NDArray[np.int64]:
    for factor in _EPOCH_UNITS.values():
        per_second = 10**9 // factor
        if ((values >= _FIRST_S * per_second) & (values < _LAST_S * per_second)).all():
            return values * factor if factor > 1 else values
    inside = np.zeros(len(values), np.bool_)
    for factor in _EPOCH_UNITS.values():
        per_second = 10**9 // factor
        inside |= (values >= _FIRST_S * per_second) & (values < _LAST_S * per_second)
    if inside.all():
        raise SourceError(f"{source} mixes epochs of several units ({values.min()} to {values.max()})")
    row = int(np.argmin(inside))
    units = ", ".join(_EPOCH_UNITS)
    raise SourceError(f"{source} must have epochs ({units}) of 1990 to 2100, row {row + 1} was {values[row]}")


def _text(times: pa.ChunkedArray, time_zone: str | None, source: str, order: DateOrder | None) -> NDArray[np.int64]:
    if re.match(_DASHED, times[0].as_py()):
        times = pc.replace_substring_regex(times, _DASHED, r"\1 \2Z")
    parts = pc.extract_regex(times, _PARTS).combine_chunks()
    days, day_of = _distinct(parts.field("day"))
    clocks, clock_of = _distinct(parts.field("clock"))
    order = order or _order(days, source)
    day_ns = _readings(days, lambda day: _day_ns(day, order), day_of, times, source)
    clock = _readings(clocks, lambda text: _clock(text or _MIDNIGHT), clock_of, times, source)
    naive = np.array(day_ns, np.int64)[day_of] + np.array([ns for ns, _ in clock], np.int64)[clock_of]
    zones = [zone for _, zone in clock]
    if not any(text.upper().rstrip().endswith("M") for text in clocks):
        _check_twelve_hours(naive, times, source)
    return _zoned(naive, zones, clock_of, time_zone, times, source)


def _check_twelve_hours(naive: NDArray[np.int64], times: pa.ChunkedArray, source: str) -> None:
    day, hour = naive // (24 * _HOUR_NS), naive // _HOUR_NS % 24
    if hour.min() < 1 or hour.max() != 12:
        return
    before, after = hour[:-1], hour[1:]
    turns = ((before == 12) & np.isin(after, _AFTERNOON)) | (np.isin(before, _AFTERNOON) & (after == 12))
    turns &= day[:-1] == day[1:]
    if turns.any():
        row = int(np.argmax(turns))
        raise SourceError(
            f"{source} has a clock of twelve hours without AM and PM: {times[row].as_py()!r} in row {row + 1} is "
            f"followed by {times[row + 1].as_py()!r}; write AM and PM, or hours from 0 to 23"
        )


def _distinct(values: pa.Array) -> tuple[list[str], NDArray[np.int64]]:
    encoded = values.fill_null("").dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def _readings[Value](
    texts: list[str],
    read: Callable[[str], Value | None],
    code: NDArray[np.int64],
    times: pa.ChunkedArray,
    source: str,
) -> list[Value]:
    values = []
    for number, text in enumerate(texts):
        value = read(text)
        if value is None:
            row = int(np.argmax(code == number))
            raise SourceError(
                f"{source} must have times such as 2025-07-03 09:31, row {row + 1} was {times[row].as_py()!r}"
            )
        values.append(value)
    return values


def _order(days: list[str], source: str) -> DateOrder:
    # The order of month and day is read off the data, never assumed.
    parts = [found.group(1, 3, 4) for found in map(_DAY.fullmatch, days) if found and len(found[1]) < 3]
    if not parts:
        return "ymd"
    example = next(day for day in days if (found := _DAY.fullmatch(day)) and len(found[1]) < 3)
    how = "say it with --dates mdy or --dates dmy"
    if any(len(last) < 4 for *_, last in parts):
        raise SourceError(f"{source} has years of two digits ({example!r}), so the order of a date is not known: {how}")
    month_first, day_first = (any(int(part[at]) > 12 for part in parts) for at in (1, 0))
    if month_first == day_first:
        raise SourceError(
            f"{source} does not show whether day or month comes first: {example!r} could be both, as could every row; "
            f"{how}"
        )
    return "mdy" if month_first else "dmy"


def _day_ns(text: str, order: DateOrder) -> int | None:
    if len(text) == 8 and text.isdigit():
        year, month, day = int(text[:4]), int(text[4:6]), int(text[6:])
    else:
        found = _DAY.fullmatch(text)
        if found is None:
            return None
        parts = found.group(1, 3, 4)
        at = _ORDERS["ymd" if len(parts[0]) == 4 else order]
        year, month, day = (int(parts[i]) for i in at)
        if len(parts[at[0]]) == 2:
            year += 2000
    try:
        return (date(year, month, day) - date(1970, 1, 1)).days * 86_400 * 10**9
    except ValueError:
        return None


def _clock(text: str) -> tuple[int, Zone | None] | None:
    found = _CLOCK.match(text)
    if found is None:
        return None
    zone = _zone_of(text[found.end() :].strip())
    if zone is False:
        return None
    if found[6]:  # 930, 0931, 93100, 093100
        digits = found[6].zfill(4 if len(found[6]) <= 4 else 6)
        hour, minute, second = int(digits[:2]), int(digits[2:4]), int(digits[4:] or 0)
    else:
        hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if found[5]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if "P" in found[5].upper() else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    fraction = int((found[4] or "").ljust(9, "0") or 0)
    return ((hour * 60 + minute) * 60 + second) * 10**9 + fraction, zone


def _zone_of(text: str) -> Zone | Literal[False] | None:
    if not text:
        return None
    if text in ("Z", "z", "UTC", "GMT"):
        return timedelta(0)
    offset = _OFFSET.fullmatch(text)
    if offset:
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        return timedelta(minutes=-minutes if offset[1] == "-" else minutes)
    if text.isalpha() and text.isupper():
        return text  # EST is New York in winter, and in summer written as if it were
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError):
        return False


def _zoned(
    naive: NDArray[np.int64],
    zones: list[Zone | None],
    clock_of: NDArray[np.int64],
    time_zone: str | None,
    times: pa.ChunkedArray,
    source: str,
) -> NDArray[np.int64]:
    named = np.array([zone is not None for zone in zones])
    if named.any() and not named.all():
        row = int(np.argmin(named[clock_of]))
        raise SourceError(f"{source} must name the zone in all rows or none, row {row + 1} was {times[row].as_py()!r}")
    unclear = next((zone for zone in zones if isinstance(zone, str)), None)
    if unclear is not None and time_zone is None:
        raise SourceError(
            f"{source} writes times of zone {unclear!r}, which means several zones: pass --tz, for example "
            "--tz America/New_York"
        )
    if unclear is not None or not named.any():
        return _utc(pd.Series(pd.DatetimeIndex(naive)), time_zone, source)
    result = naive.copy()
    for zone in set(zones):
        rows = np.isin(clock_of, [number for number, other in enumerate(zones) if other == zone])
        if isinstance(zone, timedelta):
            result[rows] -= zone // timedelta(microseconds=1) * 1000
        else:
            result[rows] = _utc(pd.Series(pd.DatetimeIndex(naive[rows])), str(zone), source)
    return result


def _utc(stamps: "pd.Series[pd.Timestamp]", time_zone: str | None, source: str) -> NDArray[np.int64]:
    if stamps.dt.tz is None:
        if time_zone is None:
            raise SourceError(
                f"{source} has times without a time zone ({stamps.iloc[0]}): "
                "pass --tz, for example --tz America/New_York or --tz UTC"
            )
        local = stamps.dt.tz_localize(zone_named(time_zone), ambiguous="NaT", nonexistent="NaT")
        lost = local.isna().to_numpy()
        if lost.any():
            row = int(np.argmax(lost))
            raise SourceError(
                f"{source}: {stamps.iloc[row]} in row {row + 1} does not exist once in {time_zone}, "
                "the clocks change: write UTC or an offset"
            )
        stamps = local
    return np.asarray(stamps.dt.tz_convert("UTC").dt.as_unit("ns").astype("int64"), np.int64)

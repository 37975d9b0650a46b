"""Times as vendors write them, to UTC nanoseconds: epochs of any unit, text with or without a zone, Arrow times."""

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from adapters.errors import SourceError

# An epoch between 1990 and 2100 has one unit only: the ranges of two units are a factor of 1000 apart.
_FIRST_S, _LAST_S = 631_152_000, 4_102_444_800
_EPOCH_UNITS = {"s": 10**9, "ms": 10**6, "µs": 10**3, "ns": 1}

_ZONED = r"[T ].*(Z|[+-]\d{2}(:?\d{2})?)$"  # a zone or an offset after the time of day
_SLASHED = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})")


def to_utc_ns(times: pa.ChunkedArray, time_zone: str | None, source: str) -> NDArray[np.int64]:
    """UTC nanoseconds of a column of times.

    Parameters
    ----------
    times : pyarrow.ChunkedArray
        Integers (seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by magnitude), text
        (ISO 8601, or numeric dates with the year last), Arrow timestamps or dates.
    time_zone : str or None
        IANA zone of times that name none themselves; not used otherwise.
    source : str
        Name of the file, for errors.

    Returns
    -------
    int64[n]

    Raises
    ------
    SourceError
        If a time is missing or unreadable, names no zone while none is given, or does not exist or exists twice
        in its zone because clocks were changed.
    """
    if times.null_count:
        row = int(np.argmax(times.is_null().to_numpy()))
        raise SourceError(f"{source}: row {row + 1} has no time")
    kind = times.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        trimmed = pc.utf8_trim_whitespace(times)
        if pc.all(pc.match_substring_regex(trimmed, r"^\d{9,}$")).as_py():
            return _epochs(trimmed.cast(pa.int64()).to_numpy(), source)
        return _text(pc.replace_substring_regex(trimmed, r"\s*UTC$", "Z"), time_zone, source)
    if pa.types.is_integer(kind):
        return _epochs(times.cast(pa.int64()).to_numpy(), source)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        stamps = pd.Series(times.cast(pa.timestamp("ns", getattr(kind, "tz", None))).to_pandas())
        return _utc(stamps, time_zone, source)
    raise SourceError(f"{source} must have times as text, whole epochs or timestamps, was {kind}")


def _epochs(values: NDArray[np.int64], source: str) -> NDArray[np.int64]:
    for factor in _EPOCH_UNITS.values():
        per_second = 10**9 // factor
        if ((values >= _FIRST_S * per_second) & (values < _LAST_S * per_second)).all():
            return values * factor
    inside = np.zeros(len(values), np.bool_)
    for factor in _EPOCH_UNITS.values():
        per_second = 10**9 // factor
        inside |= (values >= _FIRST_S * per_second) & (values < _LAST_S * per_second)
    if inside.all():
        raise SourceError(f"{source} mixes epochs of several units ({values.min()} to {values.max()})")
    row = int(np.argmin(inside))
    units = ", ".join(_EPOCH_UNITS)
    raise SourceError(f"{source} must have epochs ({units}) of 1990 to 2100, row {row + 1} was {values[row]}")


def _text(times: pa.ChunkedArray, time_zone: str | None, source: str) -> NDArray[np.int64]:
    zoned = pc.match_substring_regex(times, _ZONED).to_numpy()
    text = times.to_pandas()
    if zoned.any() and not zoned.all():
        row = int(np.argmin(zoned))
        raise SourceError(f"{source} must name the zone in all rows or none, row {row + 1} was {text[row]!r}")
    layout = _layout(text, source)
    stamps = pd.to_datetime(text, format=layout, utc=bool(zoned.any()), errors="coerce")
    unread = stamps.isna().to_numpy()
    if unread.any():
        row = int(np.argmax(unread))
        raise SourceError(f"{source} must have times such as 2025-07-03 09:31, row {row + 1} was {text[row]!r}")
    return _utc(stamps, time_zone, source)


def _layout(text: "pd.Series[str]", source: str) -> str:
    # The order of month and day is read off the data, never assumed.
    first = _SLASHED.match(text[0])
    if first is None:
        return "ISO8601"
    parts = text.str.extract(_SLASHED).astype(float)
    month_first, day_first = (parts[1] > 12).any(), (parts[0] > 12).any()
    if month_first == day_first:
        raise SourceError(
            f"{source} does not show whether day or month comes first: {text[0]!r} could be both, as could every row"
        )
    separator = first[0][len(first[1])]
    day = separator.join(("%m", "%d", "%Y") if month_first else ("%d", "%m", "%Y"))
    clock = text[0][first.end() :]
    seconds = ":%S" if clock.count(":") == 2 else ""
    return f"{day} %H:%M{seconds}" if clock else day


def _utc(stamps: "pd.Series[pd.Timestamp]", time_zone: str | None, source: str) -> NDArray[np.int64]:
    if stamps.dt.tz is None:
        if time_zone is None:
            raise SourceError(
                f"{source} has times without a time zone ({stamps.iloc[0]}): "
                "pass --tz, for example --tz America/New_York or --tz UTC"
            )
        local = stamps.dt.tz_localize(_zone(time_zone), ambiguous="NaT", nonexistent="NaT")
        lost = local.isna().to_numpy()
        if lost.any():
            row = int(np.argmax(lost))
            raise SourceError(
                f"{source}: {stamps.iloc[row]} in row {row + 1} does not exist once in {time_zone}, "
                "the clocks change: write UTC or an offset"
            )
        stamps = local
    return np.asarray(stamps.dt.tz_convert("UTC").dt.as_unit("ns").astype("int64"), np.int64)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError):
        raise SourceError(f"time zone must be an IANA name such as America/New_York, was {name!r}") from None

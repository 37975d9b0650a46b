"""Daily values as CSV: the CBOE's two layouts (OHLC, or one value) and FRED's."""

import csv
import io
from datetime import date, datetime

import pyarrow as pa

from adapters.errors import SourceError

DAILY_SCHEMA = pa.schema([("date", pa.date32())] + [(name, pa.float64()) for name in ("open", "high", "low", "close")])

_MISSING = ("", ".", "NA", "N/A")


def parse_daily_csv(text: str, source: str) -> pa.Table:
    """Read daily values.

    Parameters
    ----------
    text : str
        First line: names. A date (``MM/DD/YYYY`` or ISO 8601), then open, high, low, close, or one value, which then
        stands for all four. Days without a value (blank or ``.``) are left out.
    source : str
        Names the text in errors.

    Returns
    -------
    pyarrow.Table
        `DAILY_SCHEMA`, ascending.

    Raises
    ------
    SourceError
        If there is no date or value column, no day, a value that is no positive number, a high below the low, or a day
        twice.

    Examples
    --------
    >>> parse_daily_csv("DATE,VIXCLS\\n2025-07-03,16.38\\n2025-07-04,.\\n", "fred")["close"].to_pylist()
    [16.38]
    """
    lines = csv.reader(io.StringIO(text.lstrip("\ufeff")))
    names = [name.strip().lower() for name in next(lines, [])]
    if not names or names[0] not in ("date", "observation_date"):
        raise SourceError(f"{source} must begin with a date column, was {names[0] if names else 'empty'!r:.40}")
    wanted = ("open", "high", "low", "close")
    columns = [names.index(name) for name in wanted] if set(wanted) <= set(names) else [1] * 4
    if len(names) < 2:
        raise SourceError(f"{source} has no column of values")
    rows: dict[date, list[float]] = {}
    for number, line in enumerate(lines, 2):
        if not line or len(line) <= max(columns) or line[columns[3]].strip() in _MISSING:
            continue
        day = _day(line[0].strip(), number, source)
        if day in rows:
            raise SourceError(f"{source} has {day} twice, again in line {number}")
        rows[day] = _values([line[column] for column in columns], number, source)
    if not rows:
        raise SourceError(f"{source} has no values")
    ordered = sorted(rows.items())
    values = zip(*(numbers for _, numbers in ordered), strict=True)
    return pa.Table.from_arrays(
        [pa.array([day for day, _ in ordered]), *(pa.array(column) for column in values)], schema=DAILY_SCHEMA
    )


def _day(text: str, number: int, source: str) -> date:
    for layout in ("%m/%d/%Y", "%Y-%m-%d"):
        try:
            return datetime.strptime(text, layout).date()
        except ValueError:
            continue
    raise SourceError(f"{source} must have dates such as 07/03/2025 or 2025-07-03, line {number} was {text!r}")


def _values(texts: list[str], number: int, source: str) -> list[float]:
    try:
        opened, high, low, close = (float(text) for text in texts)
    except ValueError:
        raise SourceError(f"{source} must have numbers, line {number} was {', '.join(texts)}") from None
    if not 0 < low <= high < 1_000 or not 0 < opened < 1_000 or not 0 < close < 1_000:
        raise SourceError(
            f"{source} must have values above 0 and below 1000, the low not above the high; line {number} was "
            f"{', '.join(texts)}"
        )
    # The CBOE's own file has days that open above their high; as with bars, high and low are widened.
    return [opened, max(opened, high, close), min(opened, low, close), close]

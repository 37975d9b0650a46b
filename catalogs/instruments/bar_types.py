"""Bar types: ``1-MINUTE`` as a user writes it, the full NautilusTrader bar type, the length of a bar."""

import re

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec

_MINUTE_NS = 60 * 10**9
_UNITS = {"MINUTE": _MINUTE_NS, "HOUR": 60 * _MINUTE_NS}
_LONGEST_NS = 24 * 60 * _MINUTE_NS
_BAR = re.compile(r"([1-9]\d*)-(MINUTE|HOUR)")
_BAR_TYPE = re.compile(rf"[^-]+-{_BAR.pattern}-LAST-EXTERNAL")


def bar_length_ns(bar: str) -> int:
    """Length of a bar in nanoseconds.

    Parameters
    ----------
    bar : str
        ``"1-MINUTE"``, ``"5-MINUTE"``, ``"1-HOUR"``, …, or a full bar type.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If it is not a number of minutes or hours, or longer than a day.

    Examples
    --------
    >>> bar_length_ns("5-MINUTE") == bar_length_ns("SPY.EQUS-5-MINUTE-LAST-EXTERNAL") == 300 * 10**9
    True
    """
    match = _BAR.fullmatch(bar) or _BAR_TYPE.fullmatch(bar)
    length_ns = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < length_ns <= _LONGEST_NS:
        raise InputError(f"bar must be N-MINUTE or N-HOUR and at most a day, was {bar!r}")
    return length_ns


def bar_minutes(bar: str) -> int:
    """Length of a bar in minutes; as `bar_length_ns`.

    Examples
    --------
    >>> bar_minutes("1-HOUR")
    60
    """
    return bar_length_ns(bar) // _MINUTE_NS


def bar_type_of(spec: InstrumentSpec, bar: str) -> str:
    """Bar type under which the catalog keeps imported bars of an instrument.

    Parameters
    ----------
    spec : InstrumentSpec
    bar : str
        ``"1-MINUTE"``, ``"5-MINUTE"``, ``"1-HOUR"``, …

    Returns
    -------
    str
        For example ``"SPY.EQUS-1-MINUTE-LAST-EXTERNAL"``.

    Raises
    ------
    InputError
        As `bar_length_ns`.
    """
    bar_length_ns(bar)
    if not _BAR.fullmatch(bar):
        raise InputError(f"bar must be N-MINUTE or N-HOUR and at most a day, was {bar!r}")
    return f"{spec.instrument_id}-{bar}-LAST-EXTERNAL"


def instrument_id_of(bar_type: str) -> str:
    """Instrument of a full bar type: ``"SPY.EQUS"`` of ``"SPY.EQUS-1-MINUTE-LAST-EXTERNAL"``."""
    return bar_type.rsplit("-", 4)[0]

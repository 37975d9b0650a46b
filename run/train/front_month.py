"""A futures contract is learned from and traded while it is its future's front month, by the catalog's roll table."""

from datetime import date
from pathlib import Path

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from catalogs.rolls import read_rolls, rolls_path


def front_days(spec: InstrumentSpec, catalog: Path, start: date, end: date) -> tuple[date, date]:
    """The part of ``start`` to ``end`` in which the instrument is in front.

    Features still warm up on the contract's own earlier bars, as they would live; sessions end flat, so nothing is
    held over a roll.

    Returns
    -------
    start, end : date
        As given where the instrument is no future, or the catalog has no roll table of it.

    Raises
    ------
    InputError
        If the contract is not in the table, or not in front on any day of the window.
    """
    if spec.kind != "future" or not spec.underlying or not rolls_path(catalog, spec.underlying).is_file():
        return start, end
    table = read_rolls(catalog, spec.underlying)
    months = [month for month in table.months if month.instrument_id == spec.instrument_id]
    if not months:
        known = ", ".join(month.instrument_id for month in table.months)
        raise InputError(f"{spec.instrument_id} must be in the roll table of {spec.underlying} ({known}), was not")
    (month,) = months
    last = month.last_session or end
    first_day, last_day = max(start, month.first_session), min(end, last)
    if last_day < first_day:
        raise InputError(
            f"{spec.instrument_id} must be in front on a day of the window, was from {month.first_session} to "
            f"{month.last_session or 'now'}, the window is {start} to {end}"
        )
    return first_day, last_day

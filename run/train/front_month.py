"""Limits a futures contract to the days on which it is the front month, by the catalog's roll table."""

from datetime import date
from pathlib import Path

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from catalogs.rolls import read_rolls, rolls_path


def front_days(spec: InstrumentSpec, catalog: Path, start: date, end: date) -> tuple[date, date]:
    """The days from ``start`` to ``end`` on which the instrument is the front month.

    Features still warm up on the contract's earlier bars, as they do live. Sessions end flat, so no position is held
    over a roll. If a contract is in front more than once, as some vendors say of the days around a roll, its longest
    stretch counts.

    Returns
    -------
    start, end : date
        Unchanged if the instrument is not a future or the catalog has no roll table of it.

    Raises
    ------
    InputError
        If the contract is not in the table, or not the front month on any of the days.
    """
    if spec.kind != "future" or not spec.underlying or not rolls_path(catalog, spec.underlying).is_file():
        return start, end
    table = read_rolls(catalog, spec.underlying)
    months = [month for month in table.months if month.instrument_id == spec.instrument_id]
    if not months:
        known = ", ".join(month.instrument_id for month in table.months)
        raise InputError(f"{spec.instrument_id} is not in the roll table of {spec.underlying}, which has {known}")
    stretches = [(max(start, month.first_session), min(end, month.last_session or end)) for month in months]
    first_day, last_day = max(stretches, key=lambda days: days[1] - days[0])
    if last_day < first_day:
        spans = ", ".join(f"from {month.first_session} to {month.last_session or 'now'}" for month in months)
        raise InputError(f"{spec.instrument_id} is not the front month from {start} to {end}, but {spans}")
    return first_day, last_day

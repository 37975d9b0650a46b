"""Instruments stored in a catalog: list them, compare them with a specification, read their tick size."""

from pathlib import Path

import pyarrow.parquet as pq

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec

KINDS = ("futures_contract", "equity")


def stored_instruments(catalog: Path) -> list[str]:
    """Ids of the instruments that a catalog holds, sorted: ``["ESU5.XCME", "SPY.EQUS"]``."""
    folders = (path.parent.name for kind in KINDS for path in (catalog / "data" / kind).glob("*/*.parquet"))
    return sorted(set(folders))


def check_instrument(catalog: Path, spec: InstrumentSpec) -> None:
    """Compare a specification with the stored instrument of the same name, if any.

    Raises
    ------
    InputError
        If tick or multiplier differ.
    """
    for path in _files(catalog, spec.instrument_id):
        [stored] = pq.read_table(path).to_pylist()
        terms = {"price_increment": str(spec.tick_size), "multiplier": str(spec.multiplier)}
        for name, value in terms.items():
            if name in stored and stored[name] != value:
                raise InputError(
                    f"{name} of {spec.instrument_id} must be {stored[name]}, as in catalog {catalog}; was {value}"
                )


def stored_tick_raw(catalog: Path, instrument_id: str) -> int:
    """Tick of a stored instrument in units of 1e-16.

    Raises
    ------
    InputError
        If the catalog does not hold the instrument.
    """
    files = _files(catalog, instrument_id)
    if not files:
        raise InputError(f"no instrument {instrument_id} in catalog {catalog}")
    increment = pq.read_table(files[-1], columns=["price_increment"])["price_increment"][-1].as_py()
    whole, _, decimals = increment.partition(".")
    return int(whole + decimals.ljust(16, "0"))


def _files(catalog: Path, instrument_id: str) -> list[Path]:
    return sorted(path for kind in KINDS for path in (catalog / "data" / kind / instrument_id).glob("*.parquet"))

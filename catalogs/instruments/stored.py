"""Instruments stored in a catalog: list them, compare them with a specification, read their tick size."""

from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq

from catalogs.errors import InputError
from catalogs.instruments.specification import NO_EXPIRATION_NS, InstrumentSpec

_YEAR_NS = 365 * 86_400 * 10**9
KINDS = ("futures_contract", "equity")
# US shares are quoted in hundredths of a cent below one dollar (SEC, Regulation NMS, Rule 612).
TICK_BELOW_ONE_DOLLAR = Decimal("0.0001")


def stored_instruments(catalog: Path) -> list[str]:
    """Ids of the instruments that a catalog holds, sorted: ``["ESU5.XCME", "SPY.EQUS"]``."""
    folders = (path.parent.name for kind in KINDS for path in (catalog / "data" / kind).glob("*/*.parquet"))
    return sorted(set(folders))


def is_stored(catalog: Path, instrument_id: str) -> bool:
    """Whether a catalog holds an instrument."""
    return bool(_files(catalog, instrument_id))


def check_instrument(catalog: Path, spec: InstrumentSpec) -> None:
    """Compare a specification with the stored instrument of the same name, if any.

    Raises
    ------
    InputError
        If tick or multiplier differ, or the stored contract is that of another decade: names repeat every ten years.
    """
    for path in _files(catalog, spec.instrument_id):
        [stored] = pq.read_table(path).to_pylist()
        _check_decade(catalog, spec, stored.get("expiration_ns"))
        terms = {"price_increment": str(spec.tick_size), "multiplier": str(spec.multiplier)}
        for name, value in terms.items():
            if name in stored and stored[name] != value:
                raise InputError(
                    f"{name} of {spec.instrument_id} must be {stored[name]}, as in catalog {catalog}; was {value}"
                )


def stored_end_ns(catalog: Path, instrument_id: str) -> int:
    """Last moment of trading of a stored contract month, UTC nanoseconds; 0 if it never expires or is not stored."""
    for path in _files(catalog, instrument_id):
        ends_ns = _expiration(pq.read_table(path).to_pylist()[-1].get("expiration_ns"))
        if ends_ns:
            return ends_ns
    return 0


def stored_spec(catalog: Path, spec: InstrumentSpec) -> InstrumentSpec:
    """The specification with the tick under which the catalog stores the instrument, if it does.

    Shares have the tick of the instrument table, or `TICK_BELOW_ONE_DOLLAR` if all their stored prices are below it.
    """
    files = _files(catalog, spec.instrument_id) if spec.kind == "equity" else []
    return msgspec.structs.replace(spec, tick_size=Decimal(_increment(files[-1]))) if files else spec


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
    return int(Decimal(_increment(files[-1])).scaleb(16))


def _check_decade(catalog: Path, spec: InstrumentSpec, stored: int | str | None) -> None:
    stored_ns = _expiration(stored)
    if stored_ns and spec.expiration_ns and abs(stored_ns - spec.expiration_ns) > _YEAR_NS:
        ours, theirs = (np.datetime64(ns, "ns").astype("datetime64[D]") for ns in (spec.expiration_ns, stored_ns))
        raise InputError(
            f"catalog {catalog} holds the {spec.instrument_id} that expires on {theirs}; this one expires on {ours}, "
            "in another decade: import it into another catalog"
        )


def _expiration(stored: int | str | None) -> int:
    ends_ns = int(stored or 0)
    return 0 if ends_ns >= NO_EXPIRATION_NS else ends_ns


def _increment(file: Path) -> str:
    increment: str = pq.read_table(file, columns=["price_increment"])["price_increment"][-1].as_py()
    return increment


def _files(catalog: Path, instrument_id: str) -> list[Path]:
    return sorted(path for kind in KINDS for path in (catalog / "data" / kind / instrument_id).glob("*.parquet"))

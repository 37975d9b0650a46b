"""Import: clean tables of bars from any source and write them into a catalog."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.hygiene.cleaning import RawBars, clean
from catalogs.instruments.bar_types import bar_length_ns
from catalogs.instruments.price_rules import check_prices
from catalogs.instruments.specification import InstrumentSpec
from catalogs.instruments.stored import TICK_BELOW_ONE_DOLLAR, is_stored, stored_spec
from catalogs.sessions import session_calendar
from catalogs.storage.arrow import NewBars, write_all
from catalogs.storage.provenance import Provenance, SourceFile

Stamp = Literal["open", "close"]
_YEAR_NS = 365 * 86_400 * 10**9


@dataclass(frozen=True)
class Imported:
    """Result of an import: all its bars, how many of them were not stored before, and their provenance."""

    outcome: Literal["imported", "appended", "already imported"]
    new_rows: int
    bars: BarSeries
    provenance: Provenance


def import_bars(
    catalog: Path,
    spec: InstrumentSpec,
    bar: str,
    tables: Sequence[pa.Table],
    sources: Sequence[SourceFile],
    *,
    stamp: Stamp,
    time_zone: str = "",
    assume_volume: int = 0,
    strict: bool = False,
    stamp_is_said: bool = False,
) -> Imported:
    """Clean bars of one instrument and write them into a catalog; see `prepare` and `store`."""
    new = prepare(
        catalog, spec, bar, tables, sources,
        stamp=stamp, time_zone=time_zone, assume_volume=assume_volume, strict=strict, stamp_is_said=stamp_is_said,
    )  # fmt: skip
    return store(catalog, [new])[0]


def store(catalog: Path, news: Sequence[NewBars]) -> list[Imported]:
    """Write cleaned bars of several instruments into a catalog: all of them or none.

    Raises
    ------
    InputError
        As `catalogs.storage.arrow.write_all`.
    """
    written = write_all(catalog, news)
    return [
        Imported(result.outcome, result.new_rows, new.bars, new.provenance)
        for result, new in zip(written, news, strict=True)
    ]


def prepare(
    catalog: Path,
    spec: InstrumentSpec,
    bar: str,
    tables: Sequence[pa.Table],
    sources: Sequence[SourceFile],
    *,
    stamp: Stamp,
    time_zone: str = "",
    assume_volume: int = 0,
    strict: bool = False,
    stamp_is_said: bool = False,
) -> NewBars:
    """Clean bars of one instrument, ready to be written; nothing is written.

    Parameters
    ----------
    catalog : Path
        Folder of a ``ParquetDataCatalog``, which need not exist.
    spec : InstrumentSpec
        A share gets `catalogs.instruments.stored.TICK_BELOW_ONE_DOLLAR` if all its prices are below one dollar.
    bar : str
        ``"1-MINUTE"``, ``"1-HOUR"``, …
    tables : sequence of pyarrow.Table
        Columns ``ts_ns`` (int64, UTC nanoseconds) and ``open, high, low, close, volume`` (float64, NaN where
        missing). If two rows have one time, the later table wins.
    sources : sequence of SourceFile
        Files that the tables came from.
    stamp : {"open", "close"}
        Whether ``ts_ns`` marks the open or the close of a bar.
    time_zone : str
        Recorded in the provenance only.
    assume_volume, strict, stamp_is_said
        As `catalogs.hygiene.cleaning.clean` takes them.

    Returns
    -------
    NewBars

    Raises
    ------
    InputError
        As `catalogs.hygiene.cleaning.clean`, `catalogs.instruments.price_rules.check_prices` and
        `catalogs.storage.arrow.write_bars`; if a share that is stored with the tick of prices below one dollar has
        reached it; or if bars of a contract month are of another decade.
    """
    raw = _raw_bars(tables, bar_length_ns(bar) if stamp == "open" else 0)
    check_prices(spec, raw.ts_ns, {name: getattr(raw, name) for name in ("open", "high", "low", "close")})
    _check_life(spec, raw)
    spec = _with_own_tick(catalog, spec, raw)
    cleaned = clean(raw, spec, bar, assume_volume=assume_volume, strict=strict, stamp_is_said=stamp_is_said)
    bars = cleaned.bars
    provenance = Provenance(
        bar_type=bars.bar_type,
        sources=tuple(sources),
        stamp=stamp,
        time_zone=time_zone,
        volume_known=bars.volume_known,
        assume_volume=assume_volume,
        filled_ns=tuple(cleaned.filled_ns.tolist()),
        quality=cleaned.report,
        rows=len(bars),
        calendar=spec.calendar,
        calendar_hash=session_calendar(spec.calendar).hash_between(int(bars.ts_ns[0]), int(bars.ts_ns[-1])),
    )
    return NewBars(spec, bars, provenance)


def _check_life(spec: InstrumentSpec, raw: RawBars) -> None:
    # Stray bars after the last trade come from vendors; years of them are those of another contract of this name.
    if not spec.expiration_ns or not len(raw):
        return
    for ts_ns in (int(raw.ts_ns.min()), int(raw.ts_ns.max())):
        if not -_YEAR_NS < spec.expiration_ns - ts_ns < 9 * _YEAR_NS:
            expiry, day = (np.datetime64(ns, "ns").astype("datetime64[D]") for ns in (spec.expiration_ns, ts_ns))
            raise InputError(
                f"{spec.instrument_id} expires on {expiry}, a bar is of {day}: names repeat every ten years, so import "
                "each decade into its own catalog"
            )


def _with_own_tick(catalog: Path, spec: InstrumentSpec, raw: RawBars) -> InstrumentSpec:
    highest = np.nanmax(raw.high, initial=0.0)
    if spec.kind != "equity" or highest == 0:
        return spec
    if not is_stored(catalog, spec.instrument_id):
        return msgspec.structs.replace(spec, tick_size=TICK_BELOW_ONE_DOLLAR) if highest < 1 else spec
    stored = stored_spec(catalog, spec)
    if stored.tick_size == TICK_BELOW_ONE_DOLLAR and highest >= 1:
        raise InputError(
            f"prices of {spec.instrument_id} must be below 1 USD, as its tick in {catalog} is {stored.tick_size}; "
            f"the highest was {highest}: import all its bars into a new catalog"
        )
    return stored


def _raw_bars(tables: Sequence[pa.Table], until_close_ns: int) -> RawBars:
    table = pa.concat_tables(tables)
    prices = {name: table[name].to_numpy() for name in ("open", "high", "low", "close", "volume")}
    return RawBars(ts_ns=table["ts_ns"].to_numpy().astype(np.int64) + until_close_ns, **prices)

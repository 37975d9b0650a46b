"""Sources of a policy's context streams: contracts of the broker, daily values of the catalog."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from catalogs.sessions import session_calendar
from catalogs.storage.arrow import read_bars
from configs.live.schema import LiveConfig
from rl_strategies.bundle.bundle import Bundle
from rl_strategies.decision.context_feed import daily_rows, stored_streams
from rl_strategies.features import StreamRows, context_streams, input_rows
from rl_strategies.features.plans.streams import ContextSource
from run.trade.session.contract import chosen_contract
from run.trade.session.plan import spec_of

FIX = "context: {{contracts: {{{name}: {{contract: {{symbol: {symbol}, {rest}}}}}}}}}"
TERMS = {
    "equity": "kind: STK, exchange: SMART",
    "future": 'kind: FUT, exchange: CME, expiry: "YYYYMM"',
}


def read_streams(bundle: Bundle) -> tuple[ContextSource, ...]:
    """Sources of the streams that the bundle's features read."""
    names = {stream.name for stream in context_streams(bundle.plan)}
    return tuple(source for source in bundle.context if source.name in names)


def live_context(
    bundle: Bundle, traded: Sequence[InstrumentSpec], config: LiveConfig, day: date
) -> tuple[ContextSource, ...]:
    """Sources of a bundle's context streams on a trading day, with the broker's contracts of the configuration.

    Parameters
    ----------
    bundle : Bundle
    traded : sequence of InstrumentSpec
        Traded instruments, in the policy's order.
    config : LiveConfig
    day : date

    Raises
    ------
    InputError
        If a stream has no contract in the configuration, or one of other terms than in the bundle; or if the catalog
        lacks daily values.
    """
    sources = tuple(_on_day(source, bundle, traded, config, day) for source in read_streams(bundle))
    check_daily_values(bundle, Path(config.context.catalog))
    return sources


def check_daily_values(bundle: Bundle, catalog: Path) -> None:
    """Read the daily values that a bundle's features need.

    Raises
    ------
    InputError
        If the catalog lacks them.
    """
    for read in stored_streams(bundle.plan, bundle.context, catalog).values():
        read()


def stream_spec(source: ContextSource, bundle: Bundle, config: LiveConfig, day: date) -> InstrumentSpec:
    """The catalog's instrument that a stream of bars follows on a trading day.

    Raises
    ------
    InputError
        As `live_context` does.
    """
    assert source.instrument is not None
    followed = config.context.contracts.get(source.name)
    if followed is None:
        known = source.instrument
        symbol = known.underlying if known.kind == "future" else known.symbol
        fix = FIX.format(name=source.name, symbol=symbol, rest=TERMS[known.kind])
        raise InputError(f"context stream {source.name} has no contract in the live configuration: add {fix}")
    contract = chosen_contract(followed.contract, followed.front_month, day)
    return spec_of(contract, source.instrument, day, bundle.id)


def catalog_rows(
    catalog: Path, bundle: Bundle, name: str, bar_type: str | None, seen_ns: NDArray[np.int64]
) -> StreamRows:
    """Rows of a stream that a catalog holds between the first and the last of the times.

    Raises
    ------
    InputError
        If the catalog does not have the stream.
    """
    stream = next(stream for stream in context_streams(bundle.plan) if stream.name == name)
    source = next(source for source in bundle.context if source.name == name)
    if bar_type is None or source.instrument is None:
        rows = daily_rows(catalog, stream)
        first, stop = np.searchsorted(rows.ts_ns, seen_ns[[0, -1]] + [0, 1])
        return StreamRows(rows.ts_ns[first:stop], rows.rows[first:stop])
    bars = read_bars(catalog, bar_type, int(seen_ns[0]), int(seen_ns[-1]))
    columns = stream.plan().columns
    return StreamRows(bars.ts_ns, input_rows(bars, session_calendar(source.instrument.calendar), columns))


def _on_day(
    source: ContextSource, bundle: Bundle, traded: Sequence[InstrumentSpec], config: LiveConfig, day: date
) -> ContextSource:
    if source.instrument is None or source.bar_type is None:
        return source
    own = source.instrument.instrument_id
    known = dict(zip((spec.instrument_id for spec in bundle.instruments), traded, strict=True))
    followed = known[own] if own in known else stream_spec(source, bundle, config, day)
    bar_type = source.bar_type.replace(own, followed.instrument_id)
    return msgspec.structs.replace(source, instrument=followed, bar_type=bar_type)

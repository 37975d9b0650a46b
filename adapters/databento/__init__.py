"""Databento: DBN files, the historical service, the live feed."""

import warnings

with warnings.catch_warnings():  # the package's import makes every later warning of the process show
    import databento as _databento  # noqa: F401

from adapters.databento.files import DbnFile, open_dbn
from adapters.databento.publishers import publisher_name
from adapters.databento.records import (
    QUOTE_SCHEMA,
    TRADE_SCHEMA,
    Definition,
    SymbolBars,
    bar_tables,
    definitions,
    tick_tables,
)
from adapters.databento.schemas import asset_of, kind_of

__all__ = [
    "QUOTE_SCHEMA",
    "TRADE_SCHEMA",
    "DbnFile",
    "Definition",
    "SymbolBars",
    "asset_of",
    "bar_tables",
    "definitions",
    "kind_of",
    "open_dbn",
    "publisher_name",
    "tick_tables",
]

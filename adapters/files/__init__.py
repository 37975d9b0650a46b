"""Bars from CSV and Parquet files of any vendor."""

from adapters.errors import SourceError
from adapters.files.loader import BAR_SCHEMA, DBN_SUFFIXES, FileBars, load_bars, symbols_in

__all__ = ["BAR_SCHEMA", "DBN_SUFFIXES", "FileBars", "SourceError", "load_bars", "symbols_in"]

"""Bars from CSV and Parquet files of any vendor."""

from adapters.files.errors import SourceError
from adapters.files.loader import BAR_SCHEMA, FileBars, load_bars

__all__ = ["BAR_SCHEMA", "FileBars", "SourceError", "load_bars"]

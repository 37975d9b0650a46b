"""Bars from files of any vendor: text, Parquet, JSON."""

from adapters.errors import SourceError
from adapters.files.formats import FORMATS, Format
from adapters.files.loader import BAR_SCHEMA, DBN_SUFFIXES, FileBars, load_bars, read_file
from adapters.files.sources import ReadOptions

__all__ = [
    "BAR_SCHEMA",
    "DBN_SUFFIXES",
    "FORMATS",
    "FileBars",
    "Format",
    "ReadOptions",
    "SourceError",
    "load_bars",
    "read_file",
]

"""Text files of any encoding, compression and separator: what they look like, and their columns as Arrow reads them."""

import csv
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import pyarrow as pa
import pyarrow.csv as pacsv

from adapters.errors import SourceError

COMPRESSED = (".gz", ".zst", ".bz2")
ARCHIVE = ".zip"
SUFFIXES = (".csv", ".txt", ".tsv", ".itxt")

_APPLE = "__MACOSX/"  # what macOS adds to every archive
_SAMPLE = 32_768  # bytes
_SAMPLE_ROWS = 50
_SEPARATORS = ",;\t|"
_NUMBER = re.compile(r"\s*-?\d+(\.\d*)?(e[+-]?\d+)?\s*", re.IGNORECASE)
_COMMA_NUMBER = re.compile(r"\s*-?\d+,\d+\s*")
_FOOTER = re.compile(r'\s*"?(Downloaded from |!ENDMSG!)')  # Barchart; IQFeed
_REFUSED_NUMBER = re.compile(r"In CSV column #(\d+): CSV conversion error to double: invalid value (.*)")
_MISSING = ["", "NaN", "nan", "NA", "N/A", "null", "None", "-"]


@dataclass(frozen=True)
class Sheet:
    """What a text file looks like.

    Attributes
    ----------
    path : Path
    member : str
        Name inside an archive; empty for none.
    encoding, separator, decimal : str
    rows : list of list of str
        First rows, values without blanks around them.
    """

    path: Path
    member: str
    encoding: str
    separator: str
    decimal: str
    rows: list[list[str]]

    @property
    def has_header(self) -> bool:
        """Whether the first line holds no bar: less than three numbers."""
        return sum(_is_number(text, self.decimal) for text in self.rows[0]) < 3 if self.rows else True

    @property
    def inner_name(self) -> str:
        """Name of the text file itself, inside an archive or not."""
        return Path(self.member).name or self.path.name


def look(path: Path) -> Sheet:
    """Look at the beginning of a text file.

    Raises
    ------
    SourceError
        If it is no text, no whole archive, or an archive of several files.
    """
    member = _member(path)
    try:
        with _opened(path, member) as file:
            sample = file.read(_SAMPLE)
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path.name} is not a whole {path.suffix} file: {one_line(error)}") from error
    encoding = _encoding(sample)
    try:
        text = sample.decode(encoding, errors="strict" if len(sample) < _SAMPLE else "ignore")
    except UnicodeDecodeError:
        raise SourceError(f"{path.name} is neither UTF-8 nor UTF-16 text") from None
    lines = text.splitlines()[: _SAMPLE_ROWS + 1]
    if len(lines) > _SAMPLE_ROWS or len(sample) == _SAMPLE:
        lines = lines[:-1] or lines
    separator = max(_SEPARATORS, key=lines[0].count) if lines else ","
    rows = [[value.strip() for value in row] for row in csv.reader(lines, delimiter=separator) if row]
    decimal = "," if separator != "," and _has_comma_numbers(rows) else "."
    return Sheet(path, member, encoding, separator, decimal, rows)


def read_columns(sheet: Sheet, names: Sequence[str], skip: int, types: dict[str, pa.DataType]) -> pa.Table:
    """Columns of a text file.

    Parameters
    ----------
    sheet : Sheet
    names : sequence of str
        Names of all columns in order, each once.
    skip : int
        Lines before the first bar.
    types : dict of str to pyarrow.DataType
        Columns to read. Text is never taken as missing: ``NA`` and ``TRUE`` are tickers.

    Raises
    ------
    SourceError
        If a line has another number of values, or a value is not of its type.
    """
    convert = pacsv.ConvertOptions(
        column_types=types, include_columns=list(types), null_values=_MISSING, strings_can_be_null=False,
        decimal_point=sheet.decimal,
    )  # fmt: skip
    parse = pacsv.ParseOptions(delimiter=sheet.separator, invalid_row_handler=_footer_or_error)
    read = pacsv.ReadOptions(column_names=list(names), skip_rows=skip, encoding=sheet.encoding)
    try:
        with _opened(sheet.path, sheet.member) as file:
            return pacsv.read_csv(file, read_options=read, parse_options=parse, convert_options=convert)
    except UnicodeDecodeError:
        raise SourceError(f"{sheet.path.name} is neither UTF-8 nor UTF-16 text") from None
    except (pa.ArrowInvalid, OSError, EOFError, zipfile.BadZipFile) as error:
        raise SourceError(f"{sheet.path.name} must be a table of numbers: {_said_plainly(error, names)}") from error


def is_text(path: Path) -> bool:
    """Whether a file's name is that of text, compressed or not."""
    suffix = path.suffix.lower()
    inner = Path(path.stem).suffix.lower() if suffix in COMPRESSED else suffix
    return inner in (*SUFFIXES, ARCHIVE)


def one_line(error: Exception) -> str:
    """An error's words in one line."""
    return " ".join(str(error).split())


def _footer_or_error(row: pacsv.InvalidRow) -> Literal["skip", "error"]:
    return "skip" if _FOOTER.match(row.text) else "error"


def _said_plainly(error: Exception, names: Sequence[str]) -> str:
    found = _REFUSED_NUMBER.search(one_line(error))
    if found is None:
        return one_line(error)
    return (
        f"column {names[int(found[1])]} has {found[2]}; write numbers such as 5908.25, without a separator of "
        "thousands, a currency or a letter"
    )


@contextmanager
def _opened(path: Path, member: str) -> Iterator[IO[bytes]]:
    if member:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            yield file
        return
    compression = "detect" if path.suffix.lower() in COMPRESSED else None
    with pa.input_stream(str(path), compression=compression) as stream:
        yield stream


def _member(path: Path) -> str:
    if path.suffix.lower() != ARCHIVE:
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith(_APPLE)]
    except (zipfile.BadZipFile, OSError) as error:
        raise SourceError(f"{path.name} is not a whole .zip file: {one_line(error)}") from error
    if len(names) != 1:
        raise SourceError(f"{path.name} must hold one file, holds {len(names)}: unpack it and name the files")
    return names[0]


def _encoding(sample: bytes) -> str:
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "utf-8-sig" if sample.startswith(b"\xef\xbb\xbf") else "utf-8"


def _is_number(text: str, decimal: str) -> bool:
    return bool(_NUMBER.fullmatch(text) or (decimal == "," and _COMMA_NUMBER.fullmatch(text)))


def _has_comma_numbers(rows: Sequence[Sequence[str]]) -> bool:
    # Any row: some hold whole prices only. A point as well means that commas separate thousands.
    values = [value for row in rows[1:] or rows for value in row]
    commas = any(_COMMA_NUMBER.fullmatch(value) for value in values)
    return commas and not any("." in value and _NUMBER.fullmatch(value) for value in values)

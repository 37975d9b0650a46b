"""A DBN file, opened only if it is whole.

The ``databento`` package reads a file that was cut off as if it ended there, without a word; so every byte is
decompressed and every record's length followed to the end of the file first.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import databento
import zstandard
from databento.common.dbnstore import DataSource
from databento.common.error import BentoError
from databento_dbn import DBNError

from adapters.errors import SourceError

_MAGIC = b"DBN"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_PREFIX = 8  # magic, version, length of the metadata
_BLOCK = 1 << 20


class CutOffError(SourceError):
    """A DBN file that ends too early, or is damaged: fetching it again helps."""


@dataclass(frozen=True)
class DbnFile:
    """A whole DBN file.

    Attributes
    ----------
    path : Path
    sha256 : str
        Hash of the file's bytes.
    schema, dataset : str
        As Databento names them.
    stype_in : str
        How its symbols are meant: ``raw_symbol``, ``continuous``, …
    store : databento.DBNStore
    """

    path: Path
    sha256: str
    schema: str
    dataset: str
    stype_in: str
    store: databento.DBNStore


class _OpenFile(DataSource):
    # The package's own file source never closes its file.
    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path, self._file = path, file

    @property
    def name(self) -> str:
        return self._path.name

    @property
    def nbytes(self) -> int:
        return self._path.stat().st_size

    @property
    def reader(self) -> IO[bytes]:
        self._file.seek(0)
        return self._file


@contextmanager
def open_dbn(path: Path) -> Iterator[DbnFile]:
    """Open a DBN file, plain or compressed with zstd, and close it afterwards.

    Raises
    ------
    SourceError
        If it is missing, empty, of another kind, cut off, or of more than one schema.
    """
    if not path.is_file():
        raise SourceError(f"no file {path}")
    _check_whole(path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        try:
            store = databento.DBNStore(_OpenFile(path, file))
        except (BentoError, DBNError, ValueError) as error:
            raise SourceError(f"{path.name} is not a DBN file: {' '.join(str(error).split())}") from error
        if store.schema is None:
            raise SourceError(f"{path.name} must hold records of one schema; files of the live feed are not imported")
        yield DbnFile(path, sha256, str(store.schema), str(store.dataset), str(store.stype_in), store)


def _check_whole(path: Path) -> None:
    blocks = _decompressed(path)
    held = b""
    while len(held) < _PREFIX and (block := next(blocks, b"")):
        held += block
    if held[:3] != _MAGIC:
        raise SourceError(f"{path.name} is not a DBN file with its header (DBZ and fragments are refused)")
    skip = _PREFIX + int.from_bytes(held[4:8], "little")
    while True:
        if skip >= len(held):
            skip -= len(held)
            held = next(blocks, b"")
            if not held:
                break
        else:
            held = held[skip:]
            skip = 4 * held[0]  # every record begins with its length in words
            if not skip:
                raise SourceError(f"{path.name} is damaged: a record has no length")
    if skip:
        raise CutOffError(f"{path.name} is cut off inside a record: fetch it again")


def _decompressed(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        magic = file.read(len(_ZSTD_MAGIC))
        file.seek(0)
        if magic != _ZSTD_MAGIC:
            yield from iter(lambda: file.read(_BLOCK), b"")
            return
        yield from _frames(path, iter(lambda: file.read(_BLOCK), b""))


def _frames(path: Path, blocks: Iterator[bytes]) -> Iterator[bytes]:
    # A file may be several zstd frames one after the other; the last one must have ended.
    frame = zstandard.ZstdDecompressor().decompressobj()
    try:
        for block in blocks:
            rest = block
            while rest:
                if frame.eof:
                    frame = zstandard.ZstdDecompressor().decompressobj()
                if content := frame.decompress(rest):
                    yield content
                rest = frame.unused_data if frame.eof else b""
    except zstandard.ZstdError as error:
        raise CutOffError(f"{path.name} is damaged: {error}") from error
    if not frame.eof:
        raise CutOffError(f"{path.name} is cut off inside its zstd stream: fetch it again")

"""The journal of a session: inputs and results of every decision, in order, on disk.

Rows go into an open segment (an Arrow stream, ``000001.arrows``) batch by batch, each batch with its checksum and
flushed to the device, so that a dead process loses at most what it had not flushed. A full segment is sealed as
Parquet (``000001.parquet``, written aside and renamed). After a crash the last segment may be torn: its whole batches
are kept, and the number of lost bytes is reported.
"""

import contextlib
import io
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.errors import InputError

# What `values` and `text` hold:
#   bar              open, high, low, close, volume
#   context          a row of a context stream, by the stream's name and its plan's columns
#   observation      the policy's input; float32 is exact in float64
#   mask             1 where an action is allowed
#   recurrent_state  text: SHA-256 of the state after the step
#   logits           the policy's output
#   target           wanted side
#   review           approved 0 or 1; text: the reason of a refusal
#   order            text: JSON; one that is changed at the broker is written again
#   fill             text: JSON; a row with `corrects` amends the fill of that id
#   state            text: JSON of a change of connection, risk or session state
Kind = Literal[
    "bar", "context", "observation", "mask", "recurrent_state", "logits", "target", "review", "order", "fill", "state"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
SCHEMA = pa.schema(
    [
        ("seq", pa.int64()),
        ("ts_ns", pa.int64()),
        ("kind", pa.string()),
        ("instrument_id", pa.string()),
        ("values", pa.list_(pa.float64())),
        ("text", pa.string()),
    ]
)
OPEN, SEALED = ".arrows", ".parquet"
CHECKSUM = b"crc32"
SEGMENT_ROWS = 50_000
_SEGMENT = re.compile(r"\d{6}\.(arrows|parquet)")


@dataclass(frozen=True)
class TornTail:
    """Unreadable end of a segment after a crash.

    Attributes
    ----------
    segment : str
        File name.
    rows_kept : int
        Rows before the tear.
    bytes_lost : int
    """

    segment: str
    rows_kept: int
    bytes_lost: int


@dataclass(frozen=True)
class JournalContent:
    """Content of a journal.

    Attributes
    ----------
    rows : pyarrow.Table
        Rows of `SCHEMA`, ascending and gapless in ``seq``.
    torn : TornTail or None
        The tear at the end of the last segment; None if it is whole.
    """

    rows: pa.Table
    torn: TornTail | None


class Journal:
    """Appends to the journal in a folder; one writer at a time.

    Parameters
    ----------
    folder : Path
        Created if missing. An existing journal is continued; a torn end is cut off first.
    segment_rows : int
        Rows after which a segment is sealed.
    durable : bool
        Whether a flush waits for the device. Without it a crash of the machine, not of the process, may lose rows.

    Attributes
    ----------
    recovered : TornTail or None
        The tear that was found and cut off; None if there was none.

    Raises
    ------
    InputError
        If the journal in the folder is damaged before its end.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = Journal(Path(folder), durable=False)
    ...     journal.append("bar", 60, "MESZ6.XCME", values=[1.0, 2.0, 0.5, 1.5, 10.0])
    ...     journal.append("target", 60, "MESZ6.XCME", values=[1])
    ...     journal.flush()
    ...     read_journal(Path(folder)).rows["kind"].to_pylist()
    ...     journal.close()
    ['bar', 'target']
    """

    def __init__(self, folder: Path, segment_rows: int = SEGMENT_ROWS, durable: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._segment_rows, self._durable = folder, segment_rows, durable
        found = read_journal(folder)
        self.recovered = found.torn
        for segment in folder.glob(f"*{OPEN}"):
            _seal(segment)
        self._seq = found.rows.num_rows
        self._waiting: list[tuple[int, int, str, str, list[float], str]] = []
        self._number = max((int(path.stem) for path in _segments(folder)), default=0)
        self._rows_in_segment = 0
        self._file, self._writer = self._open_segment()

    def append(
        self, kind: Kind, ts_ns: int, instrument_id: str = "", values: Sequence[float] = (), text: str = ""
    ) -> None:
        """Add a row; it is on disk after the next `flush`.

        Parameters
        ----------
        kind : str
            One of `KINDS`, which also says what ``values`` and ``text`` hold.
        ts_ns : int
            Time of the event, UTC nanoseconds.
        instrument_id : str
        values : sequence of float
        text : str
        """
        self._waiting.append((self._seq, int(ts_ns), kind, instrument_id, list(map(float, values)), text))
        self._seq += 1

    @property
    def next_seq(self) -> int:
        """Number of rows appended since the journal began."""
        return self._seq

    def flush(self) -> None:
        """Write every appended row to disk."""
        if not self._waiting:
            return
        columns = [list(column) for column in zip(*self._waiting, strict=True)]
        arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
        self._writer.write_batch(batch, custom_metadata={CHECKSUM: str(_checksum(columns))})
        self._write_out()
        self._rows_in_segment += len(self._waiting)
        self._waiting = []
        if self._rows_in_segment >= self._segment_rows:
            self._rotate()

    def _write_out(self) -> None:
        content = self._buffer.take()
        size = os.fstat(self._file.fileno()).st_size
        try:
            self._file.write(content)
            self._file.flush()
            if self._durable:
                os.fsync(self._file.fileno())
        except OSError:
            # What is half written would be a tear in the middle; the rows wait for the next flush.
            self._file = self._reopened(size)
            raise

    def _reopened(self, size: int) -> BinaryIO:
        with contextlib.suppress(OSError):
            self._file.close()
        path = self._folder / f"{self._number:06d}{OPEN}"
        os.truncate(path, size)
        return path.open("ab")

    def close(self) -> None:
        """Flush and seal the last segment."""
        self.flush()
        self._close_segment()

    def _rotate(self) -> None:
        self._close_segment()
        self._rows_in_segment = 0
        self._file, self._writer = self._open_segment()

    def _open_segment(self) -> tuple[BinaryIO, Any]:
        self._number += 1
        # "x": a second writer of the same journal fails here instead of mixing its rows in.
        file = (self._folder / f"{self._number:06d}{OPEN}").open("xb")
        self._buffer = _Buffer()
        writer = pa.ipc.new_stream(self._buffer, SCHEMA)
        file.write(self._buffer.take())
        file.flush()
        return file, writer

    def _close_segment(self) -> None:
        self._writer.close()
        self._write_out()
        self._file.close()
        _seal(self._folder / f"{self._number:06d}{OPEN}")


class _Buffer(io.RawIOBase):
    """Takes what the Arrow writer writes, so that a full disk cannot leave half of it in the file."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        self._parts.append(bytes(part))
        return len(self._parts[-1])

    def take(self) -> bytes:
        content, self._parts = b"".join(self._parts), []
        return content


def read_journal(folder: Path) -> JournalContent:
    """Read every row of a journal, also of one that is being written or was torn by a crash.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    JournalContent

    Raises
    ------
    InputError
        If a segment is missing or damaged before the end of the journal.
    """
    segments = _segments(folder)
    tables: list[pa.Table] = []
    torn: TornTail | None = None
    for segment in segments:
        if torn is not None:
            raise InputError(
                f"journal {folder}: segment {torn.segment} must be whole, {torn.bytes_lost} bytes cannot be read"
            )
        rows, torn = _read_sealed(segment) if segment.suffix == SEALED else _read_open(segment)
        tables.append(rows)
    rows = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    _check_order(folder, rows)
    return JournalContent(rows, torn)


def _check_order(folder: Path, rows: pa.Table) -> None:
    for expected, seq in enumerate(rows["seq"].to_pylist()):
        if seq != expected:
            raise InputError(f"journal {folder}: row {expected} is missing, row {seq} stands in its place")


def _segments(folder: Path) -> list[Path]:
    found = {path.stem: path for path in sorted(folder.iterdir(), reverse=True) if _SEGMENT.fullmatch(path.name)}
    for stem, path in list(found.items()):
        sealed = path.with_suffix(SEALED)
        if sealed.exists():
            found[stem] = sealed  # after a crash between the rename and the removal of the open segment
    return [found[stem] for stem in sorted(found)]


def _read_sealed(segment: Path) -> tuple[pa.Table, None]:
    try:
        return pq.read_table(segment, schema=SCHEMA), None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"journal segment {segment} cannot be read: {error}") from error


def _read_open(segment: Path) -> tuple[pa.Table, TornTail | None]:
    content = segment.read_bytes()
    source = pa.BufferReader(content)
    batches: list[pa.RecordBatch] = []
    whole = 0
    with contextlib.suppress(StopIteration):
        try:
            reader = pa.ipc.open_stream(source)
            if not reader.schema.equals(SCHEMA):
                raise pa.ArrowInvalid("the schema itself is damaged")
            whole = source.tell()
            while True:
                batch, metadata = reader.read_next_batch_with_custom_metadata()
                batch.validate(full=True)  # a damaged offset would make reads leave the buffer
                if metadata is None or int(metadata[CHECKSUM]) != _checksum(
                    column.to_pylist() for column in batch.columns
                ):
                    break
                batches.append(batch)
                whole = source.tell()
        except (pa.ArrowException, OSError, KeyError, ValueError):
            pass  # the tear: what follows is counted below
    rows = pa.Table.from_batches(batches, schema=SCHEMA)
    lost = len(content) - whole
    end_marker = content[whole:] in (b"", b"\xff\xff\xff\xff\x00\x00\x00\x00")
    return rows, None if end_marker else TornTail(segment.name, rows.num_rows, lost)


def _seal(segment: Path) -> None:
    rows, _ = _read_open(segment)
    if rows.num_rows and not segment.with_suffix(SEALED).exists():
        aside = segment.with_suffix(".aside")
        pq.write_table(rows, aside, compression="zstd")
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.rename(segment.with_suffix(SEALED))
    segment.unlink()


def _checksum(columns: Iterable[list[Any]]) -> int:
    return zlib.crc32(b"|".join(str(column).encode() for column in columns))

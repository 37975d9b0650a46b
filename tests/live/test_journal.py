"""The journal survives what processes and disks do to it."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogs.errors import InputError
from rl_strategies.live.journal.journal import KINDS, Journal, read_journal
from rl_strategies.live.journal.session_journal import FillRow, SessionJournal, add_fill

ROOT = Path(__file__).resolve().parents[2]
# Numbers that lose something in any text or in float32.
HARD = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 24_000.25]


def write(folder: Path, batches: int, rows: int = 3, **options: int) -> None:
    journal = Journal(folder, durable=False, **options)
    for batch in range(batches):
        for row in range(rows):
            journal.append(KINDS[row], batch, "MESZ6.XCME", values=HARD, text=f"{batch}/{row}")
        journal.flush()
    # Left open as by a dead process: nothing is sealed.
    journal._file.close()


def texts(folder: Path) -> list[str]:
    return read_journal(folder).rows["text"].to_pylist()


def test_every_kind_comes_back_bit_for_bit(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for kind in KINDS:
        journal.append(kind, 7, "SPY.EQUS", values=HARD, text=json.dumps({"kind": kind}))
    journal.close()
    rows = read_journal(tmp_path).rows.to_pylist()
    assert [row["kind"] for row in rows] == list(KINDS)
    assert [row["seq"] for row in rows] == list(range(len(KINDS)))
    assert all([value.hex() for value in row["values"]] == [value.hex() for value in HARD] for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["000001.parquet"]


def test_numbers_that_are_none_and_numpy_s_own_come_back_too(tmp_path: Path) -> None:
    journal = Journal(tmp_path, durable=False)
    journal.append("context", np.int64(7), "VIX", values=np.array([np.nan, np.inf, -np.inf, 0.1], np.float32))
    journal.flush()
    (row,) = read_journal(tmp_path).rows.to_pylist()  # the checksum of the batch is that of what is read
    assert row["ts_ns"] == 7
    assert str(row["values"]) == "[nan, inf, -inf, 0.10000000149011612]"
    journal.close()


def test_rows_are_on_disk_after_a_flush_and_not_before(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("state", 1, text="first")
    assert texts(tmp_path) == []
    journal.flush()
    assert texts(tmp_path) == ["first"]
    journal.append("state", 2, text="second")
    journal.close()
    assert texts(tmp_path) == ["first", "second"]


def test_full_segments_are_sealed(tmp_path: Path) -> None:
    write(tmp_path, batches=5, rows=3, segment_rows=6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000001.parquet", "000002.parquet", "000003.arrows"]
    assert texts(tmp_path) == [f"{batch}/{row}" for batch in range(5) for row in range(3)]


def test_a_journal_is_continued_after_a_restart(tmp_path: Path) -> None:
    write(tmp_path, batches=2)
    write(tmp_path, batches=1)
    content = read_journal(tmp_path)
    assert content.rows["seq"].to_pylist() == list(range(9))
    assert content.torn is None


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1))
def test_a_segment_torn_at_any_byte_keeps_every_whole_batch(
    share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    sizes = []
    journal = Journal(folder, durable=False)
    segment = folder / "000001.arrows"
    for batch in range(4):
        for row in range(3):
            journal.append("observation", batch, values=HARD, text=f"{batch}/{row}")
        journal.flush()
        sizes.append(segment.stat().st_size)
    journal._file.close()
    cut = round(share * sizes[-1])
    with segment.open("r+b") as file:
        file.truncate(cut)
    whole = sum(size <= cut for size in sizes)
    content = read_journal(folder)
    assert content.rows["text"].to_pylist() == [f"{batch}/{row}" for batch in range(whole) for row in range(3)]
    again = Journal(folder, durable=False)
    assert again.recovered == content.torn
    again.append("state", 9, text="again")
    again.close()
    assert texts(folder)[-1] == "again"
    assert read_journal(folder).torn is None
    assert len(texts(folder)) == whole * 3 + 1


@settings(max_examples=60)
@given(share=st.floats(0, 0.999), bit=st.integers(0, 7))
def test_a_flipped_bit_never_becomes_a_wrong_row(
    share: float, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    write(folder, batches=3)
    expected = texts(folder)
    segment = folder / "000001.arrows"
    content = bytearray(segment.read_bytes())
    content[int(share * len(content))] ^= 1 << bit
    segment.write_bytes(content)
    try:
        rows = read_journal(folder).rows
    except InputError:
        return
    found = rows["text"].to_pylist()
    assert found == expected[: len(found)]
    assert all(values == HARD for values in rows["values"].to_pylist())


def test_garbage_after_the_last_batch_is_cut_off(tmp_path: Path) -> None:
    write(tmp_path, batches=2)
    with (tmp_path / "000001.arrows").open("ab") as file:
        file.write(b"\xff\xff\xff\xff\x90\x00")
    torn = read_journal(tmp_path).torn
    assert torn is not None
    assert (torn.segment, torn.rows_kept, torn.bytes_lost) == ("000001.arrows", 6, 6)


def test_damage_before_the_end_is_refused(tmp_path: Path) -> None:
    write(tmp_path, batches=5, rows=3, segment_rows=6)
    (tmp_path / "000002.parquet").unlink()
    with pytest.raises(InputError, match="row 6 is missing, row 12 stands in its place"):
        read_journal(tmp_path)
    (tmp_path / "000001.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"000001\.parquet cannot be read"):
        read_journal(tmp_path)


def test_a_crash_between_sealing_and_removing_reads_once(tmp_path: Path) -> None:
    write(tmp_path, batches=2)
    open_segment = (tmp_path / "000001.arrows").read_bytes()
    Journal(tmp_path, durable=False).close()
    (tmp_path / "000001.arrows").write_bytes(open_segment)
    assert len(texts(tmp_path)) == 6
    Journal(tmp_path, durable=False).close()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["000001.parquet"]


def test_two_writers_do_not_mix(tmp_path: Path) -> None:
    first = Journal(tmp_path, durable=False)
    (tmp_path / "000002.arrows").touch()
    for _ in range(2):
        first.append("state", 1, text="mine")
    with pytest.raises(FileExistsError):
        first._rotate()
    first._file.close()


def test_a_killed_process_loses_nothing_that_it_flushed(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from rl_strategies.live.journal.journal import Journal
journal = Journal(Path(sys.argv[1]))
number = 0
while True:
    journal.append("state", number, text=str(number))
    journal.flush()
    print(number, flush=True)
    number += 1
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdout is not None
        confirmed = [int(writer.stdout.readline()) for _ in range(50)]
        writer.send_signal(signal.SIGKILL)
        confirmed += [int(line) for line in writer.stdout if line.endswith("\n")]
    found = [int(text) for text in texts(tmp_path)]
    assert found[: len(confirmed)] == confirmed
    assert len(found) - len(confirmed) <= 1


def test_rows_that_a_full_disk_refused_are_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Journal(tmp_path)
    journal = SessionJournal(written)
    journal.state(1, "day")
    journal.flush()

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    journal.state(2, "day")
    journal.flush()
    journal.state(3, "day")
    journal.flush()
    assert journal.problem == "journal cannot be written: No space left on device"
    assert read_journal(tmp_path).rows["ts_ns"].to_pylist() == [1]
    assert read_journal(tmp_path).torn is None
    monkeypatch.undo()
    journal.state(4, "day")
    journal.flush()
    assert journal.problem == ""
    assert read_journal(tmp_path).rows["ts_ns"].to_pylist() == [1, 2, 3, 4]
    written.close()


def row(trade_id: str, units: int, ticks: int, cents: int, **more: Any) -> FillRow:
    return FillRow("o", trade_id, "entry", "market", 0, "entry", units, ticks, cents, 100, 0, 0, **more)


def test_amendments_lead_to_whole_fills() -> None:
    fills: dict[str, FillRow] = {}
    for each in (
        row("~o-0", 10, 100, 40),
        row("x.01", 0, 101, 16, corrects="~o-0", replaces=4),
        row("y.01", 0, 102, 30, corrects="~o-0", replaces=6),
        row("y.02", -1, 103, 25, corrects="y.01", replaces=6),
        row("x.01", 0, 101, 17, corrects="x.01", replaces=4),
        row("x.01", 4, 999, 99),
        row("z.02", 1, 1, 1, corrects="unknown"),
    ):
        add_fill(fills, each)
    assert [(name, f.units, f.price_ticks, f.commission_cents) for name, f in fills.items()] == [
        ("x.01", 4, 101, 17),
        ("y.02", 5, 103, 25),
    ]

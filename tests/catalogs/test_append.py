"""Daily appends, two importers at once, an importer killed, a full disk: the catalog stays whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogs.errors import InputError
from catalogs.hygiene.cleaning import RawBars
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.instruments.table import load_table
from catalogs.storage import arrow
from catalogs.storage.arrow import bar_files, read_bars
from catalogs.storage.ingest import Imported, import_bars
from catalogs.storage.lock import LOCK_FILE, writing
from catalogs.storage.provenance import read_provenance
from configs import instruments_path

ROOT = Path(__file__).resolve().parents[2]
BAR_TYPE = "SPY.EQUS-1-MINUTE-LAST-EXTERNAL"
MINUTE_NS = 60 * 10**9


def spec_of(name: str) -> InstrumentSpec:
    return resolve(name, load_table(instruments_path()))


def session(n: int = 390) -> RawBars:
    """Minutes of 10 March 2025 in New York, a cent up each."""
    start_ns = int(np.datetime64("2025-03-10T13:31", "ns").astype(np.int64))
    close = np.round(100 + 0.01 * np.arange(n), 2)
    return RawBars(start_ns + MINUTE_NS * np.arange(n), close, close + 0.01, close - 0.01, close, np.full(n, 1e3))


def store(catalog: Path, raw: RawBars) -> Imported:
    return import_bars(catalog, spec_of("SPY"), "1-MINUTE", [pa.table(vars(raw))], [], stamp="close")


def test_a_longer_export_appends_its_tail(catalog: Path) -> None:
    raw = session()
    assert store(catalog, raw.take(np.arange(150))).outcome == "imported"
    imported = store(catalog, raw)
    assert (imported.outcome, imported.new_rows) == ("appended", 240)
    assert np.array_equal(read_bars(catalog, BAR_TYPE).ts_ns, raw.ts_ns)
    assert store(catalog, raw).outcome == "already imported"
    records = [read_provenance(catalog, path) for path in bar_files(catalog, BAR_TYPE)]
    assert [record.rows for record in records if record] == [150, 240]


def test_bars_on_both_sides_and_between_are_appended(catalog: Path) -> None:
    raw = session()
    for rows in (np.arange(50, 100), np.arange(200, 250)):
        store(catalog, raw.take(rows))
    assert store(catalog, raw).new_rows == 50 + 100 + 140
    assert np.array_equal(read_bars(catalog, BAR_TYPE).close, np.rint(raw.close * 100))
    assert len(bar_files(catalog, BAR_TYPE)) == 5


def test_bars_in_a_stored_hole_are_refused(catalog: Path) -> None:
    raw = session()
    store(catalog, raw.take(np.r_[0:100, 110:390]))
    with pytest.raises(
        InputError, match=r"lie in a gap of the stored ones in catalog .*: 10 in all, first at 2025-03-10T15:11"
    ):
        store(catalog, raw)


def test_bars_in_a_stored_hole_are_refused_also_where_no_price_moves(catalog: Path) -> None:
    raw = session()
    flat = RawBars(raw.ts_ns, *[np.full(390, 100.0)] * 4, raw.volume)
    store(catalog, flat.take(np.r_[0:100, 110:390]))
    with pytest.raises(InputError, match=r"bars of .* lie in a gap of the stored ones in catalog .*: 10 in all"):
        store(catalog, flat)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.tuples(st.integers(0, 119), st.integers(1, 60)), min_size=1, max_size=5))
def test_any_order_of_overlapping_imports_ends_in_the_same_bars(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[tuple[int, int]]
) -> None:
    catalog = tmp_path_factory.mktemp("any") / "catalog"
    raw = session(120)
    seen: set[int] = set()
    for first, length in cuts:
        rows = np.arange(first, min(first + length, 120))
        fresh = set(rows.tolist()) - seen
        assert store(catalog, raw.take(rows)).new_rows == len(fresh)
        seen |= fresh
    assert np.array_equal(read_bars(catalog, BAR_TYPE).ts_ns, raw.ts_ns[sorted(seen)])


def importer(folder: Path, catalog: Path, symbol: str, rows: np.ndarray, before: str = "") -> subprocess.Popen[str]:
    """``data import`` of some rows in a process of its own, after running the Python code ``before``."""
    path = folder / f"{symbol}-{rows[0]}.parquet"
    pq.write_table(pa.table(vars(session().take(rows))).rename_columns({"ts_ns": "ts_event"}), path)
    words = ["data", "import", str(path), "--instrument", symbol, "--stamp", "close", "--catalog", str(catalog)]
    code = f"import sys; from run.cli import main; {before}\nsys.exit(main({words!r}))"
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)


def test_two_importers_at_once_lose_nothing(catalog: Path, tmp_path: Path) -> None:
    parts = [("SPY", np.arange(300)), ("SPY", np.arange(100, 390))]
    workers = [importer(tmp_path, catalog, *part) for part in parts]
    errors = [worker.communicate()[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors
    assert np.array_equal(read_bars(catalog, BAR_TYPE).ts_ns, session().ts_ns)


KILL_WHEN_WRITTEN = """
import os, signal, pyarrow.parquet as pq
write = pq.ParquetWriter.close
def killed(*arguments, **options):
    write(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
pq.ParquetWriter.close = killed
"""


def test_a_killed_importer_leaves_the_old_state(catalog: Path, tmp_path: Path) -> None:
    raw = session()
    store(catalog, raw.take(np.arange(100)))
    worker = importer(tmp_path, catalog, "SPY", np.arange(390), KILL_WHEN_WRITTEN)
    worker.communicate()
    assert worker.returncode == -signal.SIGKILL
    assert len(read_bars(catalog, BAR_TYPE)) == 100
    assert list(catalog.glob(".import-*"))
    assert store(catalog, raw).new_rows == 290
    assert not list(catalog.glob(".import-*"))


def test_a_catalog_kept_busy_is_told(catalog: Path) -> None:
    with writing(catalog), pytest.raises(InputError, match=r"is locked by another process, waited 0\.1 s"):
        writing(catalog, wait_s=0.1).__enter__()
    with writing(catalog, wait_s=0.1) as staging:
        assert staging.is_dir()
    assert (catalog / LOCK_FILE).exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, the kernel's own full disk")
def test_a_full_disk_is_told_and_leaves_the_old_state(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = session()
    store(catalog, raw.take(np.arange(100)))

    def full(*_: object, **__: object) -> None:
        with open("/dev/full", "wb", buffering=0) as device:  # the kernel's own "no space left on device"
            device.write(b"x")

    monkeypatch.setattr(arrow.pq.ParquetWriter, "write_table", full)
    with pytest.raises(InputError, match="no space left on the disk"):
        store(catalog, raw)
    assert len(read_bars(catalog, BAR_TYPE)) == 100
    assert [path for path in catalog.iterdir() if path.name.startswith(".import-")] == []

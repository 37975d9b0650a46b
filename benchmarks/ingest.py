"""Writing bars to the catalog beside Nautilus' ``write_data``, reading a session beside raw pyarrow, whole imports.

One million minutes of one share. ``ratio_vs_write_data`` gives ``write_data`` its Bar objects ready made; the second
ratio includes making them from arrays. Cleaning is timed apart; Nautilus has no counterpart.

``flat_file_ratio`` compares the verb ``data import`` on a gzipped flat file, as Massive delivers it, with an earlier
release's import of the same bars from Parquet: CPU time of both, in processes of their own, after a small import that
loads and compiles everything. ``flat_file_memory_ratio`` is the peak above what the process held before, in units of
the file's own columns in memory.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog
from numpy.typing import NDArray

from benchmarks.startup import extract
from benchmarks.support.timing import interleaved
from catalogs.bars import BarSeries
from catalogs.hygiene.cleaning import RawBars, clean
from catalogs.hygiene.report import QualityReport
from catalogs.instruments.specification import InstrumentSpec, resolve, to_nautilus
from catalogs.sessions import session_calendar
from catalogs.storage.arrow import bar_files, read_bars, write_bars
from catalogs.storage.provenance import Provenance
from configs import instruments_path

ROWS = 1_000_000
FIRST_SESSION = np.datetime64("2012-01-03")
REPEATS = 3
SESSION_REPEATS = 40


def measure(seed: int) -> dict[str, float]:
    """Rows per second, ratio to ``write_data`` (median of three rounds), and ratio of a session's read to pyarrow."""
    spec = resolve("SPY", instruments_path())
    raw = _minutes(seed)
    bars = clean(raw, spec, "1-MINUTE").bars
    objects = _bar_objects(spec, bars)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        seconds = interleaved(
            {
                "ours": lambda: _write(home / "ours", spec, bars),
                "write_data": lambda: _write_data(home / "theirs", spec, objects),
                "bar_objects": lambda: _bar_objects(spec, bars),
                "clean": lambda: clean(raw, spec, "1-MINUTE"),
            },
            REPEATS,
        )
        reads = _session_reads(home / "ours", bars)
        imports = _imports(home, raw)
    return {
        **imports,
        "rows": float(len(bars)),
        "rows_per_s": len(bars) / seconds["ours"],
        "rows_per_s_cleaned": len(bars) / (seconds["ours"] + seconds["clean"]),
        "rows_per_s_write_data": len(bars) / seconds["write_data"],
        "ratio_vs_write_data": seconds["write_data"] / seconds["ours"],
        "ratio_vs_write_data_with_objects": (seconds["write_data"] + seconds["bar_objects"]) / seconds["ours"],
        "session_read_ms": 1e3 * reads["ours"],
        "session_read_ratio_vs_pyarrow": reads["ours"] / reads["pyarrow"],
    }


def _minutes(seed: int) -> RawBars:
    calendar = session_calendar("NYSE")
    first = int(np.searchsorted(calendar.session_date, FIRST_SESSION))
    sessions = range(first, first + ROWS // 390 + 100)
    minute = 60 * 10**9
    ts_ns = np.concatenate(
        [np.arange(calendar.open_ns[s] + minute, calendar.close_ns[s] + 1, minute) for s in sessions]
    )[:ROWS]
    rng = np.random.default_rng(seed)
    close = 50_000 + np.cumsum(rng.integers(-3, 4, len(ts_ns)))
    wicks = rng.integers(0, 5, (2, len(ts_ns)))
    opened = np.append(close[:1], close[:-1])
    ticks = {
        "open": opened,
        "high": np.maximum(opened, close) + wicks[0],
        "low": np.minimum(opened, close) - wicks[1],
        "close": close,
    }
    volume = rng.integers(1, 10_000, len(ts_ns)).astype(np.float64)
    return RawBars(ts_ns, **{name: np.round(column / 100, 2) for name, column in ticks.items()}, volume=volume)


# Times one import after a small one, and tells the peak of the process above what it held before.
_IMPORT = """
import json, sys, time
from pathlib import Path
from run.cli import main

def held(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

small, large = json.loads(sys.argv[1])
assert main(small) == 0
before = held("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
cpu = time.process_time()
assert main(large) == 0
print(json.dumps({"cpu_s": time.process_time() - cpu, "peak_bytes": held("VmHWM") - before}))
"""


def _imports(home: Path, raw: RawBars) -> dict[str, float]:
    earlier = home / "earlier"
    earlier.mkdir()
    here = Path(__file__).parents[1]
    extract(here, earlier)
    table = _flat_table(raw)
    for name, part in (("small", table.slice(0, 390)), ("large", table)):
        with pa.CompressedOutputStream(str(home / f"{name}.csv.gz"), "gzip") as stream:
            pacsv.write_csv(part, stream)
        pq.write_table(part.rename_columns({"window_start": "timestamp"}), home / f"{name}.parquet")
    runs = [
        (_import(here, home, ".csv.gz", ["--symbol", "SPY"]), _import(earlier, home, ".parquet", ["--symbol", "SPY"]))
        for _ in range(REPEATS)
    ]
    ours, theirs = (
        {name: float(np.median([run[i][name] for run in runs])) for name in ("cpu_s", "peak_bytes")} for i in (0, 1)
    )
    return {
        "flat_file_s": ours["cpu_s"],
        "flat_file_ratio": ours["cpu_s"] / theirs["cpu_s"],
        "flat_file_memory_ratio": ours["peak_bytes"] / table.nbytes,
        "flat_file_memory_mb": ours["peak_bytes"] / 1e6,
        "earlier_parquet_s": theirs["cpu_s"],
        "earlier_parquet_memory_mb": theirs["peak_bytes"] / 1e6,
    }


def _flat_table(raw: RawBars) -> pa.Table:
    return pa.table(
        {
            "ticker": pa.array(["SPY"] * len(raw)),
            "volume": raw.volume.astype(np.int64),
            "open": raw.open,
            "close": raw.close,
            "high": raw.high,
            "low": raw.low,
            "window_start": raw.ts_ns - 60 * 10**9,
            "transactions": raw.volume.astype(np.int64) // 30 + 1,
        }
    )


def _import(code: Path, home: Path, suffix: str, words: list[str]) -> dict[str, float]:
    catalog = home / "imported"
    shutil.rmtree(catalog, ignore_errors=True)
    small, large = (
        ["data", "import", str(home / f"{name}{suffix}"), *words, "--catalog", str(catalog / name)]
        for name in ("small", "large")
    )
    command = [sys.executable, "-W", "ignore", "-c", _IMPORT, json.dumps([small, large])]
    environment = {**os.environ, "PYTHONPATH": str(code)}
    done = subprocess.run(command, cwd=code, env=environment, capture_output=True, check=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _write(folder: Path, spec: InstrumentSpec, bars: BarSeries) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    quality = QualityReport(len(bars), len(bars))
    write_bars(folder, spec, bars, Provenance(bars.bar_type, (), "close", "", True, 0, (), quality, 0, "NYSE", ""))


def _write_data(folder: Path, spec: InstrumentSpec, bars: list[Bar]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    catalog = ParquetDataCatalog(folder)
    catalog.write_data([to_nautilus(spec)])
    catalog.write_data(bars)


def _bar_objects(spec: InstrumentSpec, bars: BarSeries) -> list[Bar]:
    bar_type, precision = BarType.from_str(bars.bar_type), spec.price_precision
    scale = int(bars.tick_raw)

    def prices(ticks: NDArray[np.int64]) -> list[Price]:
        return [Price.from_raw(int(tick) * scale, precision) for tick in ticks]

    columns = [prices(column) for column in (bars.open, bars.high, bars.low, bars.close)]
    volume = [Quantity.from_int(int(units)) for units in bars.volume]
    times = bars.ts_ns.tolist()
    return [Bar(bar_type, *row) for row in zip(*columns, volume, times, times, strict=True)]


def _session_reads(catalog: Path, bars: BarSeries) -> dict[str, float]:
    calendar = session_calendar("NYSE")
    session = int(calendar.locate(bars.ts_ns[len(bars) // 2 : len(bars) // 2 + 1])[0])
    start, end = int(calendar.open_ns[session]) + 1, int(calendar.close_ns[session])
    [path] = bar_files(catalog, bars.bar_type)
    filters = [("ts_event", ">=", start), ("ts_event", "<=", end)]
    return interleaved(
        {
            "ours": lambda: read_bars(catalog, bars.bar_type, start, end),
            "pyarrow": lambda: pq.read_table(path, filters=filters, partitioning=None),
        },
        SESSION_REPEATS,
    )

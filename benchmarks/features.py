"""The feature set ``full``: rows per second in batch and microseconds per bar live, beside pandas with TA-Lib."""

import subprocess
import sys
import time

import numpy as np
import pandas as pd

from benchmarks.peers.pandas_features import pandas_features
from benchmarks.support.timing import interleaved
from rl_strategies.features import ALL_COLUMNS, FeaturePlan, build_plan, feature_set
from rl_strategies.features.compiler.compile import Floats

ROWS = 200_000
LIVE_ROWS = 50_000
SESSION_BARS = 390
REPEATS = 5

_SECOND_START = """
import time
from rl_strategies.features import build_plan
plan = build_plan("full", volume_known=True, extended_hours=True)
start = time.perf_counter()
plan.compiled_loop
print(time.perf_counter() - start)
"""


def measure(seed: int) -> dict[str, float]:
    """Time the set ``full`` on made-up minute bars.

    Parameters
    ----------
    seed : int
        Seed of the bars.

    Returns
    -------
    dict of str to float
        ``columns`` computed; ``rows_per_s`` of one core in batch; ``live_p50_us`` and ``live_p99_us`` per bar;
        ``shared_columns`` that pandas and TA-Lib compute too, and ``ratio_vs_pandas_talib``: their time divided by that
        of a plan with just these columns; ``second_start_s``: loading the compiled code in a new process.
    """
    bars = made_up_bars(ROWS, seed)
    plan = build_plan("full", volume_known=True, extended_hours=True)
    rows = np.ascontiguousarray(bars[list(plan.columns)].to_numpy())  # row by row, like those of `input_rows`
    reference = pandas_features(bars.head(1000))
    shared = shared_plan(set(reference))
    shared_rows = np.ascontiguousarray(bars[list(shared.columns)].to_numpy())
    seconds = interleaved(
        {
            "full": lambda: plan.batch(rows),
            "shared": lambda: shared.batch(shared_rows),
            "pandas": lambda: pandas_features(bars),
        },
        REPEATS,
    )
    p50, p99 = _live_us(plan, rows[:LIVE_ROWS])
    return {
        "columns": float(len(plan.outputs)),
        "rows_per_s": ROWS / seconds["full"],
        "live_p50_us": p50,
        "live_p99_us": p99,
        "shared_columns": float(len(reference)),
        "ratio_vs_pandas_talib": seconds["pandas"] / seconds["shared"],
        "second_start_s": _second_start_s(),
    }


def made_up_bars(count: int, seed: int) -> pd.DataFrame:
    """Minute bars on a quarter-point grid in sessions of 390 minutes, with every column of the set ``full``."""
    random = np.random.default_rng(seed)
    close = 5000.0 + 0.25 * np.cumsum(random.integers(-6, 7, count))
    open_ = close + 0.25 * random.integers(-4, 5, count)
    session, minute = np.divmod(np.arange(count), SESSION_BARS)
    columns = {
        "open": open_,
        "high": np.maximum(open_, close) + 0.25 * random.integers(1, 5, count),
        "low": np.minimum(open_, close) - 0.25 * random.integers(1, 5, count),
        "close": close,
        "volume": random.integers(1, 2000, count),
        "session": session,
        "minutes_since_open": minute + 1,
        "minutes_to_close": SESSION_BARS - minute - 1,
        "minute_of_day": 571 + minute,
        "weekday": session % 5,
        "rth": minute >= 60,
        "half_day": session % 61 == 0,
        "before_holiday": session % 31 == 0,
        "after_holiday": session % 31 == 1,
    }
    return pd.DataFrame(columns).astype(np.float64)


def shared_plan(names: set[str]) -> FeaturePlan:
    """Plan of the features of ``full`` that have an output among ``names``."""
    whole = FeaturePlan(feature_set("full"), ALL_COLUMNS)
    kept = {whole.feature_of(output) for output in names & {*whole.outputs}}
    return build_plan([spec for spec in whole.specs if spec.name in kept], volume_known=True, extended_hours=True)


def _live_us(plan: FeaturePlan, rows: Floats) -> tuple[float, float]:
    live, taken = plan.live(), np.empty(len(rows))
    for i, row in enumerate(rows):
        start = time.perf_counter_ns()
        live.push(row)
        taken[i] = time.perf_counter_ns() - start
    p50, p99 = np.percentile(taken, [50, 99]) / 1000
    return float(p50), float(p99)


def _second_start_s() -> float:
    answer = subprocess.run([sys.executable, "-c", _SECOND_START], capture_output=True, text=True, check=True)
    return float(answer.stdout)

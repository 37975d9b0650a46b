"""The compiled loop on disk: found again, never stale, safe for several processes, the same bits without numba."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rl_strategies.features import FeaturePlan, default_plan
from rl_strategies.features.compiler.compile import Floats

ROOT = Path(__file__).resolve().parents[2]

COMPILE = """
import numpy as np
from rl_strategies.features import FeaturePlan, FeatureSpec
plan = FeaturePlan([FeatureSpec("sma", "sma", {"n": 2})], ("close",))
print(plan.batch(np.array([[1.0], [4.0]]))[1, 0], sum(plan.compiled_loop.stats.cache_hits.values()))
"""

COMPUTE = """
import sys
import numpy as np
from rl_strategies.features import default_plan
plan = default_plan(volume_known=True, extended_hours=True)
live, rows = plan.live(), np.load(sys.argv[1])
np.savez(sys.argv[2], batch=plan.batch(rows), live=[live.push(row).copy() for row in rows])
"""


def start(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.strip()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which two processes compiled the same plan at the same time."""
    folder = tmp_path_factory.mktemp("cache")
    both = [start(COMPILE, RL_INTRADAY_CACHE=str(folder)) for _ in range(2)]
    assert {answer(process).split()[0] for process in both} == {"2.5"}
    return folder / "features"


def test_two_processes_at_once_leave_one_plan_that_a_third_finds(cache: Path) -> None:
    assert [path.name[:5] for path in cache.iterdir() if path.is_file()] == ["plan_"]
    assert answer(start(COMPILE, RL_INTRADAY_CACHE=str(cache.parent))) == "2.5 1"


def test_spoilt_file_in_the_cache_is_never_run(cache: Path) -> None:
    (kept,) = cache.glob("plan_*.py")
    whole = kept.read_text()
    kept.write_text("raise SystemExit('the file was run')")
    assert answer(start(COMPILE, RL_INTRADAY_CACHE=str(cache.parent))).split()[0] == "2.5"
    kept.write_text(whole)


def test_without_numba_the_default_plan_gives_the_same_bits(rows: Floats, tmp_path: Path) -> None:
    source, target = tmp_path / "rows.npy", tmp_path / "outputs.npz"
    np.save(source, rows[:1200])
    answer(start(COMPUTE, str(source), str(target), NUMBA_DISABLE_JIT="1"))
    plain = np.load(target)
    compiled = default_plan(volume_known=True, extended_hours=True).batch(rows[:1200])
    assert np.isfinite(compiled[1100:]).all()
    assert plain["batch"].tobytes() == plain["live"].tobytes() == compiled.tobytes()


def test_one_plan_is_compiled_once_in_a_process() -> None:
    plan = default_plan(volume_known=True, extended_hours=True)
    assert FeaturePlan.from_spec(plan.to_spec()).compiled_loop is plan.compiled_loop


ENDLESS = """
import math
from rl_strategies.features import feature

@feature(state=1)
def endless(s, close):
    '''A number that is never known.'''
    while s[0] < 1.0:
        s[0] = 0.5 * math.sin(s[0] + close)
    return s[0]
"""
INTERRUPTED = """
import os, signal, sys, threading
from pathlib import Path
import numpy as np
from rl_strategies.features import FeaturePlan, FeatureSpec, load_feature_file
load_feature_file(Path(sys.argv[1]))
plan = FeaturePlan([FeatureSpec("endless", "endless")], ("close",))
plan.compiled_loop
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it otherwise
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    plan.batch(np.ones((5, 1)))
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_ctrl_c_ends_the_wait_for_a_feature_that_does_not_end(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    words = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "endless.py")]
    done = subprocess.run(words, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 130

"""CPU seconds of ``--help``: the overview and every verb, beside an earlier release in one interleaved run.

The earlier release is read from this checkout's own history, so that both run with the same interpreter and packages.
"""

import io
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.support.timing import interleaved
from catalogs.errors import InputError
from run.cli import VERBS

EARLIER = "26cd523"
REPEATS = 3
OVERVIEW = "overview"


def measure(seed: int) -> dict[str, float]:
    """Seconds of the overview's and of each verb's help, and their ratios to `EARLIER` for the verbs that it had.

    ``seed`` changes nothing.

    Raises
    ------
    InputError
        Outside a checkout whose history holds `EARLIER`.
    """
    here = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        extract(here, Path(folder))
        earlier = {OVERVIEW, *_verbs(Path(folder))}
        shared = [name for name in (OVERVIEW, *VERBS) if name in earlier]
        runs: dict[str, Callable[[], object]] = {}
        for name in (OVERVIEW, *VERBS):
            words = ["--help"] if name == OVERVIEW else [name, "--help"]
            runs[name] = _help(here, words)
            if name in shared:
                runs[f"{name} earlier"] = _help(Path(folder), words)
        seconds = interleaved(runs, REPEATS, clock=_children_s)
    ratios = {name: seconds[name] / seconds[f"{name} earlier"] for name in shared}
    return {
        **{f"{_key(name)}_s": seconds[name] for name in (OVERVIEW, *VERBS)},
        **{f"{_key(name)}_ratio": ratio for name, ratio in ratios.items()},
        "largest_verb_ratio": max(ratio for name, ratio in ratios.items() if name != OVERVIEW),
    }


def _key(name: str) -> str:
    return name.replace("-", "_")


def extract(checkout: Path, folder: Path) -> None:
    """Write the files of `EARLIER` into a folder.

    Raises
    ------
    InputError
        If the checkout's history does not hold it.
    """
    archive = subprocess.run(["git", "archive", EARLIER], cwd=checkout, capture_output=True, check=False)
    if archive.returncode:
        raise InputError(f"the benchmark needs a git checkout whose history holds {EARLIER}: {checkout} does not")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
        packed.extractall(folder, filter="data")


def _verbs(code: Path) -> list[str]:
    command = [sys.executable, "-c", "from run.cli import VERBS; print(*VERBS)"]
    environment = {**os.environ, "PYTHONPATH": str(code)}
    listed = subprocess.run(command, cwd=code, env=environment, capture_output=True, check=True, text=True)
    return listed.stdout.split()


def _help(code: Path, words: list[str]) -> Callable[[], object]:
    command = [sys.executable, "-m", "run.cli", *words]
    environment = {**os.environ, "PYTHONPATH": str(code)}
    return lambda: subprocess.run(command, cwd=code, env=environment, capture_output=True, check=True)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

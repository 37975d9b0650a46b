"""What is freed is kept: the same allocation again costs no page faults."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = """
import resource, sys
import torch
from training.learning.malloc import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def work():
    parts = [torch.ones(1 << 20) for _ in range(8)]
for _ in range(20):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int:
    """Page faults of twenty rounds that allocate and free 32 MiB."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", FAULTS, mode], cwd=root, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has the switch")
def test_memory_that_was_freed_is_used_again() -> None:
    # Twenty rounds before let the heap grow to its size; twenty more took 0 pages with the switch, 163,200 without.
    one_round = (32 << 20) // resource.getpagesize()
    assert faults("keep") <= one_round

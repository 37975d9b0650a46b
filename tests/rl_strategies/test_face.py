"""What `rl_strategies` offers, and that asking for a little loads no more than that."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

import rl_strategies
from rl_strategies.features import REGISTRY

HEAVY = ("nautilus_trader", "onnxruntime", "torch", "rl_strategies.features", "rl_strategies.bundle")


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    known = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(known)


@pytest.mark.parametrize("name", rl_strategies.__all__)
def test_every_offered_name_is_there(name: str) -> None:
    assert getattr(rl_strategies, name).__name__ == name or name == "State"


def test_an_unknown_name_is_refused_as_python_does() -> None:
    with pytest.raises(AttributeError, match="module 'rl_strategies' has no attribute 'RlStrategy'"):
        _ = rl_strategies.RlStrategy


def test_importing_one_room_loads_no_other() -> None:
    program = "import sys, rl_strategies.risk.config; print([name for name in sys.argv[1:] if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Fixtures that every test may use."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from run.cli import main

# A first call compiles kernels and a busy machine is slow: neither makes a property false.
# The same examples in every run, so that a change is judged by itself; `make test-random` draws new ones.
settings.register_profile("rl-intraday", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile("rl-intraday")

SHARED_DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real market data beside the checkout; tests that need it skip where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the real market data in ../shared/data, which this checkout does not have")
    return SHARED_DATA.resolve()


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict]:
    """``answer("data", "list", …)``: the one object that a command prints with --json."""

    def call(*words: object) -> dict:
        capsys.readouterr()
        code = main([*map(str, words), "--json"])
        out, err = capsys.readouterr()
        assert code == 0, err
        return json.loads(out)

    return call

"""Vendors' own bytes, and loopback servers that speak their protocols."""

from collections.abc import Callable
from pathlib import Path

import pytest

Answer = Callable[..., dict]


@pytest.fixture(scope="session")
def vendor_bytes(shared_data: Path) -> Path:
    """Folder of recorded vendor bytes beside the checkout; tests that need it skip where it is missing."""
    folder = shared_data.parent / "fixtures"
    if not folder.is_dir():
        pytest.skip("needs the vendors' recorded bytes in ../shared/fixtures, which this checkout does not have")
    return folder


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str]) -> Answer:
    """``answer("data", "list", …)``: the one object that a command prints with --json."""
    import json

    from run.cli import main

    def call(*words: object) -> dict:
        capsys.readouterr()
        code = main([*map(str, words), "--json"])
        out, err = capsys.readouterr()
        assert code == 0, err
        return json.loads(out)

    return call


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``refusal("data", "import", …)``: the one error line of a command that must exit with code 2."""
    from run.cli import main

    def call(*words: object) -> str:
        capsys.readouterr()
        code = main([*map(str, words)])
        err = capsys.readouterr().err
        errors = [line for line in err.splitlines() if line.startswith("error:")]
        assert (code, len(errors)) == (2, 1), err
        assert "Traceback" not in err
        return errors[0]

    return call

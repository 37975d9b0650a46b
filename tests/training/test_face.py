"""The face of `training`: every name is there, and asking for none of them loads nothing heavy."""

import subprocess
import sys

import pytest

import training

HEAVY = {"torch", "nautilus_trader", "stable_baselines3", "numba"}
IMPORT = "import sys, {}; print(*sys.modules)"


@pytest.mark.parametrize("name", training.__all__)
def test_every_name_is_found(name: str) -> None:
    assert getattr(training, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'training' has no attribute 'World'"):
        training.World  # type: ignore[attr-defined]  # noqa: B018


def test_homes_and_names_are_the_same_list() -> None:
    assert sorted(name for names in training._HOMES.values() for name in names) == training.__all__


@pytest.mark.parametrize("module", ["training", "training.algorithms.config"])
def test_import_loads_nothing_heavy(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT.format(module)], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())

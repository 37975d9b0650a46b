"""How many tests run at once; and what examples in docstrings leave behind is cleared away."""

import os
from collections.abc import Iterator

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, for ``-n auto``: live sessions under test wait more than they compute."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def _forget_features_of_docstrings(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if isinstance(request.node, pytest.DoctestItem):
        from rl_strategies.features.kernel import REGISTRY

        for kind, kernel in list(REGISTRY.items()):
            if kernel.function.__code__.co_filename.startswith("<doctest"):
                del REGISTRY[kind]

"""What examples in docstrings leave behind is cleared away."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _forget_features_of_docstrings(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if isinstance(request.node, pytest.DoctestItem):
        from rl_strategies.features.kernel import REGISTRY

        for kind, kernel in list(REGISTRY.items()):
            if kernel.function.__code__.co_filename.startswith("<doctest"):
                del REGISTRY[kind]

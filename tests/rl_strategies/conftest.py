"""What the tests of the core share."""

import pytest

from tests.summing_network import summing_network


@pytest.fixture(scope="session", name="summing_network")
def network_of_two_values() -> bytes:
    """ONNX content of `tests.summing_network` over two observed values."""
    return summing_network(2, scale=1.0)

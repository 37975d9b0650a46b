"""The switch that turns speed-ups off."""

import pytest

from catalogs.errors import InputError
from catalogs.plain import PLAIN_VARIABLE, SPEED_UPS, runs_plain


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("", ()),
        ("network", ("network",)),
        ("engine, layers", ("engine", "layers")),
        ("all", SPEED_UPS),
    ],
)
def test_the_variable_names_the_parts_that_run_plain(
    value: str, plain: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PLAIN_VARIABLE, value)
    assert [part for part in SPEED_UPS if runs_plain(part)] == list(plain)


def test_without_the_variable_nothing_runs_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PLAIN_VARIABLE, raising=False)
    assert not any(map(runs_plain, SPEED_UPS))


def test_an_unknown_part_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLAIN_VARIABLE, "network,gpu")
    with pytest.raises(InputError, match="must name parts out of network, engine, layers, all; unknown: gpu"):
        runs_plain("engine")

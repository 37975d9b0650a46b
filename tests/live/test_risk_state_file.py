"""The file of the risk state: whole or halted."""

import os
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_strategies.risk.monitor_config import LEVELS
from rl_strategies.risk.state_file import RiskState, RiskStateFile

EQUITY = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
STATES = st.builds(
    RiskState, st.sampled_from(LEVELS), st.integers(0, 2**62), st.text(), st.one_of(st.none(), st.dates()),
    EQUITY, EQUITY, EQUITY,
)  # fmt: skip


@given(STATES)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, state: RiskState) -> None:
    file = RiskStateFile(tmp_path_factory.mktemp("risk") / "risk.json")
    file.write(state)
    assert file.read() == state
    assert [path.name for path in file.path.parent.iterdir()] == ["risk.json"]


def test_a_first_session_is_normal(tmp_path: Path) -> None:
    assert RiskStateFile(tmp_path / "none" / "risk.json").read() == RiskState()


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"\x00" * 40, b"\xff\xfe", b"[]", b'{"level":"fine"}', b'{"level":"normal","more":1}', b"null"],
)
def test_what_is_damaged_reads_as_halted(damage: bytes, tmp_path: Path) -> None:
    file = RiskStateFile(tmp_path / "risk.json")
    file.path.write_bytes(damage)
    state = file.read()
    assert state.level == "halted"
    assert "risk.json cannot be read: " in state.reason


def test_every_cut_of_a_file_reads_as_halted(tmp_path: Path) -> None:
    file = RiskStateFile(tmp_path / "risk.json")
    file.write(RiskState("reduce_only", 7, "late data", date(2026, 1, 5), 1.0, 2.0, 3.0))
    whole = file.path.read_bytes()
    for length in range(len(whole)):
        file.path.write_bytes(whole[:length])
        assert file.read().level == "halted"


def test_what_is_no_file_reads_as_halted(tmp_path: Path) -> None:
    (tmp_path / "risk.json").mkdir()
    assert RiskStateFile(tmp_path / "risk.json").read().level == "halted"


def test_a_write_that_fails_leaves_the_state_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RiskStateFile(tmp_path / "risk.json")
    file.write(RiskState("halted", reason="before"))

    def no_device(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", no_device)
    with pytest.raises(OSError, match="Input/output"):
        file.write(RiskState())
    assert file.read() == RiskState("halted", reason="before")
    assert [path.name for path in tmp_path.iterdir()] == ["risk.json"]

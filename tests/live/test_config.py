"""Live configurations: presets, and what is refused."""

from pathlib import Path

import pytest

from catalogs.errors import InputError
from configs.live.schema import load_live

GOOD = "host: 127.0.0.1\nport: 4002\ncontract: {symbol: SPY, kind: STK, exchange: SMART}\n"


def test_paper_and_live_differ_in_their_port_alone() -> None:
    paper, live = load_live("paper"), load_live("live")
    assert (paper.port, live.port) == (4002, 4001)
    assert (paper.host, paper.contract) == (live.host, live.contract)


def test_the_account_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD + "account_variable: MY_ACCOUNT\n")
    monkeypatch.delenv("MY_ACCOUNT", raising=False)
    assert load_live(str(path)).account() == ""
    monkeypatch.setenv("MY_ACCOUNT", "DU7")
    assert load_live(str(path)).account() == "DU7"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "prot: 4002\n", "prot"),
        (GOOD.replace("4002", "99999"), "port must be between 1 and 65535, was 99999"),
        (GOOD.replace("STK", "OPT"), "kind of the contract must be FUT or STK, was 'OPT'"),
        (GOOD.replace("STK", "FUT"), "expiry must be given for a future and only there, was '' for FUT"),
        (GOOD + "doctor_client_id: 1\n", "client ids must all differ"),
        (GOOD + "flatten_client_ids: []\n", "with one for the flatten at least"),
        ("host: [", "mine.yaml"),
        ("", "mine.yaml"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        load_live(str(path))
    assert said in str(refused.value)
    assert "mine.yaml" in str(refused.value)


def test_an_unknown_preset_names_the_known() -> None:
    with pytest.raises(InputError, match="must be one of live, paper or a YAML file, was 'demo'"):
        load_live("demo")

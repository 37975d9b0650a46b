"""A live configuration made from a bundle trades what the bundle was trained on; another one is refused."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from catalogs.instruments.specification import resolve
from configs import instruments_path
from configs.live.contract import FrontMonthContract, WantedContract
from configs.live.schema import load_live
from rl_strategies.bundle.bundle import Bundle, load_bundle
from run.cli import main
from run.trade.configuration.live import _contract
from run.trade.safety.doctor_checks import check_match
from run.trade.session.contract import contract_on
from run.trade.session.plan import traded_specs
from run.train.train import train_experiment
from tests.run.conftest import experiment

DAY = date(2025, 1, 6)


@pytest.fixture(scope="module")
def bundle(synthetic_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    runs = tmp_path_factory.mktemp("runs")
    return load_bundle(train_experiment(experiment(), synthetic_catalog, runs, listener=lambda metrics: None).bundle)


@pytest.mark.parametrize(
    ("options", "port", "folder"), [([], 4002, "sessions/paper"), (["--live"], 4001, "sessions/live")]
)
def test_the_configuration_trades_the_bundle_s_share(
    bundle: Bundle, tmp_path: Path, options: list[str], port: int, folder: str
) -> None:
    path = tmp_path / "mine.yaml"
    assert main(["init", "live", str(bundle.path), "--out", str(path), *options]) == 0
    config = load_live(str(path))
    assert (config.port, config.session_folder) == (port, folder)
    contract = contract_on(config, DAY)
    assert contract == WantedContract("SPY", "STK", "SMART")
    assert traded_specs(bundle, config, DAY) == bundle.instruments
    assert check_match(bundle, config, DAY).state == "ok"


def test_an_existing_file_stays(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("mine")
    assert main(["init", "live", str(bundle.path), "--out", str(path)]) == 2
    assert f"{path} exists already" in capsys.readouterr().err
    assert path.read_text() == "mine"


def test_a_configuration_of_another_instrument_is_refused(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IB_ACCOUNT", "DU1")
    found = check_match(bundle, load_live("paper"), DAY)  # the preset trades MES
    assert (found.state, found.fix) == ("fail", f"rl-intraday init live {bundle.path} writes a configuration for it")
    assert main(["paper", str(bundle.path)]) == 2
    assert "must be equity as in bundle" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "contract"),
    [
        ("BRK.B", {"contract": WantedContract("BRK B", "STK", "SMART")}),
        ("MESH5", {"front_month": FrontMonthContract("MES", "CME", "calendar")}),
        ("CLZ5", {"front_month": FrontMonthContract("CL", "NYMEX", "calendar")}),
    ],
)
def test_contracts_are_named_as_the_broker_names_them(name: str, contract: dict[str, object], tmp_path: Path) -> None:
    written = {"host": "127.0.0.1", "port": 4002, **_contract(resolve(name, instruments_path(), DAY))}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(written))
    config = load_live(str(tmp_path / "mine.yaml"))
    assert {key: getattr(config, key) for key in contract} == contract

"""What docs/live.md shows is what the program takes."""

import re
from pathlib import Path

import msgspec

from adapters.ibkr.simulator.faults import FAULTS, Fault, FaultScript
from configs.live.contract import ContextConfig, ContractChoice
from configs.live.schema import LiveConfig, load_live
from rl_strategies.risk.monitor_config import MonitorConfig
from run.cli import VERBS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")


def test_every_fault_is_documented_and_no_other() -> None:
    table = PAGE.split("| name | what happens |")[1].split("\n\n")[0]
    named = {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert named == set(FAULTS)


def test_the_examples_can_be_read() -> None:
    several, context, script, config = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    chosen = msgspec.yaml.decode(several, type=dict[str, dict[str, ContractChoice]])["contracts"]
    assert [choice.front_month is None for choice in chosen.values()] == [True, True, False]
    assert len(FaultScript(msgspec.yaml.decode(script, type=list[Fault])).faults) == 4
    assert msgspec.yaml.decode(config, type=LiveConfig) == load_live("paper")
    shown = msgspec.yaml.decode(context, type=dict[str, ContextConfig])["context"]
    assert {name: followed.contract is None for name, followed in shown.contracts.items()} == {
        "SPY": False,
        "NQU5": True,
    }


def test_the_commands_exist() -> None:
    assert set(re.findall(r"^rl-intraday (\w+)", PAGE, re.MULTILINE)) <= VERBS.keys()


def test_every_limit_is_documented_with_its_default() -> None:
    table = PAGE.split("| limit | counts | by default |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()[2:]]
    shown = {name.strip("`"): default for _, name, _, default, _ in rows}
    assert shown == {name: _default(name) for name in shown}
    assert shown.keys() >= MonitorConfig().limits().keys()


def _default(name: str) -> str:
    limit = msgspec.structs.asdict(getattr(MonitorConfig(), name))
    return ", ".join(f"{level} {value:g}" for level, value in limit.items() if value) or "off"


def test_the_files_that_are_linked_exist() -> None:
    linked = re.findall(r"\]\((deploy/[^)]+)\)", PAGE)
    assert len(linked) == 4
    assert all((ROOT / "docs" / path).is_file() for path in linked)

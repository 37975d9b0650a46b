"""Every configured limit is seen to fire, and docs/risk.md numbers exactly the cases that are tested."""

import importlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from msgspec.structs import replace

from rl_strategies.risk.config import RiskConfig
from rl_strategies.risk.monitor_config import Limit, MonitorConfig
from rl_strategies.risk.overlay import REASONS
from tests.rules import day, test_entries, test_halts, test_holding, test_live_limits, test_portfolio, test_sizing

HERE = Path(__file__).parent
MANUAL = HERE.parents[1] / "docs" / "risk.md"

OVERLAY_CASES: dict[str, Any] = {
    **test_entries.STORIES,
    **test_holding.STORIES,
    **test_halts.STORIES,
    **test_portfolio.BOOKS,
}


@pytest.mark.parametrize("limit", RiskConfig.__struct_fields__)
def test_every_limit_of_the_overlay_fires(limit: str) -> None:
    off = getattr(day.NO_LIMIT, limit)
    cases = {number: case for number, case in OVERLAY_CASES.items() if getattr(case.risk, limit) != off}
    fires = [
        number for number, case in cases.items() if case.outcome(replace(case.risk, **{limit: off})) != case.outcome()
    ]
    assert fires, f"no case of {limit} ends otherwise without it; looked at {sorted(cases) or 'none'}"


@pytest.mark.parametrize("setting", MonitorConfig.__struct_fields__)
def test_every_limit_of_a_live_session_fires(setting: str) -> None:
    default = getattr(MonitorConfig(), setting)
    off = Limit() if isinstance(default, Limit) else default
    cases = {n: case for n, case in test_live_limits.WATCHES.items() if getattr(case.config, setting) != off}
    fires = [n for n, case in cases.items() if case.outcome(replace(case.config, **{setting: off})) != case.outcome()]
    assert fires, f"no case of {setting} ends otherwise without it; looked at {sorted(cases) or 'none'}"


def test_every_level_of_a_live_limit_is_seen() -> None:
    assert list(test_live_limits.READINGS) == [
        name for name in MonitorConfig.__struct_fields__ if isinstance(getattr(MonitorConfig(), name), Limit)
    ]


def test_every_reason_of_the_overlay_is_seen() -> None:
    cases = [*OVERLAY_CASES.values(), *(case.values[0] for case in test_sizing.test_budget.pytestmark[0].args[1])]
    outcomes = [case.outcome() for case in cases]
    seen = set(re.findall(r"\w+", str(outcomes)))
    assert set(REASONS) - seen == set()


def modules() -> Iterator[ModuleType]:
    for path in sorted(HERE.glob("test_*.py")):
        yield importlib.import_module(f"tests.rules.{path.stem}")


def numbered_cases() -> Iterator[str]:
    for module in modules():
        for value in vars(module).values():
            for mark in getattr(value, "pytestmark", []):
                if mark.name == "parametrize" and len(mark.args) > 1:
                    ids = [getattr(case, "id", None) for case in mark.args[1]]
                    yield from (
                        number for number in ids if isinstance(number, str) and re.fullmatch(r"[A-Z]\d+", number)
                    )


def test_the_manual_numbers_exactly_the_cases_that_are_tested() -> None:
    written = re.findall(r"^\| ([A-Z]\d+) \|", MANUAL.read_text(encoding="utf-8"), re.MULTILINE)
    tested = Counter(numbered_cases())
    assert [number for number, count in tested.items() if count > 1] == []
    assert [number for number, count in Counter(written).items() if count > 1] == []
    assert set(written) - set(tested) == set(), "written down, not tested"
    assert set(tested) - set(written) == set(), "tested, not written down"

"""What no check on a recording can see: constants computed at import, and cells beyond a feature's own state."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from catalogs.errors import InputError
from catalogs.instruments.specification import resolve
from configs import instruments_path
from rl_strategies.features import REGISTRY, FeaturePlan, FeatureSpec, JoinedPlan, StreamSpec, load_feature_file
from rl_strategies.features.checks.constants import check_constants
from rl_strategies.features.checks.recording import Recording
from rl_strategies.features.checks.samples import made_up_market
from rl_strategies.features.checks.state_bounds import check_state_bounds
from rl_strategies.features.kernel import SUPERSEDED
from run.cli import main

Load = Callable[[str], Path]
HEADER = """
import math
import random
from pathlib import Path
from rl_strategies.features import State, feature
from rl_strategies.features.primitives import SAME_PRICE
"""
KERNEL = '''
{top}

@feature(state=1)
def mine(s: State, close: float{argument}) -> float:
    """Tried."""
    return close * ({value})
'''


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Load a user's file with the kernel ``mine``; what it registers is forgotten after the test."""
    known = dict(REGISTRY)

    def write_and_load(code: str) -> Path:
        REGISTRY.pop("mine", None)
        path = tmp_path / f"mine_{len(list(tmp_path.iterdir()))}.py"
        path.write_text(HEADER + code)
        load_feature_file(path)
        return path

    (tmp_path / "closes.txt").write_text("101.5 99.25 100.0")
    yield write_and_load
    REGISTRY.clear()
    REGISTRY.update(known)


CLOSES = "CLOSES = [float(x) for x in Path(__file__).with_name('closes.txt').read_text().split()]"


@pytest.mark.parametrize(
    ("top", "name"),
    [
        (f"{CLOSES}\nMEAN = sum(CLOSES) / len(CLOSES)", "MEAN"),
        (f"{CLOSES}\nLAST = CLOSES[-1]", "LAST"),
        (f"{CLOSES}\nHIGHEST = max(CLOSES)", "HIGHEST"),
        ("COIN = random.choice([0.0, 1.0])", "COIN"),
        ("COIN = 1.0\nif random.random() < 2.0:\n    COIN = 2.0", "COIN"),
        ("LEVEL = 1.0\nLEVEL += 100.0", "LEVEL"),
        ("LEVEL = 1.0\nglobals()['LEVEL'] = 100.0", "LEVEL"),
        ("LEVEL = 1.0\ndef learn():\n    global LEVEL\n    LEVEL = 100.0\nlearn()", "LEVEL"),
        ("for LEVEL in (1.0, 2.0):\n    pass", "LEVEL"),
        ("(other := (LEVEL := 3.0))", "LEVEL"),
        ("def learn(_):\n    return 3.0\nabs = learn\nLEVEL = abs(-1.0)", "LEVEL"),
    ],
)
def test_a_constant_that_was_computed_is_refused_by_name(load: Load, top: str, name: str) -> None:
    path = load(KERNEL.format(top=top, argument="", value=name))
    said = rf"feature 'mine': {name} of {path.name} must be a literal or arithmetic on literals, .*; was [\d.]+$"
    with pytest.raises(InputError, match=said):
        check_constants([REGISTRY["mine"]])


@pytest.mark.parametrize(
    ("top", "argument", "value"),
    [
        ("LEVEL = 3", "", "LEVEL"),
        ("LEVEL: float = -1.5e-3", "", "LEVEL"),
        ("HOURS = 24\nDAY = HOURS * 60", "", "DAY"),
        ("ROOT = math.sqrt(2.0) / math.pi\nWHOLE = int(7.9)", "", "ROOT + WHOLE"),
        ("", "", "SAME_PRICE"),
        ("", ", k: float = -2 * 3.0", "k"),
        ("NOTHING = math.nan", "", "NOTHING"),
    ],
)
def test_literals_and_arithmetic_on_them_pass(load: Load, top: str, argument: str, value: str) -> None:
    load(KERNEL.format(top=top, argument=argument, value=value))
    check_constants([REGISTRY["mine"]])


def test_a_default_and_what_a_helper_uses_are_checked_too(load: Load) -> None:
    load(KERNEL.format(top=f"{CLOSES}", argument=", top: float = max(CLOSES)", value="top"))
    with pytest.raises(InputError, match=r"top of mine_1\.py must be a literal"):
        check_constants([REGISTRY["mine"]])
    helper = f"{CLOSES}\nMEAN = CLOSES[0]\ndef against(x):\n    return x - MEAN"
    load(KERNEL.format(top=helper, argument="", value="against(close)"))
    with pytest.raises(InputError, match=r"feature 'mine': MEAN of mine_2\.py must be a literal"):
        check_constants([REGISTRY["mine"]])


PARTS = '''
{top}

@feature(parts={{{part}}})
def mine(s: State, close: float, x: float) -> float:
    """Tried."""
    return close - x
'''


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ('"x": Window("lag", "close", len(CLOSES))', "x.rows"),
        ('"x": Window("lag", "close", rows=N)', "x.rows"),
        ('"x": Window("lag", "close", lambda p: N)', "N"),
        ('"y": Part(log_return, {"n": N}), "x": Window("lag", "y", 1)', "y.n"),
    ],
)
def test_numbers_of_parts_are_checked_too(load: Load, part: str, name: str) -> None:
    home = "rl_strategies.features"
    imports = f"from {home} import Part, Window\nfrom {home}.families.technical import log_return"
    load(PARTS.format(top=f"{imports}\n{CLOSES}\nN = len(CLOSES)", part=part))
    with pytest.raises(InputError, match=rf"feature 'mine': {name} of .* was 3$"):
        check_constants([REGISTRY["mine"]])
    load(PARTS.format(top=f"{imports}\nCLOSES = ()\nN = 3", part=part.replace("len(CLOSES)", "3")))
    check_constants([REGISTRY["mine"]])


def test_what_an_enclosing_function_binds_is_refused(load: Load) -> None:
    code = '''
def make(level):
    @feature()
    def mine(s: State, close: float) -> float:
        """Tried."""
        return close - level

make(random.random())
'''
    load(code)
    with pytest.raises(InputError, match="feature 'mine': level of"):
        check_constants([REGISTRY["mine"]])


def test_installed_features_and_their_earlier_code_use_literals() -> None:
    check_constants([*REGISTRY.values(), *SUPERSEDED.values()])


@pytest.fixture(scope="module")
def market() -> Recording:
    """Three sessions of MES."""
    spec = resolve("MESZ6", instruments_path())
    return made_up_market(spec, np.datetime64("2025-06-02"), np.datetime64("2025-06-04"), seed=3)


STATEFUL = '''
@feature(state=2)
def mine(s: State, close: float) -> float:
    """Tried."""
    {line}
    return close
'''


@pytest.mark.parametrize(
    ("line", "cell"),
    [
        ("s[5] = close", 5),
        ("close += s[2]", 2),
        ("s[-3] = 1.0", -3),
        ("s[0] += 1.0\n    s[int(s[0]) // 100] = s[0]", 2),
        ("s[1:][1] = close", 2),
    ],
)
def test_a_cell_beyond_the_declared_state_is_refused(load: Load, market: Recording, line: str, cell: int) -> None:
    load(STATEFUL.format(line=line))
    said = rf"feature 'mine' must stay within its declared state of 2 cells, used cell {cell}$"
    with pytest.raises(InputError, match=said):
        check_state_bounds(FeaturePlan([FeatureSpec("mine", "mine")]), market)


@pytest.mark.parametrize("where", ["stream", "cross"])
def test_features_of_context_are_bounded_too(load: Load, market: Recording, where: str) -> None:
    load(STATEFUL.format(line="s[2] = close"))
    honest, mine = FeatureSpec("log_return", "honest"), FeatureSpec("mine", "mine")
    stream = StreamSpec("SPY", (mine if where == "stream" else honest,))
    cross = [mine if where == "cross" else FeatureSpec("value", "x", inputs={"x": "SPY.mine"})]
    with pytest.raises(InputError, match="feature 'mine' must stay within"):
        check_state_bounds(JoinedPlan(FeaturePlan([honest]), [stream], cross), market)


def test_its_own_cells_also_from_the_end_and_a_division_by_zero_pass(load: Load, market: Recording) -> None:
    load(STATEFUL.format(line="s[-2] = close / (close - close)\n    s[1] = math.log(s[1])"))
    check_state_bounds(FeaturePlan([FeatureSpec("mine", "mine")]), market)


@pytest.mark.parametrize("plan", [[], ["session"]])
def test_the_verb_refuses_a_file_in_one_line(load: Load, capsys: pytest.CaptureFixture[str], plan: list[str]) -> None:
    coin = load(KERNEL.format(top="COIN = random.random()", argument="", value="COIN"))
    assert main(["features", "check", *plan, "--file", str(coin)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    [said] = [line for line in err.splitlines() if line.startswith("error:")]
    assert "feature 'mine': COIN of mine_1.py must be a literal" in said

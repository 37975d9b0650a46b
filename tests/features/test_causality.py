"""The proof of causality: it passes what is causal and names each planted leak with the row that gives it away."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from catalogs.bars import BarSeries, price_from_ticks
from catalogs.instruments.specification import resolve
from configs import instruments_path
from rl_strategies.features import REGISTRY, FeaturePlan, FeatureSpec, JoinedPlan, StreamRows, StreamSpec, feature_set
from rl_strategies.features.checks.causality import Failure, check_features
from rl_strategies.features.checks.recording import Recording
from rl_strategies.features.checks.samples import every_context, made_up_market
from rl_strategies.features.compiler.compile import Floats
from run.features import check as features_check
from run.features.commands import app

HONEST = FeatureSpec("log_return", "honest")
LEAK = FeatureSpec("value", "leak", inputs={"x": "joined"})
PLAN = FeaturePlan([HONEST, LEAK], columns=("close", "joined"))


@pytest.fixture(scope="module")
def market() -> Recording:
    """Three sessions of MES."""
    spec = resolve("MESZ6", instruments_path())
    return made_up_market(spec, np.datetime64("2025-06-02"), np.datetime64("2025-06-04"), seed=3)


def named(failures: tuple[Failure, ...], check: str) -> dict[str, int]:
    """First offending row by output."""
    return {failure.name: failure.row for failure in failures if failure.check == check}


def leaky(market: Recording, joined: "type[object] | object") -> Recording:
    """The market with rows of the close and of what ``joined`` makes of the closes."""

    def build(bars: BarSeries) -> Floats:
        close = price_from_ticks(bars.close, bars.tick_raw)
        return np.column_stack([close, joined(close, market.calendar.locate(bars.ts_ns))])  # type: ignore[operator]

    return replace(market, builder=build)


def shifted(close: Floats, session: np.ndarray) -> Floats:
    """The close of the bar after, as a join on the wrong stamp gives it."""
    return np.append(close[1:], close[-1])


def centred(close: Floats, session: np.ndarray) -> Floats:
    """Mean of five closes, two of them later."""
    return np.convolve(np.pad(close, 2, mode="edge"), np.full(5, 0.2), mode="valid")


def whole_day(close: Floats, session: np.ndarray) -> Floats:
    """Highest close of the whole session."""
    highest = np.maximum.reduceat(close, np.flatnonzero(np.diff(session, prepend=-1)))
    return highest[np.cumsum(np.diff(session, prepend=session[0]) > 0)]


def doubled(close: Floats, session: np.ndarray) -> Floats:
    """Twice the close."""
    return 2.0 * close


@pytest.mark.parametrize("check", ["future perturbation", "prefix truncation"])
def test_planted_leaks_are_named_with_the_first_offending_row(market: Recording, check: str) -> None:
    rows = {}
    for join in (shifted, centred):
        found = named(check_features(PLAN, leaky(market, join)), check)
        assert found.keys() == {"leak"}
        rows[join] = found["leak"]
    # The same seed cuts at the same rows: what sees one bar on goes wrong one bar before the first cut, what sees two
    # bars on goes wrong two bars before it.
    assert rows[centred] == rows[shifted] - 1


@pytest.mark.parametrize("check", ["future perturbation", "prefix truncation"])
def test_statistic_of_the_whole_day_is_named_from_its_first_bar_on(market: Recording, check: str) -> None:
    found = named(check_features(PLAN, leaky(market, whole_day)), check)
    assert found.keys() == {"leak"}
    session = market.calendar.locate(market.bars.ts_ns)
    assert found["leak"] in np.flatnonzero(np.diff(session, prepend=-1))


def test_what_is_causal_passes(market: Recording) -> None:
    assert check_features(PLAN, leaky(market, doubled)) == ()


def test_gaps_and_short_warmups_are_named(market: Recording) -> None:
    def with_a_hole(close: Floats, session: np.ndarray) -> Floats:
        return np.where(np.arange(len(close)) == 100, np.nan, close)

    failures = check_features(PLAN, leaky(market, with_a_hole))
    assert named(failures, "finite after warm-up") == {"leak": 100}


def test_state_that_outlives_its_warmup_is_named(market: Recording, write_kernel: object) -> None:
    code = '''
@feature(state=1)
def mine(s, close):
    """Rows seen."""
    s[0] += 1.0
    return s[0]
'''
    write_kernel(code)  # type: ignore[operator]
    failures = check_features(FeaturePlan([FeatureSpec("mine", "mine")]), market)
    assert {failure.check for failure in failures} == {"restart after warm-up"}


def test_a_stream_used_before_its_lag_is_named(market: Recording) -> None:
    class Hasty(JoinedPlan):
        """Declares a lag of two minutes and joins without."""

        def batch(self, rows: Floats, ts_ns: np.ndarray, streams: dict[str, StreamRows]) -> Floats:
            hasty = {name: StreamRows(s.ts_ns - 120 * 10**9, s.rows) for name, s in streams.items()}
            return super().batch(rows, ts_ns, hasty)

    stream = StreamSpec("SPY", (FeatureSpec("value", "level", inputs={"x": "close"}),), lag_s=120)
    cross = [FeatureSpec("value", "spy", inputs={"x": "SPY.level"})]
    primary = FeaturePlan([HONEST])
    found = named(check_features(Hasty(primary, [stream], cross), market), "declared lag")
    assert found.keys() == {"spy"}
    assert check_features(JoinedPlan(primary, [stream], cross), market) == ()


@pytest.mark.slow
def test_every_registered_feature_passes() -> None:
    plan = every_context()
    spec = resolve("MESZ6", instruments_path())
    market = made_up_market(spec, features_check.FIRST_DATE, features_check.LAST_DATE, seed=11)
    used = [*plan.primary.specs, *plan.cross.specs, *(s for p in plan.stream_plans.values() for s in p.specs)]
    assert {spec.kind for spec in used} == REGISTRY.keys()
    assert len(market) > plan.warmup
    assert check_features(plan, market) == ()


def test_command_answers_in_json_and_exits_with_1_on_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(app, ["check", "session", "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["failures"] == []
    assert answer["features"] == 15 - 4
    assert {spec.kind for spec in feature_set("session")} == {*answer["kinds"]}
    leak = Failure("x", "prefix truncation", 7, 1_750_000_000 * 10**9)
    monkeypatch.setattr(features_check, "check_features", lambda plan, market, seed: (leak,))
    result = CliRunner().invoke(app, ["check", "session", "--json"])
    assert result.exit_code == 1
    (described,) = json.loads(result.stdout)["failures"]
    assert described["name"] == "x"
    assert (described["row"], described["at"]) == (7, "2025-06-15T15:06:40Z")
    shown = CliRunner().invoke(app, ["check", "session"])
    assert "x: prefix truncation fails first at row 7 (2025-06-15T15:06:40Z)" in shown.stdout

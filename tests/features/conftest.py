"""Rows that features are tried on, and every registered kernel in one plan."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rl_strategies.features import ALL_COLUMNS, COLUMNS, REGISTRY, FeaturePlan, FeatureSpec, Kernel, kernel
from rl_strategies.features.compiler.compile import Floats

SESSION_BARS = 390
KINDS = sorted(REGISTRY)
# What an input that is no column is wired to: numbers of both signs, or prices where a kernel wants positive ones.
STAND_INS = tuple(
    FeatureSpec("divergence", f"stand_in_{number}", inputs={"one": one, "other": other})
    for number, (one, other) in enumerate(
        [("close", "open"), ("open", "bid"), ("bid_size", "ask_size"), ("instrument", "weekday")]
    )
)
OF_POSITIVE_INPUTS = ("ratio", "term_structure")


@dataclass(frozen=True)
class Contract:
    """Every kernel in one plan, as it is and started afresh each session, and what it gave for the rows."""

    plan: FeaturePlan
    rows: Floats
    outputs: Floats

    def places(self, spec: FeatureSpec) -> list[int]:
        """Output columns of a feature of the plan."""
        suffixes = REGISTRY[spec.kind].outputs
        return [self.plan.index(f"{spec.name}_{suffix}") for suffix in suffixes] or [self.plan.index(spec.name)]

    def warmup(self, spec: FeatureSpec) -> int:
        """Warm-up of one feature, with what it is wired to."""
        return _plan([*STAND_INS, spec]).warmup

    def specs(self, kind: str) -> tuple[FeatureSpec, FeatureSpec]:
        """The kernel as it is, and by session."""
        as_it_is, by_session = (spec for spec in self.plan.specs if spec.kind == kind and spec not in STAND_INS)
        return as_it_is, by_session

    def differing(self, a: Floats, b: Floats) -> list[str]:
        """Names of the outputs whose bits differ in some row."""
        assert a.shape == b.shape
        same = np.ascontiguousarray(a).view(np.int64) == np.ascontiguousarray(b).view(np.int64)
        same |= np.isnan(a) & np.isnan(b)
        return [name for j, name in enumerate(self.plan.outputs) if not same[:, j].all()]


@pytest.fixture(scope="session")
def wide_rows() -> Floats:
    """12,000 bars on a quarter-point grid in sessions of 390 minutes, quiet and wild, with quotes; all columns."""
    random, count = np.random.default_rng(7), 12_000
    volatility = np.exp(np.repeat(random.normal(0.5, 0.7, count // 200), 200))
    close = 5000.0 + 0.25 * np.cumsum(np.round(random.normal(size=count) * volatility))
    open_ = close + 0.25 * random.integers(-4, 5, count) * np.where(random.random(count) < 0.02, 6, 1)
    high = np.maximum(open_, close) + 0.25 * random.integers(0, 5, count)
    low = np.minimum(open_, close) - 0.25 * random.integers(0, 5, count)
    volume = random.integers(1, 2000, count).astype(float)
    session, minute = np.divmod(np.arange(count), SESSION_BARS)
    prices = (open_, high, low, close, volume)
    times = (9000.0 + session, minute + 1.0, SESSION_BARS - minute - 1.0, 571.0 + minute, session % 5.0, minute >= 100)
    days = (session % 7 == 1, session % 6 == 2, session % 6 == 3)
    bid = close - 0.25 * random.integers(0, 2, count)
    quotes = (bid, bid + 0.25 * random.integers(1, 3, count), *random.integers(1, 90, (2, count)))
    return np.column_stack([*prices, *times, *days, *quotes, session % 3 + 1])


@pytest.fixture(scope="session")
def rows(wide_rows: Floats) -> Floats:
    """The first 4000 of them with the columns that every plan has."""
    return np.ascontiguousarray(wide_rows[:4000, : len(COLUMNS)])


@pytest.fixture(scope="session")
def contract(wide_rows: Floats) -> Contract:
    specs = [_spec(kind, kind, "session" if REGISTRY[kind].anchored else None) for kind in KINDS]
    specs += [_spec(kind, f"{kind}_by_session", "session") for kind in KINDS]
    plan = _plan([*STAND_INS, *specs])
    return Contract(plan, wide_rows, plan.batch(wide_rows))


def _plan(specs: Sequence[FeatureSpec]) -> FeaturePlan:
    return FeaturePlan(specs, ALL_COLUMNS, session_rows=SESSION_BARS)


def _spec(kind: str, name: str, reset: str | None) -> FeatureSpec:
    unwired = [argument for argument in REGISTRY[kind].inputs if argument not in ALL_COLUMNS]
    stand_ins = ("high", "low") if kind in OF_POSITIVE_INPUTS else [spec.name for spec in STAND_INS]
    return FeatureSpec(kind, name, inputs=dict(zip(unwired, stand_ins, strict=False)), reset=reset)


@pytest.fixture
def write_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Kernel]:
    """Write a module with a kernel ``mine`` and import it, as a user's file of features would be."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(kernel, "REGISTRY", dict(REGISTRY))

    def write(code: str) -> Kernel:
        kernel.REGISTRY.pop("mine", None)
        module = f"own_features_{len(list(tmp_path.iterdir()))}_{tmp_path.name}"
        header = "import math\nfrom rl_strategies.features import feature\n\n"
        (tmp_path / f"{module}.py").write_text(header + code)
        importlib.invalidate_caches()
        importlib.import_module(module)
        return kernel.REGISTRY["mine"]

    return write

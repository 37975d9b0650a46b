"""Rows that features are tried on, and every registered kernel in one plan."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rl_strategies.features import COLUMNS, REGISTRY, FeaturePlan, FeatureSpec, Kernel, kernel
from rl_strategies.features.loop import Floats

SESSION_BARS = 390


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

    def specs(self, kind: str) -> tuple[FeatureSpec, FeatureSpec]:
        """The kernel as it is, and by session."""
        as_it_is, by_session = (spec for spec in self.plan.specs if spec.kind == kind)
        return as_it_is, by_session

    def differing(self, a: Floats, b: Floats) -> list[str]:
        """Names of the outputs whose bits differ in some row."""
        assert a.shape == b.shape
        same = np.ascontiguousarray(a).view(np.int64) == np.ascontiguousarray(b).view(np.int64)
        same |= np.isnan(a) & np.isnan(b)
        return [name for j, name in enumerate(self.plan.outputs) if not same[:, j].all()]


@pytest.fixture(scope="session")
def rows() -> Floats:
    """4000 bars on a quarter-point grid in sessions of 390 minutes, with quiet and wild stretches."""
    random, count = np.random.default_rng(7), 4000
    volatility = np.exp(np.repeat(random.normal(0.5, 0.7, count // 200 + 1), 200)[:count])
    close = 5000.0 + 0.25 * np.cumsum(np.round(random.normal(size=count) * volatility))
    open_ = close + 0.25 * random.integers(-4, 5, count)
    high = np.maximum(open_, close) + 0.25 * random.integers(0, 5, count)
    low = np.minimum(open_, close) - 0.25 * random.integers(0, 5, count)
    volume = random.integers(1, 2000, count).astype(float)
    session, minute = np.divmod(np.arange(count), SESSION_BARS)
    prices = (open_, high, low, close, volume)
    times = (9000.0 + session, minute + 1.0, SESSION_BARS - minute - 1.0, 571.0 + minute, session % 5.0)
    return np.column_stack([*prices, *times, minute >= 100])


@pytest.fixture(scope="session")
def contract(rows: Floats) -> Contract:
    specs = [_spec(kind, kind, "session" if REGISTRY[kind].anchored else None) for kind in sorted(REGISTRY)]
    specs += [_spec(kind, f"{kind}_by_session", "session") for kind in sorted(REGISTRY)]
    plan = FeaturePlan(specs)
    return Contract(plan, rows, plan.batch(rows))


def _spec(kind: str, name: str, reset: str | None) -> FeatureSpec:
    prices = iter(("high", "low", "open", "close"))
    inputs = {argument: next(prices) for argument in REGISTRY[kind].inputs if argument not in COLUMNS}
    return FeatureSpec(kind, name, inputs=inputs, reset=reset)


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

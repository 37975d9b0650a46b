"""The decision core of a policy and the NautilusTrader strategy around it.

Everything that shapes a decision exists once and runs alike in training, backtest, paper and live. A trained policy
arrives as a bundle, which is verified when it is opened::

    from pathlib import Path
    from rl_strategies import RLStrategy, RLStrategyConfig, load_bundle

    bundle = load_bundle(Path("runs/…/bundle/spy_single-…"))
    policy, core = bundle.policy(), bundle.core()
    strategy = RLStrategy(RLStrategyConfig(bar_types=…, bundle_path=str(bundle.path)))  # for any Nautilus node

A feature of your own is a function of the bar that closed and of its own memory:

>>> import math
>>> import numpy as np
>>> from rl_strategies import FeaturePlan, FeatureSpec, State, feature
>>> @feature(state=1, warmup=2)
... def move(s: State, close: float, scale: float = 1.0) -> float:
...     '''Change of the close since the bar before, times ``scale``.'''
...     before, s[0] = s[0], close
...     return (close - before) * scale if before > 0.0 else math.nan
>>> plan = FeaturePlan([FeatureSpec("move", "move_in_ticks", {"scale": 4.0})], columns=("close",))
>>> plan.batch(np.array([[6000.0], [6000.5], [5999.75]])).tolist()  # three closes
[[nan], [2.0], [-3.0]]
>>> live = plan.live()  # the same machine code, one bar at a time
>>> [live.push([close]).tolist() for close in (6000.0, 6000.5)]
[[nan], [2.0]]

Rooms: ``features`` (kernels and plans), ``decision`` (observation, barriers, the core), ``risk`` (limits and overlay),
``policy`` (networks and baselines), ``bundle``, ``accounting`` (fills, cash), ``analysis`` (figures of a run),
``backtest`` (the simulated venue and engine), ``live``. A name is imported when it is first asked for, so importing one
room does not load the others.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rl_strategies.accounting.record import Fill, RunRecord
    from rl_strategies.bundle.bundle import Bundle, load_bundle
    from rl_strategies.decision.barriers import BarrierConfig, Distance
    from rl_strategies.decision.core import DecisionCore
    from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
    from rl_strategies.features import FeaturePlan, FeatureSpec, Part, State, Window, feature
    from rl_strategies.policy.policies import OnnxPolicy, Policy
    from rl_strategies.risk.config import RiskConfig
    from rl_strategies.strategy import RLStrategy, RLStrategyConfig

__all__ = [
    "BarrierConfig",
    "Bundle",
    "DecisionCore",
    "Distance",
    "ExecutionConfig",
    "FeaturePlan",
    "FeatureSpec",
    "Fill",
    "OnnxPolicy",
    "Part",
    "Policy",
    "RLStrategy",
    "RLStrategyConfig",
    "RiskConfig",
    "RunRecord",
    "State",
    "TradingConfig",
    "Window",
    "feature",
    "load_bundle",
]

_HOMES = {
    "accounting.record": ("Fill", "RunRecord"),
    "bundle.bundle": ("Bundle", "load_bundle"),
    "decision.barriers": ("BarrierConfig", "Distance"),
    "decision.core": ("DecisionCore",),
    "decision.rules": ("ExecutionConfig", "TradingConfig"),
    "features": ("FeaturePlan", "FeatureSpec", "Part", "State", "Window", "feature"),
    "policy.policies": ("OnnxPolicy", "Policy"),
    "risk.config": ("RiskConfig",),
    "strategy": ("RLStrategy", "RLStrategyConfig"),
}

if not TYPE_CHECKING:  # else mypy would take every name for one of the module's

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(f"{__name__}.{home}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

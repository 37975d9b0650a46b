"""Features of closed bars: one definition each, computed in one call for training and bar by bar live.

A kernel sees the current row and its own state alone, so it cannot look ahead. Importing this package
registers the families of kernels.
"""

from rl_strategies.features import ict, identity, microstructure, oscillators, regime, session, smt, technical, vix, vpa
from rl_strategies.features.default import DataAtHand, build_plan, default_plan, plan_for
from rl_strategies.features.kernel import REGISTRY, Kernel, feature
from rl_strategies.features.live import LiveFeatures
from rl_strategies.features.plan import FeaturePlan
from rl_strategies.features.primitives import State
from rl_strategies.features.rows import ALL_COLUMNS, COLUMNS, LiveRows, Quotes, input_rows
from rl_strategies.features.sets import SETS, feature_set, identity_set
from rl_strategies.features.spec import FeatureSpec

__all__ = [
    "ALL_COLUMNS",
    "COLUMNS",
    "REGISTRY",
    "SETS",
    "DataAtHand",
    "FeaturePlan",
    "FeatureSpec",
    "Kernel",
    "LiveFeatures",
    "LiveRows",
    "Quotes",
    "State",
    "build_plan",
    "default_plan",
    "feature",
    "feature_set",
    "ict",
    "identity",
    "identity_set",
    "input_rows",
    "microstructure",
    "oscillators",
    "plan_for",
    "regime",
    "session",
    "smt",
    "technical",
    "vix",
    "vpa",
]

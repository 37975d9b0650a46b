"""Features of closed bars: one definition each, computed in one call for training and bar by bar live.

A kernel sees the current row and its own state alone, so it cannot look ahead. Importing this package
registers the families of kernels.
"""

from rl_strategies.features import session, technical
from rl_strategies.features.default import build_plan, default_plan
from rl_strategies.features.kernel import REGISTRY, Kernel, feature
from rl_strategies.features.live import LiveFeatures
from rl_strategies.features.plan import FeaturePlan
from rl_strategies.features.primitives import State
from rl_strategies.features.rows import COLUMNS, input_rows
from rl_strategies.features.spec import FeatureSpec

__all__ = [
    "COLUMNS",
    "REGISTRY",
    "FeaturePlan",
    "FeatureSpec",
    "Kernel",
    "LiveFeatures",
    "State",
    "build_plan",
    "default_plan",
    "feature",
    "input_rows",
    "session",
    "technical",
]

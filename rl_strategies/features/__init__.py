"""Features of closed bars: one definition each, computed in one call for training and bar by bar live.

A kernel sees only the current row and its own state, so it cannot look ahead. Importing this package registers all
families of kernels. `rl_strategies.features.primitives` has the building blocks for your own.
"""

from rl_strategies.features.families import (
    ict,
    identity,
    microstructure,
    oscillators,
    regime,
    session,
    smt,
    superseded,
    technical,
    vix,
    vpa,
)
from rl_strategies.features.kernel import REGISTRY, Kernel, Part, Window, feature
from rl_strategies.features.plans.default import DataAtHand, build_plan, default_plan, joined_plan_for, plan_for
from rl_strategies.features.plans.joined import JoinedPlan, context_streams, plan_from_spec
from rl_strategies.features.plans.joined_live import LiveJoined
from rl_strategies.features.plans.live import LiveFeatures
from rl_strategies.features.plans.plan import FeaturePlan
from rl_strategies.features.plans.pruning import PruningConfig, pruned_plan
from rl_strategies.features.plans.sets import SETS, feature_set
from rl_strategies.features.plans.store import cached_matrix
from rl_strategies.features.plans.streams import StreamRows, StreamSpec
from rl_strategies.features.plugins import load_entry_points, load_feature_file
from rl_strategies.features.primitives import State
from rl_strategies.features.rows import ALL_COLUMNS, COLUMNS, LiveRows, Quotes, input_rows
from rl_strategies.features.spec import FeatureSpec

__all__ = [
    "ALL_COLUMNS",
    "COLUMNS",
    "REGISTRY",
    "SETS",
    "DataAtHand",
    "FeaturePlan",
    "FeatureSpec",
    "JoinedPlan",
    "Kernel",
    "LiveFeatures",
    "LiveJoined",
    "LiveRows",
    "Part",
    "PruningConfig",
    "Quotes",
    "State",
    "StreamRows",
    "StreamSpec",
    "Window",
    "build_plan",
    "cached_matrix",
    "context_streams",
    "default_plan",
    "feature",
    "feature_set",
    "ict",
    "identity",
    "input_rows",
    "joined_plan_for",
    "load_entry_points",
    "load_feature_file",
    "microstructure",
    "oscillators",
    "plan_for",
    "plan_from_spec",
    "pruned_plan",
    "regime",
    "session",
    "smt",
    "superseded",
    "technical",
    "vix",
    "vpa",
]

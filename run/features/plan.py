"""Features named on the command line: by sets, by an experiment, or by a bundle."""

import json
from pathlib import Path

from catalogs.errors import InputError
from configs.schema import load_experiment
from rl_strategies.bundle.bundle import FEATURES
from rl_strategies.features import (
    SETS,
    DataAtHand,
    FeaturePlan,
    FeatureSpec,
    JoinedPlan,
    feature_set,
    load_entry_points,
    load_feature_file,
    plan_for,
    plan_from_spec,
)
from rl_strategies.features.plans.sets import ContextSet


def load_own_features(files: list[Path]) -> tuple[str, ...]:
    """Register the user's features, from installed packages and from files; kinds of those in the files."""
    load_entry_points()
    return tuple(kind for file in files for kind in load_feature_file(file))


def named_specs(name: str) -> tuple[FeatureSpec, ...]:
    """Features of named sets (``default+ict``), or of an experiment by its file or preset."""
    if _are_sets(name):
        if not all(part in SETS for part in name.split("+")):
            raise InputError(f"features must be an experiment, or sets from {', '.join(SETS)}, was {name!r}")
        return feature_set(name)
    features = load_experiment(name).features
    return feature_set(features) if isinstance(features, str) else tuple(features)


def named_context(name: str) -> ContextSet:
    """Context of an experiment by its file or preset; none of named sets."""
    return ContextSet((), (), ()) if _are_sets(name) else load_experiment(name).context_parts


def _are_sets(name: str) -> bool:
    return Path(name).suffix not in (".yaml", ".yml") and ("+" in name or name in SETS)


def named_plan(name: str, data: DataAtHand) -> FeaturePlan | JoinedPlan:
    """Plan of a bundle's folder, or `plan_for` of `named_specs`.

    Raises
    ------
    InputError
        If the name is none of these.
    """
    stored = Path(name) / FEATURES
    if stored.is_file():
        return plan_from_spec(json.loads(stored.read_text(encoding="utf-8")))
    return plan_for(named_specs(name), data)

"""Features named on the command line: by sets, by an experiment, or by a bundle."""

import json
from pathlib import Path

from catalogs.errors import InputError
from configs.explain import did_you_mean
from configs.schema import load_experiment, preset_names
from rl_strategies.bundle.bundle import FEATURES, load_bundle
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
        return feature_set(name)
    _check_experiment(name)
    features = load_experiment(name).features
    return feature_set(features) if isinstance(features, str) else tuple(features)


def named_context(name: str) -> ContextSet:
    """Context of an experiment by its file or preset; none of named sets."""
    if _are_sets(name):
        return ContextSet((), (), ())
    _check_experiment(name)
    return load_experiment(name).context_parts


def _are_sets(name: str) -> bool:
    return all(part in SETS for part in name.split("+"))


def _check_experiment(name: str, *more: str) -> None:
    presets = preset_names()
    if Path(name).suffix in (".yaml", ".yml") or name in presets:
        return
    unknown = next((part for part in name.split("+") if part not in SETS), name)
    near = did_you_mean(unknown, SETS if "+" in name else [*SETS, *presets])
    *kinds, last = f"sets ({', '.join(SETS)})", f"an experiment ({', '.join(presets)}, or a YAML file)", *more
    raise InputError(f"features must be {', '.join(kinds)} or {last}, was {name!r}{near}")


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
    if Path(name).is_dir() and not _are_sets(name):
        return load_bundle(Path(name)).plan  # its error says what is missing
    if not _are_sets(name):
        _check_experiment(name, "a bundle")
    return plan_for(named_specs(name), data)

"""An experiment: everything that shapes a policy, composed of the frozen configurations of what it configures."""

from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import yaml

from catalogs.errors import InputError
from configs import experiments_path
from rl_strategies.features import (
    FeaturePlan,
    FeatureSpec,
    build_plan,
    feature_set,
    load_entry_points,
    load_feature_file,
)
from rl_strategies.rules import ExecutionConfig, TradingConfig
from training.learner import LearnerConfig
from training.reward import RewardConfig


class DateRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Trading days from ``start`` to ``end``, both included."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"a date range must not end before it starts, was {self.start} to {self.end}")


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is trained, on what, and under which rules.

    Attributes
    ----------
    name : str
        Names the run directory and the bundle.
    instrument : str
        For example ``SPY`` or ``MESZ6``.
    bar : str
        Bar length, for example ``1-MINUTE``.
    tickers : list of str
        Further instruments that the same policy learns from, one at a time: episodes are drawn per ticker and session.
    test_tickers : list of str
        Instruments kept out of the training, for `rl-intraday evaluate`.
    train : DateRange
        Trading days that the policy learns from; earlier bars of the catalog warm the features up.
    validate : DateRange, float or None
        Trading days that decide which state of the policy is kept: a range outside ``train``, or the last share
        (0..0.5) of the training's trading days, which it then does not learn from.
    test : DateRange or None
        Trading days for the final judgement, outside both.
    features : str or list of FeatureSpec
        Names of sets joined by ``+`` (``default``, ``full``, ``default+ict``), or the features one by one.
    feature_files : list of str
        Python files of the user's own features, relative to the working directory.
    trading : TradingConfig
    execution : ExecutionConfig
    reward : str or RewardConfig
        Name of a registered reward, or its name and weights.
    learner : LearnerConfig
    seed : int
    """

    name: str
    instrument: str
    train: DateRange
    tickers: list[str] = []
    test_tickers: list[str] = []
    validate: DateRange | float | None = None
    test: DateRange | None = None
    bar: str = "1-MINUTE"
    features: str | list[FeatureSpec] = "default"
    feature_files: list[str] = []
    trading: TradingConfig = TradingConfig()
    execution: ExecutionConfig = ExecutionConfig()
    reward: str | RewardConfig = "pnl"
    learner: LearnerConfig = LearnerConfig()
    seed: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.features, str):
            feature_set(self.features)
        if not self.name or any(letter in self.name for letter in "/\\ "):
            raise ValueError(f"name must be one word without slashes, was {self.name!r}")
        if isinstance(self.reward, str):
            RewardConfig(self.reward)
        self._check_windows()
        seen = [self.instrument, *self.tickers, *self.test_tickers]
        twice = sorted({ticker for ticker in seen if seen.count(ticker) > 1})
        if twice:
            raise ValueError(f"instrument, tickers and test_tickers must not overlap, {', '.join(twice)} did")

    def _check_windows(self) -> None:
        if isinstance(self.validate, float) and not 0 < self.validate <= 0.5:
            raise ValueError(f"validate must be a date range or a share above 0 and up to 0.5, was {self.validate}")
        windows = {"train": self.train, "validate": self.validate, "test": self.test}
        ranges = [(name, window) for name, window in windows.items() if isinstance(window, DateRange)]
        for (name, window), (other, following) in combinations(ranges, 2):
            if window.start <= following.end and following.start <= window.end:
                raise ValueError(
                    f"{name} and {other} must not overlap, were {window.start} to {window.end} "
                    f"and {following.start} to {following.end}"
                )

    @property
    def instruments(self) -> tuple[str, ...]:
        """All that the policy learns from."""
        return (self.instrument, *self.tickers)

    def plan(self, *, volume_known: bool, extended_hours: bool) -> FeaturePlan:
        """Features of this experiment on data with or without volume and extended hours.

        Raises
        ------
        InputError
            If the wiring is wrong, or the data cannot give a required feature; the others are left out.
        """
        for file in self.feature_files:
            load_feature_file(Path(file))
        load_entry_points()
        return build_plan(self.features, volume_known=volume_known, extended_hours=extended_hours)

    def to_yaml(self) -> str:
        """The whole experiment, defaults included."""
        return yaml.safe_dump(msgspec.to_builtins(self, builtin_types=(date,)), sort_keys=False)


def load_experiment(name: str, overrides: dict[str, Any] | None = None) -> Experiment:
    """Experiment from a YAML file, or a preset by its name.

    Parameters
    ----------
    name : str
        Path of a YAML file, or the name of a preset in ``configs/experiments``.
    overrides : dict of str to Any, optional
        Values that replace the file's, by dotted path: ``{"learner.total_timesteps": 1000}``.

    Raises
    ------
    InputError
        If there is no such file or preset, or a key or value is not allowed.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = experiments_path() / f"{name}.yaml"
        if not path.is_file():
            presets = ", ".join(sorted(preset.stem for preset in experiments_path().glob("*.yaml")))
            raise InputError(f"experiment must be a YAML file or one of {presets}, was {name!r}")
    if not path.is_file():
        raise InputError(f"experiment file must exist, was {name}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: an experiment must be a mapping of keys, was {type(content).__name__}")
    for dotted, value in (overrides or {}).items():
        _override(content, dotted, value)
    return parse_experiment(content, str(path))


def parse_experiment(content: Any, origin: str) -> Experiment:
    """Experiment from plain data; ``origin`` names its source in errors.

    Raises
    ------
    InputError
        If a key is unknown or a value not allowed.
    """
    try:
        return msgspec.convert(content, Experiment, strict=False)
    except msgspec.ValidationError as error:
        raise InputError(f"{origin}: {error}") from error


def _override(content: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        inner = content.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {dotted}: {parent!r} holds no keys, was {inner!r}")
        content = inner
    content[last] = value

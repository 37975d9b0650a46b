"""The schema of an experiment: everything that shapes a policy, in one YAML file."""

from collections.abc import Collection, Mapping
from copy import deepcopy
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from catalogs.errors import InputError
from catalogs.spreads.table import read_spreads
from configs import experiments_path
from configs.explain import did_you_mean, explain
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import (
    DataAtHand,
    FeaturePlan,
    FeatureSpec,
    JoinedPlan,
    PruningConfig,
    StreamSpec,
    feature_set,
    joined_plan_for,
    load_entry_points,
    load_feature_file,
    plan_for,
)
from rl_strategies.features.kernel import find_kernel
from rl_strategies.features.plans.sets import ContextSet, context_set
from rl_strategies.features.plugins import portable_name
from training.algorithms.config import LearnerConfig
from training.envs.reward import RewardConfig, load_reward_file


class DateRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Trading days from ``start`` to ``end``, both included."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"end must not be before start ({self.start}), was {self.end}")


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is trained, on what, and under which rules.

    Attributes
    ----------
    name : str
        Name of the run folder and the bundle.
    instrument : str
        For example ``SPY`` or ``MESZ6``.
    bar : str
        Bar length, for example ``1-MINUTE``.
    tickers : list of str
        More instruments for the same policy, one at a time: an episode is one session of one ticker.
    portfolio : list of str
        More instruments traded together with ``instrument`` on one account, each with its own position.
    test_tickers : list of str
        Instruments kept out of training, for `rl-intraday evaluate`.
    train : DateRange
        Trading days to train on; earlier bars of the catalog warm up the features.
    validate : DateRange, float or None
        Trading days that decide which state of the policy is kept: a range outside ``train``, or a share (0..0.5) taken
        from the end of ``train``.
    validation_folds : int
        With a share in ``validate``: parts of equal size from all over ``train`` that are validated on together,
        instead of its end alone. Training sessions within the warm-up of the features before or after one are left
        out.
    test : DateRange or None
        Trading days for the final evaluation, outside both.
    features : str or list of FeatureSpec
        Names of sets joined by ``+`` (``default``, ``full``, ``default+ict``), or a list of features.
    context : str or list of StreamSpec
        Other series that features read: ``smt`` (SPY and QQQ), ``vix`` (daily implied volatility), ``smt+vix``, or a
        list of streams. A stream is bars of the same length, or a daily index, in the catalog. Features of a missing
        stream are left out, and the reason is printed.
    cross : list of FeatureSpec
        More features that read streams (``SPY.momentum``).
    pruning : PruningConfig or None
        Removes features that hardly vary or repeat another one over the training sessions.
    feature_files : list of str
        Python files of your own features, relative to the working directory.
    reward_files : list of str
        Python files of your own rewards, relative to the working directory.
    augment : tuple of {"mirrored", "shuffled_blocks"}
        More training markets made of each ticker's training bars: every rise a fall, or half hours exchanged between
        days in directions drawn anew (`catalogs.synthetic.null_markets`). Not for portfolios or with context.
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
    portfolio: list[str] = []
    test_tickers: list[str] = []
    validate: DateRange | float | None = None
    validation_folds: int = 1
    test: DateRange | None = None
    bar: str = "1-MINUTE"
    features: str | list[FeatureSpec] = "default"
    context: str | list[StreamSpec] = []
    cross: list[FeatureSpec] = []
    pruning: PruningConfig | None = None
    feature_files: list[str] = []
    reward_files: list[str] = []
    augment: tuple[Literal["mirrored", "shuffled_blocks"], ...] = ()
    trading: TradingConfig = TradingConfig()
    execution: ExecutionConfig = ExecutionConfig()
    reward: str | RewardConfig = "pnl"
    learner: LearnerConfig = LearnerConfig()
    seed: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.features, str):
            feature_set(self.features)
        if isinstance(self.context, str):
            context_set(self.context)
        if not self.name or any(letter in self.name for letter in "/\\ "):
            raise ValueError(f"name must be one word without slashes, was {self.name!r}")
        if isinstance(self.reward, str):
            RewardConfig(self.reward)
        if self.reward_files and self.learner.environment == "engine":
            raise ValueError("reward_files need learner.environment simulator, was engine")
        if self.augment and (self.portfolio or self.context):
            raise ValueError("augment must not be combined with portfolio or context, whose prices belong together")
        self._check_windows()
        seen = [self.instrument, *self.portfolio, *self.tickers, *self.test_tickers]
        twice = sorted({ticker for ticker in seen if seen.count(ticker) > 1})
        if twice:
            raise ValueError(
                f"{', '.join(twice)} must be named once in instrument, portfolio, tickers and test_tickers"
            )
        if self.portfolio and (self.tickers or self.test_tickers):
            raise ValueError("portfolio must not be combined with tickers or test_tickers")

    def _check_windows(self) -> None:
        if isinstance(self.validate, float) and not 0 < self.validate <= 0.5:
            raise ValueError(f"validate must be a date range, or a share above 0 and up to 0.5, was {self.validate}")
        if self.validation_folds < 1:
            raise ValueError(f"validation_folds must be at least 1, was {self.validation_folds}")
        if self.has_folds and not isinstance(self.validate, float):
            raise ValueError(f"validation_folds above 1 need a share in validate, such as 0.2, was {self.validate}")
        windows = {"train": self.train, "validate": self.validate, "test": self.test}
        ranges = [(name, window) for name, window in windows.items() if isinstance(window, DateRange)]
        for (name, window), (other, following) in combinations(ranges, 2):
            if window.start <= following.end and following.start <= window.end:
                raise ValueError(
                    f"{name} and {other} must not overlap, were {window.start} to {window.end} "
                    f"and {following.start} to {following.end}"
                )

    @property
    def has_folds(self) -> bool:
        """Whether the validation sessions lie in several parts inside the training window."""
        return self.validation_folds > 1

    @property
    def markets(self) -> tuple[tuple[str, ...], ...]:
        """Instruments of each training market: all of a portfolio in one, or one market per ticker."""
        if self.portfolio:
            return ((self.instrument, *self.portfolio),)
        return tuple((ticker,) for ticker in (self.instrument, *self.tickers))

    @property
    def context_parts(self) -> ContextSet:
        """Own features, streams and cross features of the context."""
        if isinstance(self.context, str):
            named = context_set(self.context)
            return named._replace(cross=(*named.cross, *self.cross))
        return ContextSet((), tuple(self.context), tuple(self.cross))

    def plan(self, data: DataAtHand, streams: Collection[str] = ()) -> FeaturePlan | JoinedPlan:
        """Features of this experiment that the available data allow.

        Parameters
        ----------
        data : DataAtHand
        streams : collection of str
            Context streams for which there are rows.

        Raises
        ------
        InputError
            If the wiring is wrong, or the data do not allow a required feature or stream.
        """
        self._load_own_features()
        parts = self.context_parts
        own = feature_set(self.features) if isinstance(self.features, str) else self.features
        primary = plan_for((*own, *parts.primary), data)
        if not parts.streams:
            return primary
        return joined_plan_for(primary, parts.streams, parts.cross, streams, bar_minutes=data.bar_minutes)

    def check_kinds(self) -> None:
        """Check that every listed feature is of a known kind; sets need no check.

        Raises
        ------
        InputError
            If one is not, or a feature file cannot be loaded.
        """
        own = [] if isinstance(self.features, str) else self.features
        streams = [] if isinstance(self.context, str) else self.context
        listed = [*own, *self.cross, *(spec for stream in streams for spec in stream.features)]
        if listed:
            self._load_own_features()
        for spec in listed:
            find_kernel(spec.kind)

    def _load_own_features(self) -> None:
        for file in self.feature_files:
            load_feature_file(Path(file))
        load_entry_points()

    def portable(self) -> "Experiment":
        """Copy for a bundle: files of features and rewards by name, without this machine's folders."""
        features, rewards = (
            [portable_name(file) for file in files] for files in (self.feature_files, self.reward_files)
        )
        return msgspec.structs.replace(self, feature_files=features, reward_files=rewards)

    def to_yaml(self) -> str:
        """The whole experiment, defaults included."""
        return yaml.safe_dump(msgspec.to_builtins(self, builtin_types=(date,)), sort_keys=False)


def load_experiment(
    name: str, overrides: Mapping[str, Any] | None = None, given_as: Mapping[str, str] | None = None
) -> Experiment:
    """Experiment from a YAML file, or a preset by its name.

    Parameters
    ----------
    name : str
        Path of a YAML file, or the name of a preset in ``configs/experiments``.
    overrides : mapping of str to Any, optional
        Values that replace those of the file, by dotted path: ``{"learner.total_timesteps": 1000}``.
    given_as : mapping of str to str, optional
        Words of the user that gave an override, by the same paths, for errors; ``--set KEY=VALUE`` by default.

    Raises
    ------
    InputError
        If there is no such file or preset, or a key or value is not allowed.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = experiments_path() / f"{name}.yaml"
        if not path.is_file():
            presets = preset_names()
            near = did_you_mean(name, presets)
            raise InputError(f"experiment must be a YAML file or one of {', '.join(presets)}, was {name!r}{near}")
    if not path.is_file():
        raise InputError(f"experiment file {name} does not exist")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8: {error.reason} at byte {error.start}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: an experiment must be a mapping, was {type(content).__name__}")
    experiment = _parse_overridden(content, str(path), overrides or {}, given_as or {})
    try:
        experiment.check_kinds()
        return with_spreads(experiment)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def with_spreads(experiment: Experiment) -> Experiment:
    """The experiment with the rows of its spread table in place of the file's name, so that a bundle carries them.

    Raises
    ------
    InputError
        If the table cannot be read.
    """
    slippage = experiment.execution.slippage
    if slippage is None or not isinstance(slippage.spreads, str):
        return experiment
    table = read_spreads(Path(slippage.spreads))
    execution = msgspec.structs.replace(experiment.execution, slippage=msgspec.structs.replace(slippage, spreads=table))
    return msgspec.structs.replace(experiment, execution=execution)


def preset_names() -> list[str]:
    """Names of the presets of experiments."""
    return sorted(preset.stem for preset in experiments_path().glob("*.yaml"))


def parse_experiment(content: Any, source: str) -> Experiment:
    """Experiment from plain data; ``source`` names where it is from, for errors.

    Raises
    ------
    InputError
        If a key is unknown, a value not allowed, or a file of rewards does not load.
    """
    named = content.get("reward_files") if isinstance(content, dict) else None
    for file in named if isinstance(named, list) else ():
        load_reward_file(str(file))  # before the reward's name is looked up
    try:
        return msgspec.convert(content, Experiment, strict=False)
    except msgspec.ValidationError as error:
        raise InputError(f"{source}: {explain(error, Experiment)}") from error


def _parse_overridden(
    content: dict[str, Any], source: str, overrides: Mapping[str, Any], given_as: Mapping[str, str]
) -> Experiment:
    try:
        return parse_experiment(_overridden(content, overrides), source)
    except InputError as error:
        blamed = _blamed(content, source, overrides, str(error))
        if not blamed:
            raise
        words = ", ".join(given_as.get(key, f"--set {key}={overrides[key]}") for key in blamed)
        raise InputError(str(error).replace(source, words, 1)) from error


def _blamed(content: dict[str, Any], source: str, overrides: Mapping[str, Any], said: str) -> list[str]:
    """Overrides without which the file would not give this error: single ones, or else all together."""
    if not overrides or _error(content, source, {}) == said:
        return []
    others = {key: {other: value for other, value in overrides.items() if other != key} for key in overrides}
    return [key for key in overrides if _error(content, source, others[key]) != said] or list(overrides)


def _error(content: dict[str, Any], source: str, overrides: Mapping[str, Any]) -> str:
    try:
        parse_experiment(_overridden(content, overrides), source)
    except InputError as error:
        return str(error)
    return ""


def _overridden(content: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    changed = deepcopy(content)
    for dotted, value in overrides.items():
        _override(changed, dotted, value)
    return changed


def _override(content: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        inner = content.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {dotted}: {parent} must be a mapping, was {inner!r}")
        content = inner
    content[last] = value

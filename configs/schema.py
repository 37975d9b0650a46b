"""An experiment: everything that shapes a policy, composed of the frozen configurations of what it configures."""

from collections.abc import Collection
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import yaml

from catalogs.errors import InputError
from configs import experiments_path
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
from rl_strategies.features.plans.sets import ContextSet, context_set
from rl_strategies.features.plugins import portable_name
from training.algorithms.config import LearnerConfig
from training.envs.reward import RewardConfig


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
    portfolio : list of str
        Further instruments that the policy trades together with ``instrument``, on one account: one target for each.
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
    context : str or list of StreamSpec
        What the instruments are compared with: ``smt`` (SPY and QQQ), ``vix`` (daily implied volatility), ``smt+vix``,
        or streams one by one. A stream is bars of the same length or a daily index of the catalog; what reads one
        that the catalog lacks is left out, with the reason.
    cross : list of FeatureSpec
        Features that read streams (``SPY.momentum``), beside those of named sets.
    pruning : PruningConfig or None
        Takes features out of the observation that hardly vary or repeat another one over the training sessions.
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
    portfolio: list[str] = []
    test_tickers: list[str] = []
    validate: DateRange | float | None = None
    test: DateRange | None = None
    bar: str = "1-MINUTE"
    features: str | list[FeatureSpec] = "default"
    context: str | list[StreamSpec] = []
    cross: list[FeatureSpec] = []
    pruning: PruningConfig | None = None
    feature_files: list[str] = []
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
        self._check_windows()
        seen = [self.instrument, *self.portfolio, *self.tickers, *self.test_tickers]
        twice = sorted({ticker for ticker in seen if seen.count(ticker) > 1})
        if twice:
            raise ValueError(
                f"instrument, portfolio, tickers and test_tickers must not overlap, {', '.join(twice)} did"
            )
        if self.portfolio and (self.tickers or self.test_tickers):
            raise ValueError("a portfolio is traded whole: tickers and test_tickers must be empty beside it")

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
    def markets(self) -> tuple[tuple[str, ...], ...]:
        """Instruments of each market that the policy learns from: all of a portfolio in one, tickers one by one."""
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
        """Features of this experiment on the data at hand.

        Parameters
        ----------
        data : DataAtHand
        streams : collection of str
            Context streams for which there are rows.

        Raises
        ------
        InputError
            If the wiring is wrong, or the data cannot give a required feature or stream; the others are left out.
        """
        for file in self.feature_files:
            load_feature_file(Path(file))
        load_entry_points()
        parts = self.context_parts
        own = feature_set(self.features) if isinstance(self.features, str) else self.features
        primary = plan_for((*own, *parts.primary), data)
        return joined_plan_for(primary, parts.streams, parts.cross, streams) if parts.streams else primary

    def portable(self) -> "Experiment":
        """As a bundle carries it: files of features by a name that says nothing of this machine's folders."""
        return msgspec.structs.replace(self, feature_files=[portable_name(file) for file in self.feature_files])

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

"""A universe of tickers and how they are trained: a YAML file, by default in ``configs/universes``."""

from datetime import date
from pathlib import Path
from typing import Any, Literal

import msgspec

from catalogs.errors import InputError
from catalogs.instruments.specification import capitals
from configs import universes_path
from configs.explain import explain
from run.options import comma_separated


class Universe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Tickers to collect, train and backtest.

    Attributes
    ----------
    name : str
    tickers : list of str
    first_day, last_day : date
        Days to collect, both included.
    train_until : date
        Last day of training; later days are tested.
    vendor : {"massive", "yahoo", "none"}
        Source of the bars; ``none`` uses what the catalog holds.
    bar : str
        Bar length.
    experiment : str
        Experiment that every ticker is trained with, each into its own policy.
    changes : dict of str to Any
        Keys of the experiment to replace: ``{learner.total_timesteps: 200000}``.
    about : str
        Why these tickers.
    """

    name: str
    tickers: list[str]
    first_day: date
    last_day: date
    train_until: date
    vendor: Literal["massive", "yahoo", "none"] = "massive"
    bar: str = "1-MINUTE"
    experiment: str = "spy_single"
    changes: dict[str, Any] = {}
    about: str = ""

    def __post_init__(self) -> None:
        if not self.tickers:
            raise ValueError("a universe must have at least one ticker, was empty")
        if not self.first_day < self.train_until < self.last_day:
            raise ValueError(
                f"train_until must lie between first and last day ({self.first_day}, {self.last_day}), "
                f"was {self.train_until}"
            )


def load_universe(name: str) -> Universe:
    """Universe from a YAML file, or one that ships with the project by its name.

    Raises
    ------
    InputError
        If there is no such file or universe, or a key or value is not allowed.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else universes_path() / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in universes_path().glob("*.yaml")))
        raise InputError(f"universe must be a YAML file or one of {known}, was {name!r}")
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=Universe, strict=False)
    except msgspec.DecodeError as error:
        raise InputError(f"universe {path}: {explain(error, Universe)}") from error


def named_tickers(tickers: str, universe: str | None) -> list[str]:
    """Tickers of ``--tickers`` and of ``--universe``, each once.

    Raises
    ------
    InputError
        If there are none, or as `load_universe`.
    """
    named = [capitals(name) for name in comma_separated(tickers)]
    if universe is not None:
        named += load_universe(universe).tickers
    if not named:
        raise InputError("no ticker: give --tickers or --universe")
    return list(dict.fromkeys(named))

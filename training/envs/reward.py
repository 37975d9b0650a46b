"""Rewards by name, computed from the change of the account over a step.

A reward is stateful over an episode and vectorised over environments. A class registered with `reward` can be named by
every environment; an experiment names the file of a user's own class under ``reward_files``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.features.kernel import USER_PACKAGE
from rl_strategies.features.plugins import FOLDERS_VARIABLE, find_users_file, load_users_module

Floats = NDArray[np.float64]


class Step:
    """Change of N accounts with K legs each over one step; figures are computed when a reward reads them.

    Parameters
    ----------
    before, after : float64[N]
        Equity, USD.
    changed : callable
        Takes the name of a running total of the account, gives its change over the step.
    legs : `rl_strategies.accounting.position.LEG`[N, K]
    multiplier : float64[K]
    """

    __slots__ = ("_changed", "_legs", "_multiplier", "after", "before")

    def __init__(
        self, before: Floats, after: Floats, changed: Callable[[str], Floats], legs: Any, multiplier: Floats
    ) -> None:
        self.before, self.after = before, after
        self._changed, self._legs, self._multiplier = changed, legs, multiplier

    @property
    def traded_usd(self) -> Floats:
        """Absolute notional of the step's fills, float64[N]."""
        return self._changed("traded_cents") / 100.0

    @property
    def trades(self) -> Floats:
        """Entries from flat, int64[N]."""
        return self._changed("trades")

    @property
    def gross_usd(self) -> Floats:
        """Absolute notional held at the step's end, float64[N]."""
        legs = self._legs
        return (np.abs(legs["units"]) * legs["price"] * self._multiplier).sum(axis=1)

    @property
    def edge_minutes(self) -> Floats:
        """Minutes to the nearer end of the session, float64[N]."""
        return np.minimum(self._legs["since_open"], self._legs["to_close"]).min(axis=1)


class RewardConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reward by name, and its weights; each reward reads its own and ignores the others.

    Attributes
    ----------
    kind : str
        Name of a registered reward.
    sharpe_decay : float
        η of the differential Sharpe ratio: weight of the newest return in the moving moments.
    alpha, beta : float
        Weights of the differential Sharpe ratio and of PnL in the blend; PnL in basis points of starting equity.
    turnover_penalty : float
        Per notional traded over equity.
    holding_penalty : float
        Per notional held over equity and step.
    micro_penalty : float
        Per entry; twice as much within 15 minutes of the session's ends.
    risk_penalty : float
        Per squared return, in basis points.
    drawdown_penalty : float
        Per basis point of starting equity by which the drawdown from the episode's peak deepened.
    """

    kind: str = "pnl"
    sharpe_decay: float = 0.01
    alpha: float = 0.5
    beta: float = 0.5
    turnover_penalty: float = 0.02
    holding_penalty: float = 0.0001
    micro_penalty: float = 0.01
    risk_penalty: float = 0.0
    drawdown_penalty: float = 0.05

    def __post_init__(self) -> None:
        if self.kind not in REWARDS:
            raise InputError(f"reward must be one of {', '.join(sorted(REWARDS))}, was {self.kind!r}")
        if not 0.0 < self.sharpe_decay < 1.0:
            raise InputError(f"reward.sharpe_decay must be in (0, 1), was {self.sharpe_decay}")


class Reward(Protocol):
    """Stateful over an episode, vectorised over environments.

    Attributes
    ----------
    state : dict of str to float64[num_envs]
        Everything that the next steps depend on.
    """

    state: dict[str, Floats]

    def __init__(self, config: RewardConfig, num_envs: int) -> None: ...

    def begin(self, which: NDArray[np.bool_], equity: Floats) -> None:
        """Reset the environments where ``which`` is set; ``equity`` (USD) is their starting equity."""

    def step(self, step: Step) -> dict[str, Floats]:
        """Components of the step's reward, each float64[num_envs]; the reward is their sum."""


REWARDS: dict[str, type[Reward]] = {}


def reward(name: str) -> Callable[[type[Reward]], type[Reward]]:
    """Register a reward class under a name.

    Raises
    ------
    InputError
        If another module has registered a reward of this name.
    """

    def registered(cls: type[Reward]) -> type[Reward]:
        known = REWARDS.get(name)
        if known is not None and known.__module__ != cls.__module__:
            raise InputError(f"names of rewards must be unique; {name!r} is taken by {known.__module__}")
        REWARDS[name] = cls
        return cls

    return registered


def load_reward_file(name: str) -> tuple[str, ...]:
    """Register the rewards of a user's Python file.

    Parameters
    ----------
    name : str
        Path, or the name that a bundle stores: searched in the working folder and in the folders of the environment
        variable ``RL_INTRADAY_FEATURES``, and among loaded files.

    Returns
    -------
    tuple of str
        Names that it registered.

    Raises
    ------
    InputError
        If it is not found, fails, or registers nothing.
    """
    path = find_users_file(name)
    if path is None:
        loaded = tuple(kind for kind, cls in REWARDS.items() if _is_from(cls.__module__, Path(name).stem))
        if loaded:
            return loaded
        raise InputError(
            f"reward file {name} not found: put it into the working folder or a folder of {FOLDERS_VARIABLE}"
        )
    module = load_users_module(path)
    names = tuple(kind for kind, cls in REWARDS.items() if cls.__module__ == module)
    if not names:
        raise InputError(f"{path} must register at least one reward with @reward, had none")
    return names


def _is_from(module: str, stem: str) -> bool:
    return module.startswith(USER_PACKAGE) and module.rpartition(".")[2] == stem


@reward("pnl")
class PnL:
    """Change of equity in USD, costs included."""

    def __init__(self, config: RewardConfig, num_envs: int) -> None:
        self.state: dict[str, Floats] = {}

    def begin(self, which: NDArray[np.bool_], equity: Floats) -> None:
        """Nothing is carried."""

    def step(self, step: Step) -> dict[str, Floats]:
        """USD."""
        return {"pnl": step.after - step.before}


@reward("log_equity")
class LogEquity:
    """Logarithm of the growth of equity; equity counts as at least one cent."""

    def __init__(self, config: RewardConfig, num_envs: int) -> None:
        self.state: dict[str, Floats] = {}

    def begin(self, which: NDArray[np.bool_], equity: Floats) -> None:
        """Nothing is carried."""

    def step(self, step: Step) -> dict[str, Floats]:
        """Natural logarithm."""
        return {"log_equity": np.log(np.maximum(step.after, 0.01) / np.maximum(step.before, 0.01))}


@reward("differential_sharpe")
class DifferentialSharpe:
    """Derivative of the exponentially weighted Sharpe ratio by its decay.

    With A and B the moving first and second moments of returns R, ΔA = R − A and ΔB = R² − B:
    ``D = (B·ΔA − A·ΔB / 2) / (B − A²)^(3/2)``; 0 while the variance is nil.

    References
    ----------
    Moody, J. and Saffell, M. (2001), "Learning to Trade via Direct Reinforcement", IEEE Transactions on Neural
    Networks 12(4), equation 14.
    """

    def __init__(self, config: RewardConfig, num_envs: int) -> None:
        self._decay = config.sharpe_decay
        self.state = {"mean": np.zeros(num_envs), "square": np.zeros(num_envs)}

    def begin(self, which: NDArray[np.bool_], equity: Floats) -> None:
        """Moments start at zero."""
        for moment in self.state.values():
            moment[which] = 0.0

    def step(self, step: Step) -> dict[str, Floats]:
        """Without unit."""
        mean, square = self.state["mean"], self.state["square"]
        returns = step.after / np.maximum(step.before, 0.01) - 1.0
        mean_change, square_change = returns - mean, returns * returns - square
        variance = square - mean * mean
        usable = variance > 1e-16
        ratio = (square * mean_change - 0.5 * mean * square_change) / np.where(usable, variance, 1.0) ** 1.5
        mean += self._decay * mean_change
        square += self._decay * square_change
        return {"differential_sharpe": np.where(usable, ratio, 0.0)}


@reward("blend")
class Blend:
    """α · differential Sharpe + β · PnL, less penalties for turnover, holding, micro-trading, risk and drawdown."""

    EDGE_MINUTES = 15.0

    def __init__(self, config: RewardConfig, num_envs: int) -> None:
        self._config = config
        self._sharpe = DifferentialSharpe(config, num_envs)
        self.state = {"start": np.ones(num_envs), "peak": np.ones(num_envs), **self._sharpe.state}

    def begin(self, which: NDArray[np.bool_], equity: Floats) -> None:
        """Peak and scale start at the starting equity."""
        self._sharpe.begin(which, equity)
        self.state["start"][which] = equity[which]
        self.state["peak"][which] = equity[which]

    def step(self, step: Step) -> dict[str, Floats]:
        """Components in basis points of the starting equity, the Sharpe part without unit."""
        config, equity = self._config, np.maximum(step.before, 1.0)
        start, peak = self.state["start"], self.state["peak"]
        bps = 1e4 * (step.after - step.before) / start
        drawdown_before = peak - step.before
        np.maximum(peak, step.after, out=peak)
        deepened = np.maximum(0.0, (peak - step.after) - drawdown_before)
        widened = np.where(step.edge_minutes < self.EDGE_MINUTES, 2.0, 1.0)
        return {
            "differential_sharpe": config.alpha * self._sharpe.step(step)["differential_sharpe"],
            "pnl": config.beta * bps,
            "turnover": -config.turnover_penalty * step.traded_usd / equity,
            "holding": -config.holding_penalty * step.gross_usd / equity,
            "micro": -config.micro_penalty * widened * step.trades,
            "risk": -config.risk_penalty * bps * bps,
            "drawdown": -config.drawdown_penalty * 1e4 * deepened / start,
        }


def make_reward(config: str | RewardConfig, num_envs: int) -> Reward:
    """A reward by its name or configuration, for ``num_envs`` environments.

    Raises
    ------
    InputError
        If the name is not registered.
    """
    settings = RewardConfig(config) if isinstance(config, str) else config
    return REWARDS[settings.kind](settings, num_envs)

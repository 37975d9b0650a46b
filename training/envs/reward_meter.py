"""Rewards of a step, measured from the accounts before and after it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.envs.reward import RewardConfig, Step, make_reward
from training.simulator.lanes import Lanes


class RewardMeter:
    """Measures rewards from the change of N accounts over a step; sums the components over each episode.

    Parameters
    ----------
    config : str or RewardConfig
    accounts : records with the fields of `rl_strategies.accounting.position.ACCOUNT`, shape [N]
        Read after every step.
    legs : `rl_strategies.accounting.position.LEG`[N, K]
    multiplier : float64[K]

    Attributes
    ----------
    equity : float64[N]
        Equity after the last step, USD.
    summed : dict of str to float64[N]
        Sums of the components over the episode so far.
    """

    def __init__(self, config: str | RewardConfig, accounts: Any, legs: Any, multiplier: NDArray[np.float64]) -> None:
        self._accounts, self._legs, self._multiplier = accounts, legs, multiplier
        self._reward = make_reward(config, len(accounts))
        self._totals = {name: accounts[name].copy() for name in ("traded_cents", "trades")}
        self.equity = np.zeros(len(accounts))
        self.summed: dict[str, NDArray[np.float64]] = {}

    def begin(self, which: NDArray[np.bool_]) -> None:
        """Start anew for the accounts whose episode has just begun (``which``, bool[N])."""
        equity = self._accounts["equity"].copy()
        self.equity = np.where(which, equity, self.equity)
        for total in self._totals.values():
            total[which] = 0
        self._reward.begin(which, equity)
        for component in self.summed.values():
            component[which] = 0.0

    def measure(self) -> NDArray[np.float64]:
        """Rewards of the last step, float64[N]."""
        equity = self._accounts["equity"].copy()
        parts = self._reward.step(Step(self.equity, equity, self._change, self._legs, self._multiplier))
        self.equity = equity
        for name, part in parts.items():
            known = self.summed.get(name)
            if known is None:
                self.summed[name] = part.copy()
            else:
                known += part
        first, *others = parts.values()
        return sum(others, start=first) if others else first

    def _change(self, name: str) -> NDArray[np.float64]:
        now = self._accounts[name].copy()
        change = now - self._totals[name]
        self._totals[name] = now
        return change

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Everything that the next rewards depend on."""
        parts = {f"reward.{name}": value.copy() for name, value in self._reward.state.items()}
        sums = {f"summed.{name}": value.copy() for name, value in self.summed.items()}
        totals = {f"total.{name}": value.copy() for name, value in self._totals.items()}
        return parts | sums | totals | {"equity": self.equity.copy()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from a `snapshot`."""
        for name, value in self._reward.state.items():
            value[:] = state[f"reward.{name}"]
        self.summed = {
            key.removeprefix("summed."): value.copy() for key, value in state.items() if key.startswith("summed.")
        }
        self._totals = {name: state[f"total.{name}"].copy() for name in self._totals}
        self.equity = state["equity"].copy()

    def components_of(self, account: int) -> dict[str, float]:
        """Sums of one account's episode so far."""
        return {name: float(part[account]) for name, part in self.summed.items()}


def reward_meter(config: str | RewardConfig, lanes: Lanes) -> RewardMeter:
    """Meter over the simulator's lanes."""
    return RewardMeter(config, lanes.state.lanes, lanes.state.legs, lanes.market.arrays.rules["multiplier"])

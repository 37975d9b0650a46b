"""What a report states beside the run's record: title, dates, seeds, cost assumptions, baselines."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.analysis.baselines import BuyAndHold


@dataclass(frozen=True)
class CostAssumptions:
    """Costs and fill rules of a simulation.

    Attributes
    ----------
    commission : str
        Text, for example ``"2.10 USD per contract and side"``.
    slippage_ticks : float or None
        Ticks that every fill is worse than its reference price, limit orders included; None for another rule.
    fill_rule : str
        Text, for example ``"market orders at the close of the bar of the decision"``.
    unknown_volume : str
        Assumption about missing volume; empty if the volume is known.
    slippage_rule : str
        Slippage in words, if it is another rule.
    """

    commission: str
    slippage_ticks: float | None
    fill_rule: str
    unknown_volume: str = ""
    slippage_rule: str = ""

    @property
    def slippage(self) -> str:
        """Slippage in words."""
        return self.slippage_rule or f"{self.slippage_ticks:g} × the tick on every fill, limits included"


@dataclass(frozen=True)
class ReportMetadata:
    """What a report states and a `RunRecord` does not contain.

    Attributes
    ----------
    title : str
    bundle_id : str
        Bundle of the policy; empty for a rule-based one.
    window_start, window_end : datetime.date
        First and last trading day requested.
    run_seed : int
    costs : CostAssumptions
    warmup_bars : int
        Bars before the window, for warm-up only.
    training_seeds : tuple of int
    synthetic_note : str
        Stated at the top of the report; set only for synthetic data.
    abstention : str
        Stated first in the verdict; set only for a policy that stays flat.
    seen_note : str
        Stated first in the verdict; set only if the policy was trained or validated on sessions of the window.
    seen_sessions : int
        Number of these sessions.
    buy_and_hold : BuyAndHold or None
        From `rl_strategies.analysis.baselines.buy_and_hold`.
    random_policy_pnl : float64[k] or None
        Net PnL in USD of k random policies with the same turnover over the same window.
    oracle_pnl : float or None
        Net PnL in USD of a policy that knows the planted edge; synthetic data only.
    oracle_note : str
    training : tuple of str
        Lines about the training.
    left_out_features : tuple of (name, reason)
    notes : tuple of str
    versions : mapping of str to str
        Package to version.

    Raises
    ------
    InputError
        If the window ends before it starts, `oracle_pnl` is set without `synthetic_note`, or
        `random_policy_pnl` is empty or not finite.
    """

    title: str
    bundle_id: str
    window_start: dt.date
    window_end: dt.date
    run_seed: int
    costs: CostAssumptions
    warmup_bars: int = 0
    training_seeds: tuple[int, ...] = ()
    synthetic_note: str = ""
    abstention: str = ""
    seen_note: str = ""
    seen_sessions: int = 0
    buy_and_hold: BuyAndHold | None = None
    random_policy_pnl: NDArray[np.float64] | None = None
    oracle_pnl: float | None = None
    oracle_note: str = ""
    training: tuple[str, ...] = ()
    left_out_features: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.window_end < self.window_start:
            raise InputError(f"window_end must not be before window_start {self.window_start}, was {self.window_end}")
        if self.oracle_pnl is not None and not self.synthetic_note:
            raise InputError(f"oracle_pnl needs a synthetic_note (synthetic data only), was {self.oracle_pnl}")
        pnl = self.random_policy_pnl
        if pnl is not None and not (len(pnl) and np.all(np.isfinite(pnl))):
            raise InputError(f"random_policy_pnl must be one or more finite numbers, was {pnl}")

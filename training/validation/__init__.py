"""Whether a result is more than chance and choice: splits without leaks, statistics, the ledger of what was tried.

``sharpe`` (probabilistic and deflated Sharpe ratio, minimum track record), ``overfitting`` (`backtest_overfitting`),
``bootstrap`` (intervals of Sharpe ratio and drawdown), ``walk_forward``, ``cross_validation``, ``folds``, ``leakage``
(`assert_no_leakage`).
"""

from training.validation.cross_validation import backtest_paths, combinatorial_purged, purged_kfold
from training.validation.folds import Fold
from training.validation.leakage import DataReach, assert_no_leakage, roll_spans
from training.validation.walk_forward import Period, parse_period, walk_forward

__all__ = [
    "DataReach",
    "Fold",
    "Period",
    "assert_no_leakage",
    "backtest_paths",
    "combinatorial_purged",
    "parse_period",
    "purged_kfold",
    "roll_spans",
    "walk_forward",
]

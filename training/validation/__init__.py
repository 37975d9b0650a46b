"""Whether a result is more than chance and choice: splits without leaks, statistics, the ledger of what was tried.

``sharpe`` (probabilistic and deflated Sharpe ratio, minimum track record), ``overfitting`` (`backtest_overfitting`),
``bootstrap`` (intervals of Sharpe ratio and drawdown).
"""

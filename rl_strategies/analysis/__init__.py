"""The figures of a run: trades, ratios, intervals and baselines.

``trades`` (`build_trades`), ``metrics`` (`compute_metrics`), ``equity_path`` (ratios, drawdown, tail risk),
``bootstrap`` (intervals), ``baselines`` (buy and hold).
"""

"""The figures of a run: trades, ratios, intervals and baselines.

``trades`` (`build_trades`), ``metrics`` (`compute_metrics`), ``equity_path`` (ratios, drawdown, tail risk),
``mean_interval`` and ``student_t`` (intervals), ``baselines`` (buy and hold).
"""

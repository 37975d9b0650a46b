"""Defaults that options of ``rl-intraday data fetch`` offer."""

FREE_PLAN_PER_MINUTE = 5.0  # requests that Massive answers without a paid plan
SOURCES = "cboe,fred,yahoo,massive"  # of daily volatility indices, in the order in which they are asked

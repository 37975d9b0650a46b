"""NautilusTrader's backtest engine, configured so that the training simulator equals it.

``engine`` (an engine with this project's venues), ``engine_setup`` (lean or plain), ``venue``,
``fill_models`` (slippage), ``opening_trades`` (fills at the next open).
"""

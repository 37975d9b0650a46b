"""A backtest engine without the bookkeeping that nobody here reads; its fills and balances are untouched.

For every closed position NautilusTrader concatenates pandas objects for statistics, and pickles the position three
times to remember the cycle that ended: half of a trading backtest. This project computes its figures from the fills.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nautilus_trader.cache.cache import Cache
from nautilus_trader.system import kernel

# Options of a strategy: texts of its events and commands, which are composed even where no log takes them.
QUIET_STRATEGY = {"log_events": False, "log_commands": False}


class LeanCache(Cache):
    """Keeps orders and positions, but no copies of the positions that a netted position was before."""

    __slots__ = ()

    def snapshot_position(self, position: Any) -> None:
        """Nothing: the engine's account has booked what the position realised."""


@contextmanager
def lean_engines() -> Iterator[None]:
    """Engines that are built inside have a `LeanCache`; call `keep_no_statistics` on each.

    The engine's kernel takes no cache from outside, so the class that it makes one of is exchanged meanwhile.
    """
    default = kernel.Cache
    kernel.Cache = LeanCache
    try:
        yield
    finally:
        kernel.Cache = default


def keep_no_statistics(engine: Any) -> None:
    """Spare a built engine its statistics of closed positions; set ``run_analysis=False`` too."""
    engine.portfolio.analyzer.record_trade = lambda *args, **kwargs: None

"""How a price fills an order: NautilusTrader's own rules for bars, so that paper and backtest meet the same market.

Source: ``nautilus_trader`` 1.231 ``backtest/engine.pyx``. A bar visits open, the extreme nearer to the open, the
other extreme, close; a quarter of its volume is offered at each, the rest at the close; a price that repeats the one
before is no new tick. Market orders and stops take what is offered and the rest one tick worse. Limits fill at their
limit: with what is offered where the price just touches them, wholly where it trades through them.
"""

from typing import NamedTuple, Protocol

from adapters.ibkr.simulator.broker.orders import WorkingOrder


class Quote(NamedTuple):
    """Price in ticks at which a trade just happened, the units offered there, and whether it opens a bar.

    A stop beyond an opening price was gapped through and fills at that price.
    """

    ticks: int
    units: int
    opens: bool


class Execution(NamedTuple):
    """Units filled at one price."""

    units: int
    ticks: int


class Slippage(Protocol):
    """Ticks by which a fill is worse than its price; asked once for every fill at a quote."""

    def __call__(self, order: WorkingOrder, ticks: int) -> int:
        """Ticks, not negative, for a fill of the order at ``ticks``."""
        ...


def every_fill(worse_ticks: int) -> Slippage:
    """The same ticks on every fill, limits included, as NautilusTrader's own fill model does it."""
    return lambda order, ticks: worse_ticks


def bar_path(open_: int, high: int, low: int, close: int) -> tuple[int, int, int, int]:
    """Prices in the order in which a bar visits them; the low first where both extremes are equally near.

    Examples
    --------
    >>> bar_path(100, 101, 97, 98)
    (100, 101, 97, 98)
    >>> bar_path(100, 103, 97, 98)
    (100, 97, 103, 98)
    """
    first, second = (high, low) if high - open_ < open_ - low else (low, high)
    return open_, first, second, close


def offered_units(volume: int) -> tuple[int, int]:
    """Units offered on each of a bar's first three prices and on its close.

    Examples
    --------
    >>> offered_units(103)
    (25, 28)
    """
    quarter = max(1, volume // 4)
    return quarter, max(1, volume - 3 * quarter)


def in_pieces(executions: list[Execution], pieces: int) -> list[Execution]:
    """Executions split into up to so many each.

    Examples
    --------
    >>> [piece.units for piece in in_pieces([Execution(10, 24000)], 3)]
    [4, 3, 3]
    """
    if pieces <= 1:
        return executions
    return [
        Execution(units, whole.ticks)
        for whole in executions
        for units in (whole.units // pieces + (piece < whole.units % pieces) for piece in range(pieces))
        if units
    ]


def fills(order: WorkingOrder, quote: Quote, wanted: int, arriving: bool, slippage: Slippage) -> list[Execution]:
    """Executions of up to ``wanted`` units of an order at a quote; marks a stop that is reached as triggered.

    Parameters
    ----------
    order : WorkingOrder
    quote : Quote
    wanted : int
        Units that may fill now; less than what remains while a parent is partly filled.
    arriving : bool
        True for an order that just arrived: a marketable limit then takes the market's price.
    slippage : Slippage
        Ticks by which fills are worse; what a limit gets beyond the offer comes without, as in the engine.

    Returns
    -------
    list of Execution
    """
    if wanted <= 0:
        return []
    taken_at = quote.ticks

    def slipped(ticks: int) -> int:
        return ticks + order.side * slippage(order, ticks)

    if order.is_stop:
        if not _reached(order, quote.ticks):
            return []
        order.triggered = True
        # Between two ticks of a bar the price moves continuously, so the stop itself was traded; an open jumps.
        taken_at = quote.ticks if quote.opens or arriving else _stop(order)
    if order.limit_ticks is None:
        return _take(order.side, slipped(taken_at), quote.units, wanted)
    beyond = (order.limit_ticks - taken_at) * order.side
    if beyond < 0:
        return []
    offered = min(wanted, quote.units)
    if arriving or order.stop_ticks is not None:
        return [Execution(offered, slipped(taken_at))]
    rest = wanted - offered if beyond else 0
    return [Execution(offered, slipped(order.limit_ticks))] + ([Execution(rest, order.limit_ticks)] if rest else [])


def _stop(order: WorkingOrder) -> int:
    assert order.stop_ticks is not None
    return order.stop_ticks


def _reached(order: WorkingOrder, ticks: int) -> bool:
    return (ticks - _stop(order)) * order.side >= 0


def _take(side: int, ticks: int, offered: int, wanted: int) -> list[Execution]:
    at_quote = min(offered, wanted)
    rest = wanted - at_quote
    return [Execution(at_quote, ticks)] + ([Execution(rest, ticks + side)] if rest else [])

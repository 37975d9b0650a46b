"""Waiting for the answers to questions that the trading node's own client asks."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pandas as pd
from nautilus_trader.model.data import Bar, BarType

REFUSED_S = 0.1  # until a request that the client has forgotten is given up


async def answer_to(
    question: Coroutine[Any, Any, Any], is_connected: Callable[[], bool], is_asked: Callable[[], bool]
) -> Any:
    """Answer to a question; None where there is none.

    Parameters
    ----------
    question : coroutine
    is_connected : callable
        IB's client raises where its connection has just ended: that is no answer either.
    is_asked : callable
        Whether an answer may still come.
    """
    # The node's own checks ask the same and wait for the same answer: whose patience ends first cancels it for both.
    asked = asyncio.ensure_future(question)
    try:
        while not (await asyncio.wait([asked], timeout=REFUSED_S))[0] and is_asked():
            pass
    finally:
        asked.cancel()
    if not asked.done() or asked.cancelled() or (asked.exception() is not None and not is_connected()):
        return None
    return asked.result()


async def bars_until(
    client: Any,
    is_connected: Callable[[], bool],
    contract: Any,
    bar_type: BarType,
    end_ns: int,
    days: int,
    regular_hours: bool,
) -> list[Bar]:
    """History of ``days`` days that ends at ``end_ns``, oldest first; empty where nothing came."""
    end = pd.Timestamp(end_ns, tz="UTC")
    question = client.get_historical_bars(
        bar_type=bar_type,
        contract=contract,
        use_rth=regular_hours,
        end_date_time=end,
        duration=f"{days} D",
        timeout=client._request_timeout_secs,
    )
    # The client forgets a request that was refused (error 162) and goes on waiting for it.
    name = (str(bar_type), end.strftime("%Y%m%d %H:%M:%S %Z"))
    bars = await answer_to(question, is_connected, lambda: client._requests.get(name=name) is not None)
    return sorted(bars or [], key=lambda bar: int(bar.ts_event))

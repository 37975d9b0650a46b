"""Waiting for the answers to questions that the trading node's own client asks."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

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

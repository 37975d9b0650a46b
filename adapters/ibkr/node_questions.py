"""Waiting for the answers to questions that the trading node's own client asks."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

REFUSED_S = 0.1  # until a request that the client has forgotten is given up


async def answer_to(question: Coroutine[Any, Any, Any], is_asked: Callable[[], bool] = lambda: True) -> Any:
    """Answer to a question; None where there is none.

    Parameters
    ----------
    question : coroutine
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
    return asked.result() if asked.done() and not asked.cancelled() else None

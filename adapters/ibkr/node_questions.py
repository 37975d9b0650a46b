"""Questions over the trading node's own client, and waiting for their answers."""

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from ibapi.execution import ExecutionFilter
from nautilus_trader.model.data import Bar, BarType

SECOND_NS = 1_000_000_000
REFUSED_S = 0.1  # until a request that the client has forgotten is given up
LEFT_BEHIND_S = 1.0  # beyond the client's own patience, which ends first where it counts


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
        while not (await asyncio.wait([asked], timeout=REFUSED_S))[0]:
            if not is_asked():
                await asyncio.wait([asked], timeout=REFUSED_S)  # unless it was refused, its answer came in this moment
                break
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
    """History of ``days`` days that ends at ``end_ns``, oldest first; empty where it was refused.

    Raises
    ------
    TimeoutError
        If the gateway did not answer in the client's time for a request.
    """
    timeout_s = client._request_timeout_secs
    began_s = time.monotonic()
    end = pd.Timestamp(end_ns, tz="UTC")
    question = client.get_historical_bars(
        bar_type=bar_type,
        contract=contract,
        use_rth=regular_hours,
        end_date_time=end,
        duration=f"{days} D",
        timeout=timeout_s,
    )
    # The client forgets a request that was refused (error 162) and goes on waiting for it.
    name = (str(bar_type), end.strftime("%Y%m%d %H:%M:%S %Z"))
    try:
        # The client waits without end for a request of the same second that a lost connection has left behind.
        async with asyncio.timeout(timeout_s + LEFT_BEHIND_S):
            bars = await answer_to(question, is_connected, lambda: client._requests.get(name=name) is not None)
    except TimeoutError:
        client._requests.remove(name=name)
        bars = []
    if bars == [] and time.monotonic() - began_s >= timeout_s:  # the client makes the same of both
        raise TimeoutError(f"history did not answer within {timeout_s:g} s")
    return sorted(bars or [], key=lambda bar: int(bar.ts_event))


def forget_questions(client: Any, account: str) -> None:
    """Forget what was asked on a connection that is lost."""
    for name in ("OpenPositions", "OpenOrders", f"Executions-{account}"):
        client._requests.remove(name=name)


def drop_unread(client: Any) -> None:
    """Drop what waits unread of a connection; a message that cannot be read would deafen the next one too."""
    waiting = client._internal_msg_queue
    while not waiting.empty():
        waiting.get_nowait()


@dataclass
class _Question:
    instrument_id: str
    asked_ns: int
    known: frozenset[str]
    told: set[str] = field(default_factory=set)


class ExecutionQuestions:
    """Open requests for executions with a number of their own: an answer is whole when its end has come.

    `get_executions` of NautilusTrader's client lets everybody wait for the one request that is open, which may have
    been sent before what is asked about.

    Parameters
    ----------
    client : InteractiveBrokersClient
    account : str
    """

    def __init__(self, client: Any, account: str) -> None:
        self._client, self._account = client, account
        self._open: dict[int, _Question] = {}

    def ask(self, instrument_id: str, since_ns: int, known: Collection[str]) -> None:
        """Ask for the executions since a time.

        Parameters
        ----------
        instrument_id : str
            Whose listener hears of the end.
        since_ns : int
            UTC nanoseconds of the broker's clock; 0 asks for the whole day.
        known : collection of str
            Ids of executions since then, without their revision. An answer that lacks one shows that the broker read
            the time in another way: then the whole day is asked for.
        """
        number = self._client._next_req_id()
        self._open[number] = _Question(instrument_id, time.time_ns(), frozenset(known if since_ns else ()))
        wanted = ExecutionFilter()
        wanted.acctCode = self._account
        if since_ns:
            wanted.time = pd.Timestamp(since_ns - SECOND_NS).strftime("%Y%m%d-%H:%M:%S")  # in this form UTC
        self._client._eclient.reqExecutions(number, wanted)

    def note(self, number: int, trade_id: str) -> None:
        """Note an execution of an answer."""
        if number in self._open:
            self._open[number].told.add(trade_id.rpartition(".")[0] or trade_id)

    def end(self, number: int) -> tuple[str, int] | None:
        """Instrument, and clock when it was asked, of an answer that has come to its end and is whole."""
        question = self._open.pop(number, None)
        if question is None:
            return None
        if not question.known <= question.told:
            self.ask(question.instrument_id, 0, ())
            return None
        return question.instrument_id, question.asked_ns

    def forget(self) -> None:
        """Forget what was asked on a connection that is lost."""
        self._open.clear()

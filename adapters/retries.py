"""Transient errors are retried with growing pauses; one that lasts becomes one readable line.

If the vendor says when to come back (``Retry-After``), that time is waited instead of our own pause.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from adapters.errors import SourceError

LONGEST_PAUSE_S = 60.0


class TransientError(Exception):
    """A failure that may be gone at the next attempt.

    Parameters
    ----------
    reason : str
        A few words: ``"status 503"``.
    retry_after_s : float, optional
        Seconds to wait, where the vendor named them.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


def _silent(_: str) -> None:
    return


@dataclass(frozen=True)
class Retries:
    """How often a request is tried, and how long the pauses are.

    Attributes
    ----------
    attempts : int
        Attempts in all.
    pause_s : float
        First pause; doubled after every attempt, a minute at most.
    sleep : callable
        Waits so many seconds.
    report : callable
        Receives one line before each pause.

    Examples
    --------
    >>> failures = iter([TransientError("status 503"), TransientError("status 429", 7.0)])
    >>> def request():
    ...     for failure in failures:
    ...         raise failure
    ...     return 42
    >>> Retries(sleep=lambda _: None, report=print).call("Massive", "the price", request)
    Massive: status 503; next attempt in 1 s
    Massive: status 429; next attempt in 7 s
    42
    """

    attempts: int = 6
    pause_s: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    report: Callable[[str], None] = _silent

    def call[Answer](self, service: str, what: str, request: Callable[[], Answer]) -> Answer:
        """Answer to a request, which is tried again while it raises `TransientError`; other errors pass through.

        Parameters
        ----------
        service : str
            Who is asked.
        what : str
            What for.
        request : callable

        Raises
        ------
        SourceError
            If the last attempt fails too.
        """

        def report(state: RetryCallState) -> None:
            self.report(f"{service}: {_failure(state)}; next attempt in {state.upcoming_sleep:g} s")

        retrying = Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(self.attempts),
            wait=self._pause_s,
            sleep=self.sleep,
            before_sleep=report,
            reraise=True,
        )
        try:
            return retrying(request)
        except TransientError as failure:
            raise SourceError(
                f"{service} did not answer {what} in {_count(self.attempts)}, last: {failure}; what was fetched "
                "so far is kept, try again later"
            ) from failure

    def _pause_s(self, state: RetryCallState) -> float:
        asked = getattr(_failure(state), "retry_after_s", None)
        return wait_exponential(self.pause_s, LONGEST_PAUSE_S)(state) if asked is None else float(asked)


def retry_after_s(header: str | None, wall_s: Callable[[], float] = time.time) -> float | None:
    """Seconds that a ``Retry-After`` header asks for, given as seconds or as a date; None where it says nothing.

    Examples
    --------
    >>> retry_after_s("7"), retry_after_s("Thu, 01 Jan 1970 00:01:30 GMT", lambda: 60.0), retry_after_s(None)
    (7.0, 30.0, None)
    """
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - wall_s())
    except ValueError:
        return None


def _count(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"


def _failure(state: RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()

"""What Databento's package leaves out: trying again what passes, one readable line for what does not."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from databento.common.error import BentoClientError, BentoError, BentoHttpError

from adapters.databento.files import CutOffError
from adapters.errors import SourceError

_PASSING = (408, 429)
_REFUSALS = {
    401: "the key is wrong or missing",
    402: "the account cannot pay for it",
    403: "the key is not entitled to this data",
    404: "there is no such thing",
    422: "the request is not valid",
}


def _silent(_: str) -> None:
    return


@dataclass(frozen=True)
class Patience:
    """How often a call is tried, and how long it is waited in between.

    Attributes
    ----------
    attempts : int
        Tries in all.
    pause_s : float
        First pause; doubled with every try, a minute at most. ``Retry-After`` of the vendor comes first.
    sleep, say : callable
        Pauses; receives one line for each pause and each notice of the vendor.
    """

    attempts: int = 6
    pause_s: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    say: Callable[[str], None] = _silent

    def call(self, what: str, act: Callable[[], Any]) -> Any:
        """What ``act`` returns.

        Raises
        ------
        SourceError
            If the vendor refuses, or fails ``attempts`` times.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return self._heard(act)
            except BentoClientError as error:
                if error.http_status not in _PASSING:
                    raise SourceError(_refusal(error)) from None
                failure: Exception = error
            except (BentoError, CutOffError, requests.RequestException) as error:
                failure = error
            reason = _reason(failure)
            if attempt == self.attempts:
                raise SourceError(
                    f"Databento must answer for {what}, failed {attempt} times, last with: {reason}; what was fetched "
                    "so far is kept, try again later"
                ) from failure
            pause = _pause_s(failure, min(60.0, self.pause_s * 2 ** (attempt - 1)))
            self.say(f"Databento: {reason}; next try in {pause:g} s")
            self.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _heard(self, act: Callable[[], Any]) -> Any:
        with warnings.catch_warnings(record=True) as notices:
            warnings.simplefilter("always")
            answer = act()
        for notice in notices:
            self.say(f"Databento says: {notice.message}")
        return answer


def _refusal(error: BentoHttpError) -> str:
    reason = _REFUSALS.get(error.http_status, "it gave no known reason")
    said = " ".join(str(error.message or "").split())
    return f"Databento refused with status {error.http_status}: {reason}{f' ({said})' if said else ''}"


def _reason(failure: Exception) -> str:
    if isinstance(failure, BentoHttpError):
        return f"status {failure.http_status}"
    if isinstance(failure, requests.Timeout):
        return "silence"
    return "the download broke off" if isinstance(failure, (BentoError, CutOffError)) else "the connection broke off"


def _pause_s(failure: Exception, default: float) -> float:
    headers = getattr(failure, "headers", None) or {}
    asked = headers.get("Retry-After", "")
    return float(asked) if asked.isdigit() else default

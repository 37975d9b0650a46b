"""GET from a REST vendor: patient with what passes, one readable line for what does not.

Rate limits (429), server errors, stalls, cut-off and garbled bodies are tried again, as Retry-After asks or with
growing pauses. A wrong key, a missing entitlement or an unknown address is told at once. Keys travel in headers and
never appear in a message.
"""

import json
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from adapters.errors import SourceError
from adapters.limiter import Limiter

_BLOCK = 1 << 16
_REFUSALS = {
    400: "the request is not valid",
    401: "the key is wrong or missing",
    402: "the plan does not include this",
    403: "the key is not entitled to this data",
    404: "there is no such thing",
    422: "the request is not valid",
}


class _Passing(Exception):
    """A failure that may pass; ``retry_after_s`` where the vendor named a time."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class HttpSource:
    """One vendor's REST service.

    Parameters
    ----------
    name : str
        What the vendor is called in messages.
    base : str
        Address that paths are appended to. Absolute addresses are followed only on the same host.
    headers : mapping of str to str, optional
        Sent with every request: user agent, key.
    limiter : Limiter, optional
        Asked before every request, retries included.
    attempts : int
        Tries in all.
    timeout_s : float
        Longest silence that is waited through.
    pause_s : float
        First pause; doubled with every try, a minute at most.
    sleep : callable
        For tests.
    """

    def __init__(
        self,
        name: str,
        base: str,
        *,
        headers: Mapping[str, str] | None = None,
        limiter: Limiter | None = None,
        attempts: int = 6,
        timeout_s: float = 30.0,
        pause_s: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name, self._base = name, base.rstrip("/") + "/"
        self._headers = dict(headers or {})
        self._limiter, self._attempts = limiter, attempts
        self._timeout_s, self._pause_s, self._sleep = timeout_s, pause_s, sleep

    def json(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Decoded JSON of an address.

        Raises
        ------
        SourceError
            If the vendor refuses, or fails ``attempts`` times.
        """
        return self._patiently(path, params, _decoded)

    def text(self, path: str, params: Mapping[str, Any] | None = None) -> str:
        """Text of an address; raises as `json` does."""
        return self._patiently(path, params, lambda body: body.decode("utf-8-sig", errors="replace"))

    def _patiently(self, path: str, params: Mapping[str, Any] | None, decode: Callable[[bytes], Any]) -> Any:
        address = self._address(path)
        for attempt in range(1, self._attempts + 1):
            try:
                return decode(self._body(address, params))
            except _Passing as failure:
                if attempt == self._attempts:
                    raise SourceError(
                        f"{self.name} must answer {urlsplit(address).path}, failed {attempt} times, "
                        f"last with: {failure}; what was fetched so far is kept, try again later"
                    ) from failure
                pause = min(60.0, self._pause_s * 2 ** (attempt - 1))
                self._wait(pause if failure.retry_after_s is None else failure.retry_after_s)
        raise AssertionError("the last attempt returns or raises")

    def _wait(self, seconds: float) -> None:
        if self._limiter is not None:
            self._limiter.pause(seconds)
        self._sleep(seconds)

    def _address(self, path: str) -> str:
        address = urljoin(self._base, path.lstrip("/") if "://" not in path else path)
        if urlsplit(address).netloc != urlsplit(self._base).netloc:
            raise SourceError(f"{self.name} must not send to another host, was {urlsplit(address).netloc}")
        return address

    def _body(self, address: str, params: Mapping[str, Any] | None) -> bytes:
        if self._limiter is not None:
            self._limiter.wait()
        try:
            with requests.get(
                address, params=params, headers=self._headers, timeout=self._timeout_s, stream=True
            ) as response:
                body = b"".join(response.iter_content(_BLOCK))
                self._check(response, address, body)
                return body
        except requests.Timeout as error:
            raise _Passing(f"silence for {self._timeout_s:g} s") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise _Passing("the connection broke off") from error

    def _check(self, response: requests.Response, address: str, body: bytes) -> None:
        status = response.status_code
        if status == 429 or status >= 500:
            raise _Passing(f"status {status}", _retry_after_s(response.headers.get("Retry-After")))
        if status >= 400:
            said = _said(body)
            raise SourceError(
                f"{self.name} refused {urlsplit(address).path} with status {status}: "
                f"{_REFUSALS.get(status, 'it gave no known reason')}{said}"
            )


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise _Passing(f"a body of {len(body)} bytes that is no JSON") from error


def _said(body: bytes) -> str:
    try:
        content = json.loads(body)
    except ValueError:
        return ""
    told = content.get("message") or content.get("error") if isinstance(content, dict) else None
    return f" ({' '.join(told.split())})" if isinstance(told, str) else ""


def _retry_after_s(header: str | None) -> float | None:
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None

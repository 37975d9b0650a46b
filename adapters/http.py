"""GET from a REST vendor: transient errors are retried, refusals are one readable line.

Retried are rate limits (429), server errors, stalls, cut-off and garbled bodies. A wrong key, a missing entitlement or
an unknown address is an error at once. Keys travel in headers and never appear in a message.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from adapters.errors import SourceError, refusal
from adapters.limiter import Limiter
from adapters.retries import Retries, TransientError, retry_after_s

_BLOCK = 1 << 16


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
        Attempts in all.
    timeout_s : float
        Longest silence of the server.
    pause_s : float
        First pause; doubled after every attempt, a minute at most.
    sleep : callable
        Waits so many seconds.
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
        self._limiter, self._timeout_s, self._sleep = limiter, timeout_s, sleep
        self._retries = Retries(attempts, pause_s, self._wait)

    def json(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Decoded JSON of an address.

        Raises
        ------
        SourceError
            If the vendor refuses, or fails ``attempts`` times.
        """
        return self._retried(path, params, _decoded)

    def text(self, path: str, params: Mapping[str, Any] | None = None) -> str:
        """Text of an address; raises as `json` does."""
        return self._retried(path, params, lambda body: body.decode("utf-8-sig", errors="replace"))

    def _retried(self, path: str, params: Mapping[str, Any] | None, decode: Callable[[bytes], Any]) -> Any:
        address = self._address(path)
        asked = urlsplit(address).path
        return self._retries.call(self.name, asked, lambda: decode(self._body(address, params)))

    def _wait(self, seconds: float) -> None:
        if self._limiter is not None:
            self._limiter.pause(seconds)
        self._sleep(seconds)

    def _address(self, path: str) -> str:
        address = urljoin(self._base, path.lstrip("/") if "://" not in path else path)
        if urlsplit(address).netloc != urlsplit(self._base).netloc:
            raise SourceError(f"{self.name} points to another host, {urlsplit(address).netloc}; it is not followed")
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
            raise TransientError(f"no data for {self._timeout_s:g} s") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise TransientError("connection lost") from error

    def _check(self, response: requests.Response, address: str, body: bytes) -> None:
        status = response.status_code
        if status == 429 or status >= 500:
            raise TransientError(f"status {status}", retry_after_s(response.headers.get("Retry-After")))
        if status >= 400:
            raise refusal(self.name, status, _said(body), urlsplit(address).path)


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise TransientError(f"the answer of {len(body)} bytes is not JSON") from error


def _said(body: bytes) -> str:
    try:
        content = json.loads(body)
    except ValueError:
        return ""
    told = content.get("message") or content.get("error") if isinstance(content, dict) else None
    return told if isinstance(told, str) else ""

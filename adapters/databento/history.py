"""The historical service of Databento: what a request costs, which contracts a continuous symbol means, the files.

The ``databento`` package does not retry; here a rate limit, a server error or a broken download is tried again, as
Retry-After asks or with growing pauses. A file is kept only when it is whole.
"""

import re
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import databento
import requests
from databento.common.error import BentoClientError, BentoError, BentoHttpError
from databento_dbn import DBNError

from adapters.databento.files import CutOffError, open_dbn
from adapters.errors import SourceError

_CONTINUOUS = re.compile(r"([A-Z0-9]+)\.[vc]\.\d+")
_PASSING = (408, 429)
_REFUSALS = {
    401: "the key is wrong or missing",
    402: "the account cannot pay for it",
    403: "the key is not entitled to this data",
    404: "there is no such thing",
    422: "the request is not valid",
}


@dataclass(frozen=True)
class HistoryRequest:
    """What to ask for: ``symbols`` of one dataset and schema from ``first`` to ``last``, UTC days, both included."""

    dataset: str
    schema: str
    symbols: tuple[str, ...]
    first: date
    last: date

    def arguments(self) -> dict[str, Any]:
        """As the ``databento`` package takes it; the end is exclusive there."""
        return {
            "dataset": self.dataset,
            "schema": self.schema,
            "symbols": list(self.symbols),
            "stype_in": "raw_symbol",
            "start": self.first.isoformat(),
            "end": (self.last + timedelta(days=1)).isoformat(),
        }


@dataclass(frozen=True)
class ContractSpan:
    """Days, both included, on which a continuous symbol means one contract."""

    symbol: str
    first: date
    last: date


class DatabentoHistory:
    """Requests to Databento.

    Parameters
    ----------
    key : str
    gateway : str, optional
        Address; the vendor's by default.
    attempts : int
        Tries in all.
    pause_s : float
        First pause; doubled with every try, a minute at most.
    sleep, say : callable
        Pauses; receives one line for each pause and each notice of the vendor.
    """

    def __init__(
        self,
        key: str,
        gateway: str | None = None,
        *,
        attempts: int = 6,
        pause_s: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        options = {} if gateway is None else {"gateway": gateway}
        self._client = databento.Historical(key, **options)
        self._attempts, self._pause_s, self._sleep, self._say = attempts, pause_s, sleep, say

    def cost_usd(self, request: HistoryRequest) -> float:
        """Price of a request in USD.

        Raises
        ------
        SourceError
            If the vendor refuses or keeps failing.
        """
        return float(self._patiently("price", lambda: self._client.metadata.get_cost(**request.arguments())))

    def contracts(self, dataset: str, symbol: str, first: date, last: date) -> list[ContractSpan]:
        """Contracts that a continuous symbol such as ``MES.v.0`` means, in the order of time.

        Raises
        ------
        SourceError
            If nothing resolves, or as `cost_usd`.
        """
        spans = self._resolve(dataset, symbol, "continuous", "instrument_id", first, last)
        if not spans:
            raise SourceError(f"Databento must know {symbol} in {dataset} from {first} to {last}, does not")
        found = []
        for span in spans:
            named = self._resolve(dataset, span.symbol, "instrument_id", "raw_symbol", span.first, span.last)
            if len({each.symbol for each in named}) != 1:
                raise SourceError(f"Databento must name the contract of {symbol} on {span.first}, did not")
            found.append(ContractSpan(named[0].symbol, span.first, span.last))
        return found

    def download(self, request: HistoryRequest, target: Path) -> None:
        """Fetch a request into a file; nothing is left of a failure. Memory holds the compressed answer.

        Raises
        ------
        SourceError
            If the vendor refuses or keeps failing.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}.part")

        def fetch() -> None:
            # In memory, compressed: the package leaves a file open when a download breaks off.
            try:
                content = self._client.timeseries.get_range(**request.arguments()).raw
            except DBNError as error:
                raise CutOffError(f"the answer must be DBN, was not: {error}") from error
            aside.write_bytes(content)
            with open_dbn(aside):  # reads every byte
                pass

        try:
            self._patiently(target.name, fetch)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)

    def _resolve(
        self, dataset: str, symbol: str, stype_in: str, stype_out: str, first: date, last: date
    ) -> list[ContractSpan]:
        told = self._patiently(
            symbol,
            lambda: self._client.symbology.resolve(
                dataset, [symbol], stype_in, stype_out, first.isoformat(), (last + timedelta(days=1)).isoformat()
            ),
        )
        parts = told.get("result", {}).get(symbol, [])
        return [
            ContractSpan(
                str(part["s"]),
                max(first, date.fromisoformat(part["d0"])),
                min(last, date.fromisoformat(part["d1"]) - timedelta(days=1)),
            )
            for part in parts
            if part["s"]
        ]

    def _patiently(self, what: str, call: Callable[[], Any]) -> Any:
        for attempt in range(1, self._attempts + 1):
            try:
                with warnings.catch_warnings(record=True) as notices:
                    warnings.simplefilter("always")
                    answer = call()
                for notice in notices:
                    self._say(f"Databento says: {notice.message}")
                return answer
            except BentoClientError as error:
                if error.http_status not in _PASSING:
                    raise SourceError(_refusal(error)) from None
                failure: Exception = error
            except (BentoError, CutOffError, requests.RequestException) as error:
                failure = error
            reason = _reason(failure)
            if attempt == self._attempts:
                raise SourceError(
                    f"Databento must answer for {what}, failed {attempt} times, last with: {reason}; what was fetched "
                    "so far is kept, try again later"
                ) from failure
            pause = _pause_s(failure, min(60.0, self._pause_s * 2 ** (attempt - 1)))
            self._say(f"Databento: {reason}; next try in {pause:g} s")
            self._sleep(pause)
        raise AssertionError("the last attempt returns or raises")


def continuous_root(symbol: str) -> str | None:
    """Root of a continuous symbol, None for any other.

    Examples
    --------
    >>> continuous_root("MES.v.0"), continuous_root("MESZ6")
    ('MES', None)
    """
    match = _CONTINUOUS.fullmatch(symbol)
    return match[1] if match else None


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

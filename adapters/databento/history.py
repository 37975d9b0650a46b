"""Databento's historical service: prices of requests, contracts behind a continuous symbol, downloads.

A file is kept only when it is whole.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import databento
from databento_dbn import DBNError

from adapters.databento.calls import call
from adapters.databento.files import CutOffError, open_dbn
from adapters.errors import SourceError
from adapters.retries import Retries

_CONTINUOUS = re.compile(r"([A-Z0-9]+)\.[vc]\.\d+")


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
    client : databento.Historical
        See `connect`.
    retries : Retries
    """

    def __init__(self, client: databento.Historical, retries: Retries) -> None:
        self._client, self._retries = client, retries

    def cost_usd(self, request: HistoryRequest) -> float:
        """Price of a request in USD.

        Raises
        ------
        SourceError
            If the vendor refuses or keeps failing.
        """
        return float(call(self._retries, "price", lambda: self._client.metadata.get_cost(**request.arguments())))

    def contracts(self, dataset: str, symbol: str, first: date, last: date) -> list[ContractSpan]:
        """Contracts that a continuous symbol such as ``MES.v.0`` means, in the order of time.

        Raises
        ------
        SourceError
            If nothing resolves, or as `cost_usd`.
        """
        spans = self._resolve(dataset, symbol, "continuous", "instrument_id", first, last)
        if not spans:
            raise SourceError(f"Databento has no {symbol} in {dataset} from {first} to {last}")
        found = []
        for span in spans:
            named = self._resolve(dataset, span.symbol, "instrument_id", "raw_symbol", span.first, span.last)
            if len({each.symbol for each in named}) != 1:
                raise SourceError(f"Databento names no contract for {symbol} on {span.first}")
            found.append(ContractSpan(named[0].symbol, span.first, span.last))
        return found

    def download(self, request: HistoryRequest, target: Path) -> None:
        """Fetch a request into a file; nothing is left of a failure. Memory holds the compressed answer.

        Raises
        ------
        SourceError
            If the vendor refuses or keeps failing.
        """
        aside = target.with_name(f".{target.name}.part")

        def fetch() -> None:
            # In memory, compressed: the package leaves a file open when a download breaks off.
            try:
                content = self._client.timeseries.get_range(**request.arguments()).raw
            except DBNError as error:
                raise CutOffError(f"the answer is not DBN: {error}") from error
            _write(aside, content)
            with open_dbn(aside):  # reads every byte
                pass

        try:
            call(self._retries, target.name, fetch)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)

    def _resolve(
        self, dataset: str, symbol: str, stype_in: str, stype_out: str, first: date, last: date
    ) -> list[ContractSpan]:
        told = call(
            self._retries,
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


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise SourceError(f"cannot write to {path.parent}: {error.strerror}") from error


def connect(key: str, gateway: str | None = None) -> databento.Historical:
    """Client of the historical service; ``gateway`` is an address instead of the vendor's."""
    return databento.Historical(key) if gateway is None else databento.Historical(key, gateway)


def continuous_root(symbol: str) -> str | None:
    """Root of a continuous symbol, None for any other.

    Examples
    --------
    >>> continuous_root("MES.v.0"), continuous_root("MESZ6")
    ('MES', None)
    """
    match = _CONTINUOUS.fullmatch(symbol)
    return match[1] if match else None

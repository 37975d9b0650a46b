"""One-minute bars from Interactive Brokers' history, a session per request, never faster than it allows.

The gateway answers a pacing violation, a missing entitlement and an empty day alike with error 162, and a lost request
not at all; each is a failure here, none an empty result.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.errors import SourceError
from adapters.files.loader import BAR_SCHEMA
from adapters.ibkr.connection import ib_insync
from adapters.ibkr.exchanges import EXCHANGES
from adapters.limiter import TokenBucket
from adapters.retries import Retries, TransientError
from adapters.symbols import vendor_symbol

REQUESTS, PER_S = 60, 600.0  # sixty in ten minutes, the limit that the broker documents for small bars
TIMEOUT_S = 60.0

_PACING = "pacing violation"
_PACING_PAUSE_S = 20.0  # an identical request within 15 s would be a violation again


@dataclass(frozen=True)
class ResolvedContract:
    """The one contract of a name at the broker.

    Attributes
    ----------
    contract : ib_insync.Contract
    con_id : int
    local_symbol, exchange : str
    tick_size : Decimal
    multiplier : Decimal
    last_trade_date : str
        ``YYYYMMDD``; empty for a share.
    """

    contract: Any
    con_id: int
    local_symbol: str
    exchange: str
    tick_size: Decimal
    multiplier: Decimal
    last_trade_date: str

    def __str__(self) -> str:
        expiry = f", last trade {self.last_trade_date}" if self.last_trade_date else ""
        return f"{self.local_symbol} on {self.exchange}, contract {self.con_id}, tick {self.tick_size}{expiry}"


class IbkrHistory:
    """Historical bars over a connected client.

    Parameters
    ----------
    client : ib_insync.IB
        As `adapters.ibkr.connection.gateway` yields it.
    bucket : TokenBucket, optional
        Asked before every request; sixty in ten minutes by default.
    attempts : int
        Attempts in all; only pacing violations are retried.
    timeout_s : float
        Timeout of one request.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(
        self,
        client: Any,
        *,
        bucket: TokenBucket | None = None,
        attempts: int = 4,
        timeout_s: float = TIMEOUT_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._bucket = bucket or TokenBucket(REQUESTS, PER_S / REQUESTS)
        self._retries, self._timeout_s = Retries(attempts, _PACING_PAUSE_S, sleep), timeout_s
        self._errors: list[tuple[int, str]] = []
        client.errorEvent += self._note

    def resolve(self, symbol: str, venue: str, *, is_future: bool) -> ResolvedContract:
        """Contract of a symbol.

        Parameters
        ----------
        symbol : str
            ``"SPY"`` or a contract month with one digit for the year, ``"MESZ6"``.
        venue : str
            Venue of a future: ``"XCME"``.
        is_future : bool

        Raises
        ------
        SourceError
            If none or several are meant.
        """
        if is_future:
            wanted = ib_insync.Future(localSymbol=symbol, exchange=EXCHANGES.get(venue, venue), currency="USD")
            wanted.includeExpired = True
        else:
            wanted = ib_insync.Stock(vendor_symbol("ibkr", symbol), "SMART", "USD")
        self._errors.clear()
        found = self._client.reqContractDetails(wanted)
        if len(found) != 1:
            why = f": {self._errors[0][1]}" if self._errors else ""
            raise SourceError(f"Interactive Brokers knows {len(found)} contracts {symbol}, must be one{why}")
        details = found[0]
        contract = details.contract
        return ResolvedContract(
            contract,
            contract.conId,
            contract.localSymbol,
            contract.exchange,
            Decimal(str(details.minTick)),
            Decimal(str(contract.multiplier or "1")),
            contract.lastTradeDateOrContractMonth if is_future else "",
        )

    def minutes(self, contract: ResolvedContract, open_ns: int, close_ns: int) -> pa.Table:
        """One-minute bars of one session.

        Parameters
        ----------
        contract : ResolvedContract
        open_ns, close_ns : int
            Open and close of the session, UTC nanoseconds, at most a day apart.

        Returns
        -------
        pyarrow.Table
            `adapters.files.BAR_SCHEMA`, stamped with the open.

        Raises
        ------
        SourceError
            If the gateway refuses, stays silent or has no bar in the session.
        """
        end = datetime.fromtimestamp(close_ns // 10**9, UTC)
        asked = f"minutes of {contract.local_symbol} until {end:%Y-%m-%d %H:%M} UTC"
        bars = self._retries.call("Interactive Brokers", asked, lambda: self._request(contract, end))
        table = _table(bars)
        stamps = table["ts_ns"].to_numpy()
        inside = table.filter(pa.array((stamps >= open_ns) & (stamps < close_ns)))
        if not len(inside):
            raise SourceError(f"Interactive Brokers has no {asked}: {self._why(len(table))}")
        return inside

    def _request(self, contract: ResolvedContract, end: datetime) -> list[Any]:
        self._bucket.wait()
        self._errors.clear()
        # Times as epochs (2), regular and other hours alike: sessions are cut by our own calendar.
        answer = self._client.reqHistoricalData(
            contract.contract, end, "1 D", "1 min", "TRADES", False, 2, timeout=self._timeout_s
        )
        if not answer and (paced := self._pacing_violation()):
            raise TransientError(paced)
        return list(answer)

    def _note(self, _about: int, code: int, message: str, *_: Any) -> None:
        if code < 2100 or code > 2169:  # those are notices about the data farms
            self._errors.append((code, " ".join(message.split())))

    def _pacing_violation(self) -> str:
        found = (f"error {code}: {message}" for code, message in self._errors if _PACING in message.lower())
        return next(found, "")

    def _why(self, bars: int) -> str:
        if self._errors:
            code, message = self._errors[0]
            return f"error {code}: {message}"
        return f"it sent {bars} of other days" if bars else f"no answer within {self._timeout_s:g} s"


def _table(bars: list[Any]) -> pa.Table:
    ts_ns = np.array([int(bar.date.timestamp()) for bar in bars], np.int64) * 10**9
    names = ("open", "high", "low", "close")
    prices = {name: np.array([getattr(bar, name) for bar in bars], np.float64) for name in names}
    volume = np.array([bar.volume for bar in bars], np.float64)
    return pa.table({"ts_ns": ts_ns, **prices, "volume": np.where(volume < 0, np.nan, volume)}, schema=BAR_SCHEMA)

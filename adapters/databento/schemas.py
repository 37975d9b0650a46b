"""Databento schemas: what each is imported as, or why it is not."""

from typing import Literal

from adapters.errors import SourceError

Kind = Literal["bars", "trades", "quotes", "definitions"]

KINDS: dict[str, Kind] = {
    "ohlcv-1m": "bars",
    "ohlcv-1h": "bars",
    "trades": "trades",
    "mbp-1": "quotes",
    "tbbo": "quotes",
    "bbo-1s": "quotes",
    "bbo-1m": "quotes",
    "cmbp-1": "quotes",
    "cbbo-1s": "quotes",
    "cbbo-1m": "quotes",
    "definition": "definitions",
}
Asset = Literal["future", "share"]

_FUTURES = ("GLBX",)
# Exchanges and tapes of US shares, by the first word of their datasets.
_SHARES = (
    "ARCX", "BATS", "BATY", "DBEQ", "EDGA", "EDGX", "EPRL", "EQUS", "FINN", "FINY", "IEXG", "MEMX", "XASE", "XBOS",
    "XCHI", "XCIS", "XNAS", "XNYS", "XPSX",
)  # fmt: skip
BARS = {"ohlcv-1m": "1-MINUTE", "ohlcv-1h": "1-HOUR"}

_REFUSED = {
    "ohlcv-1s": "bars below a minute are not kept; fetch ohlcv-1m",
    "ohlcv-1d": "daily bars are not intraday; fetch ohlcv-1m",
    "ohlcv-eod": "daily bars are not intraday; fetch ohlcv-1m",
    "mbo": "single orders of the book are not kept; fetch mbp-1 or trades",
    "mbp-10": "levels below the best price are not kept; fetch mbp-1",
    "imbalance": "auction imbalances are not kept",
    "statistics": "exchange statistics are not kept",
    "status": "trading status is not kept",
}


def asset_of(dataset: str) -> Asset:
    """What the symbols of a dataset are: futures of CME Globex, or US shares.

    Parameters
    ----------
    dataset : str
        As Databento names it: ``"GLBX.MDP3"``.

    Raises
    ------
    SourceError
        If it holds something else.

    Examples
    --------
    >>> asset_of("GLBX.MDP3"), asset_of("XNAS.ITCH")
    ('future', 'share')
    """
    exchange = dataset.partition(".")[0]
    if exchange in _FUTURES:
        return "future"
    if exchange in _SHARES:
        return "share"
    raise SourceError(f"dataset {dataset} is neither of CME Globex nor of US shares: it is not imported")


def kind_of(schema: str, source: str) -> Kind:
    """What a schema is imported as.

    Parameters
    ----------
    schema : str
        As Databento names it: ``"ohlcv-1m"``.
    source : str
        File or request, for the error.

    Raises
    ------
    SourceError
        If it is not imported, with the reason.

    Examples
    --------
    >>> kind_of("mbp-1", "es.dbn.zst")
    'quotes'
    """
    if schema not in KINDS:
        reason = _REFUSED.get(schema, "it is not known")
        raise SourceError(f"{source}: schema {schema} is not imported: {reason}")
    return KINDS[schema]

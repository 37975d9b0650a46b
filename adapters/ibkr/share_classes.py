"""Share classes in the trading node under the catalog's names: NautilusTrader would call ``BRK B`` ``BRK-B``."""

from functools import wraps
from typing import Any

from nautilus_trader.adapters.interactive_brokers import providers
from nautilus_trader.model.identifiers import InstrumentId, Symbol
from nautilus_trader.model.instruments import Equity

from adapters.symbols import CLASS_MARKS, own_symbol


def keep_share_classes() -> None:
    """Let NautilusTrader's provider name a share class ``BRK.B``; called before the clients are built."""
    parse = providers.parse_instrument
    if hasattr(parse, "__wrapped__"):
        return

    @wraps(parse)
    def parse_instrument(details: Any, *args: Any, **kwargs: Any) -> Any:
        return _renamed(parse(details, *args, **kwargs), details.contract)

    providers.parse_instrument = parse_instrument


def _renamed(instrument: Any, contract: Any) -> Any:
    name = contract.localSymbol or contract.symbol
    if contract.secType != "STK" or CLASS_MARKS["ibkr"] not in name:
        return instrument
    known = InstrumentId(Symbol(own_symbol("ibkr", name)), instrument.id.venue)
    return Equity.from_dict({**Equity.to_dict(instrument), "id": known.value})

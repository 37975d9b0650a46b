"""NautilusTrader's provider names share classes as the catalog does, and nothing else otherwise."""

from types import SimpleNamespace

import pytest
from nautilus_trader.adapters.interactive_brokers import providers
from nautilus_trader.adapters.interactive_brokers.common import IBContract, IBContractDetails
from nautilus_trader.model.instruments import Equity

from adapters.ibkr.trading import keep_share_classes


def details(symbol: str) -> IBContractDetails:
    """Contract details of a share, as the gateway sends them."""
    contract = IBContract(
        secType="STK", symbol=symbol, localSymbol=symbol, exchange="SMART", currency="USD", primaryExchange="NYSE"
    )
    isin = SimpleNamespace(tag="ISIN", value="US0846707026")
    return IBContractDetails(contract=contract, minTick=0.01, secIdList=[isin], minSize=1)


@pytest.mark.parametrize(("symbol", "known"), [("BRK B", "BRK.B.EQUS"), ("SPY", "SPY.EQUS")])
def test_a_share_is_known_by_the_catalogs_name(symbol: str, known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "parse_instrument", providers.parse_instrument)
    keep_share_classes()
    keep_share_classes()
    share = providers.parse_instrument(details(symbol), "EQUS")
    assert isinstance(share, Equity)
    assert (share.id.value, share.raw_symbol.value, share.price_precision) == (known, symbol, 2)

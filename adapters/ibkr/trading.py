"""NautilusTrader's clients for Interactive Brokers, with settings that avoid their defects."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from nautilus_trader.adapters.interactive_brokers import providers
from nautilus_trader.adapters.interactive_brokers.common import IB, IBContract, IBOrderTags
from nautilus_trader.adapters.interactive_brokers.config import (
    InteractiveBrokersDataClientConfig,
    InteractiveBrokersExecClientConfig,
    InteractiveBrokersInstrumentProviderConfig,
)
from nautilus_trader.adapters.interactive_brokers.factories import (
    InteractiveBrokersLiveDataClientFactory,
    InteractiveBrokersLiveExecClientFactory,
)
from nautilus_trader.config import LiveExecEngineConfig, RoutingConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.identifiers import InstrumentId, Symbol
from nautilus_trader.model.instruments import Equity

from adapters.ibkr.broker_link import BrokerLink
from adapters.ibkr.client_socket import read_in_loop
from adapters.symbols import CLASS_MARKS, own_symbol, vendor_symbol

CONNECT_ATTEMPTS = "IB_MAX_CONNECTION_ATTEMPTS"  # read by NautilusTrader's client; unset means for ever
OCA_REDUCE_WITH_BLOCK = 2


@dataclass(frozen=True)
class BrokerContract:
    """A contract under the broker's names, with the catalog's venue.

    Attributes
    ----------
    symbol : str
        ``"MES"``, ``"SPY"``; a share class as in the catalog, ``"BRK.B"``.
    kind : {"FUT", "STK"}
    exchange : str
        ``"CME"``, ``"SMART"``.
    expiry : str
        ``"YYYYMM"`` or ``"YYYYMMDD"`` of a future.
    venue : str
        Venue of the catalog's instrument, ``"XCME"``; the node then uses the catalog's name.
    """

    symbol: str
    kind: str
    exchange: str
    expiry: str
    venue: str


def order_tags(group: str) -> list[str]:
    """Tags of an order: works outside regular hours too; orders of one group reduce each other as they fill.

    Parameters
    ----------
    group : str
        Empty for an order that stands alone.
    """
    oca = {"ocaGroup": group, "ocaType": OCA_REDUCE_WITH_BLOCK} if group else {}
    return [IBOrderTags(outsideRth=True, **oca).value]


def client_configs(
    host: str,
    port: int,
    client_id: int,
    account: str,
    contract: BrokerContract,
    *,
    regular_hours: bool,
    timeout_s: int,
    followed: Sequence[BrokerContract] = (),
) -> tuple[InteractiveBrokersDataClientConfig, InteractiveBrokersExecClientConfig]:
    """Settings of the two clients, which share one connection.

    Parameters
    ----------
    host, port : str, int
    client_id : int
    account : str
    contract : BrokerContract
    regular_hours : bool
        Bars of regular trading hours only; NautilusTrader's default would hide a future's night.
    timeout_s : int
        Timeout of the connection and of every request.
    followed : sequence of BrokerContract
        Contracts whose bars are followed beside it.
    """
    contracts = (contract, *followed)
    provider = InteractiveBrokersInstrumentProviderConfig(
        load_contracts=frozenset(map(_wanted, contracts)),
        symbol_to_mic_venue={vendor_symbol("ibkr", each.symbol): each.venue for each in contracts},
    )
    where = {"ibg_host": host, "ibg_port": port, "ibg_client_id": client_id}
    timeouts = {"connection_timeout": timeout_s, "request_timeout_secs": timeout_s}
    data = InteractiveBrokersDataClientConfig(
        **where, **timeouts, instrument_provider=provider, use_regular_trading_hours=regular_hours
    )
    execution = InteractiveBrokersExecClientConfig(
        **where,
        **timeouts,
        account_id=account,
        instrument_provider=provider,
        routing=RoutingConfig(default=True),
        fetch_all_open_orders=False,  # others' orders are none of the session's business
    )
    return data, execution


def _wanted(contract: BrokerContract) -> IBContract:
    expiry = {"lastTradeDateOrContractMonth": contract.expiry} if contract.kind == "FUT" else {}
    symbol = vendor_symbol("ibkr", contract.symbol)
    return IBContract(secType=contract.kind, symbol=symbol, exchange=contract.exchange, currency="USD", **expiry)


def engine_config() -> LiveExecEngineConfig:
    """Execution engine that asks the broker regularly: the adapter does not ask after a reconnect."""
    return LiveExecEngineConfig(
        reconciliation=True,
        open_check_interval_secs=5.0,
        open_check_open_only=False,
        position_check_interval_secs=10.0,
    )


def require_gateway(host: str, port: int, timeout_s: float) -> None:
    """Check that a gateway listens, before NautilusTrader's client takes longer to find out.

    Raises
    ------
    ConnectionError
        If none does.
    """
    try:
        socket.create_connection((host, port), timeout_s).close()
    except OSError as error:
        raise ConnectionError(f"no gateway on {host}:{port}: {error.strerror or error}") from error


def build_node(node: TradingNode, link: BrokerLink, attempts: int) -> None:
    """Add the clients' factories and connect; the link then answers.

    Raises
    ------
    ConnectionError
        If the gateway did not answer ``attempts`` times.
    """

    class LinkedExecFactory(InteractiveBrokersLiveExecClientFactory):
        @staticmethod
        def create(*args: Any, **kwargs: Any) -> Any:
            client = InteractiveBrokersLiveExecClientFactory.create(*args, **kwargs)
            link.attach(client)
            return client

    keep_share_classes()
    read_in_loop()
    node.add_data_client_factory(IB, InteractiveBrokersLiveDataClientFactory)
    node.add_exec_client_factory(IB, LinkedExecFactory)
    os.environ[CONNECT_ATTEMPTS] = str(attempts)
    node.build()
    if not link.is_connected():
        raise ConnectionError(f"the gateway did not answer in {attempts} attempts")
    link.keep_reconnecting()


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

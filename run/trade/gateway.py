"""`rl-intraday gateway`: a simulated IB Gateway that replays catalog bars, to trade on without an account."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path

import msgspec
import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.ibkr.exchanges import EXCHANGES
from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.broker.matching import Slippage
from adapters.ibkr.simulator.broker.orders import WorkingOrder
from adapters.ibkr.simulator.faults import Fault, FaultError, FaultScript
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import Market, TapeBar, TapeError, tape_of
from adapters.ibkr.simulator.server import GatewayServer
from adapters.symbols import vendor_symbol
from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_length_ns, bar_type_of
from catalogs.instruments.specification import InstrumentSpec, resolve_stored
from catalogs.instruments.stored import stored_instruments, stored_spec
from catalogs.storage.arrow import read_bars
from configs import instruments_path
from rl_strategies.backtest.fill_models import (
    InstrumentSlippage,
    StreamFillModel,
    StreamFillModelConfig,
    stream_settings,
)
from rl_strategies.decision.rules import ExecutionConfig
from run.console import messages, print_json, report
from run.day import DAY_NS, midnight_ns
from run.trade.session.contract import last_trade

ACCOUNT = "DU0000001"
HISTORY_DAYS = 40
CON_ID = 900_000_001
# NautilusTrader needs one for every share; nothing else reads it.
MADE_UP_ISIN = "US0000000002"


def run_gateway(
    *,
    instruments: Sequence[str],
    start: datetime,
    end: datetime | None,
    bar: str,
    port: int,
    speed: float,
    slippage_ticks: int,
    cash: float,
    faults: Path | None,
    catalog: Path,
    as_json: bool,
) -> None:
    """Serve a simulated IB Gateway over TCP; the bars start when a client has subscribed to all of them.

    The options are those of the verb; see `run.trade.commands.gateway`.
    """
    specs = [_named(name, catalog, start.date()) for name in instruments]
    names = [spec.instrument_id for spec in specs]
    if len(set(names)) < len(names):
        raise InputError(f"instruments must be named once, were {', '.join(names)}")
    window_ns = midnight_ns(start.date()), midnight_ns((end or start).date()) + DAY_NS
    execution = ExecutionConfig(slippage_ticks=slippage_ticks)  # type: ignore[arg-type]  # the option allows no other
    server = simulated_server(specs[0], catalog, bar, window_ns, cash, execution, port, followed=specs[1:])
    if faults is not None:
        server.after_step.append(load_faults(faults))
    try:
        asyncio.run(_serve(server, speed))
    except OSError as error:
        raise InputError(f"port {port} cannot be listened on: {error}") from error
    broker = server.gateway.broker
    held = {holding.terms.local_symbol: holding.units for holding in broker.account.holdings.values()}
    equity = broker.account.equity_cents(broker.marks) / 100
    if as_json:
        orders = len(broker.working())
        print_json({"positions": held, "working_orders": orders, "trades": len(broker.trades), "equity_usd": equity})
    else:
        report(f"end of bars: {len(broker.trades)} fills, positions {held}, equity {equity:,.2f} USD")


def _named(instrument: str, catalog: Path, day: date) -> InstrumentSpec:
    return stored_spec(catalog, resolve_stored(instrument, instruments_path(), stored_instruments(catalog), day))


def simulated_server(
    spec: InstrumentSpec,
    catalog: Path,
    bar: str,
    window_ns: tuple[int, int],
    cash_usd: float,
    execution: ExecutionConfig,
    port: int = 0,
    followed: Sequence[InstrumentSpec] = (),
) -> GatewayServer:
    """Simulated gateway over catalog bars of one or more instruments, on one clock.

    Parameters
    ----------
    spec : InstrumentSpec
        A contract month or a share.
    catalog : Path
    bar : str
        Bar length, for example ``"1-MINUTE"``.
    window_ns : tuple of int
        Opening time of the first bar and closing time of the last, UTC nanoseconds; up to forty days before are
        history.
    cash_usd : float
    execution : ExecutionConfig
        Its slippage is that of the fills.
    port : int
        0 takes a free port.
    followed : sequence of InstrumentSpec
        More instruments; their contract numbers follow that of the first.

    Raises
    ------
    InputError
        If an instrument cannot be ordered or the catalog has no bars of these days.
    """
    contracts, tapes, (first_ns, last_ns) = [], {}, window_ns
    for number, each in enumerate((spec, *followed)):
        if each.kind == "future" and not each.expiration_ns:
            raise InputError(f"name a contract month, such as MESZ6, was {each.instrument_id}")
        if each.expiration_ns and each.expiration_ns <= first_ns:
            first = np.datetime64(first_ns, "ns").astype("datetime64[m]")
            raise InputError(f"{each.instrument_id} expired on {last_trade(each)}, the replay begins on {first} UTC")
        until_ns = min(last_ns, each.expiration_ns or last_ns)
        bars = read_bars(catalog, bar_type_of(each, bar), first_ns - HISTORY_DAYS * DAY_NS, until_ns)
        terms = contract_terms(each, CON_ID + number)
        contracts.append(terms)
        tapes[terms.con_id] = _tape(each, bars, bar_length_ns(bar))
    try:
        market = Market(contracts, tapes, bar_length_ns(bar), start_ns=first_ns)
    except TapeError as error:
        first, last = (np.datetime64(ns, "ns").astype("datetime64[m]") for ns in window_ns)
        raise InputError(f"{spec.instrument_id} from {first} to {last}: {error}") from error
    gateway = Gateway(
        contracts, market, ACCOUNT, round(cash_usd * 100), broker_slippage([spec, *followed], execution, market)
    )
    return GatewayServer(gateway, port=port)


def broker_slippage(instruments: Sequence[InstrumentSpec], execution: ExecutionConfig, market: Market) -> Slippage:
    """Slippage of the simulated broker, as simulator and engine have it; instruments by contract number."""
    if execution.slippage is None:
        stream = StreamFillModel(StreamFillModelConfig(**stream_settings(execution)))
        return lambda order, ticks: int(stream.is_slipped())
    slippage = InstrumentSlippage(instruments, execution)

    def worse(order: WorkingOrder, ticks: int) -> int:
        if order.limit_ticks is not None:
            return 0
        # The engine stamps what fills inside a bar with the bar's close.
        con_id = order.terms.con_id
        ts_ns = market.now_ns if order.stop_ticks is None else market.bar_close_ns(con_id)
        return slippage.ticks(con_id - CON_ID, ts_ns, ticks, order.side)

    return worse


def contract_terms(spec: InstrumentSpec, con_id: int = CON_ID) -> ContractTerms:
    """Terms of an instrument as the simulated gateway trades it."""
    exchange, symbol = EXCHANGES[spec.venue], vendor_symbol("ibkr", spec.symbol)
    terms = ContractTerms(
        con_id=con_id,
        symbol=symbol,
        sec_type="STK",
        exchange=exchange,
        primary_exchange="ARCA",
        local_symbol=symbol,
        tick_size=spec.tick_size,
        multiplier=spec.multiplier,
        commission_per_unit=spec.commission_per_unit,
        commission_minimum=spec.commission_minimum,
        margin_initial=spec.margin_initial,
        margin_maintenance=spec.margin_maintenance,
        isin=MADE_UP_ISIN,
        time_zone="US/Eastern",
        regular_open=time(9, 30),
        regular_close=time(16, 0),
    )
    if spec.kind == "equity":
        return terms
    last_day = datetime.fromtimestamp(spec.expiration_ns // 10**9, UTC).strftime("%Y%m%d")
    return replace(
        terms, symbol=spec.underlying, sec_type="FUT", primary_exchange=exchange, last_trade_date=last_day,
        last_trade_ns=spec.expiration_ns, contract_month=spec.contract_month, isin="",
        time_zone="US/Central", regular_open=time(8, 30), regular_close=time(15, 0),
    )  # fmt: skip


def load_faults(path: Path) -> FaultScript:
    """Fault script from a YAML list of ``{step, name, value}``.

    Raises
    ------
    InputError
        If the file is missing, malformed, or names an unknown fault.
    """
    try:
        return FaultScript(msgspec.yaml.decode(path.read_bytes(), type=list[Fault]))
    except (OSError, msgspec.MsgspecError, FaultError) as error:
        raise InputError(f"fault script {path}: {error}") from error


def _tape(spec: InstrumentSpec, bars: BarSeries, bar_ns: int) -> list[TapeBar]:
    try:
        return tape_of(bars.ts_ns, bars.open, bars.high, bars.low, bars.close, bars.volume, bar_ns)
    except TapeError as error:
        raise InputError(f"{spec.instrument_id}: {error}") from error


async def _serve(server: GatewayServer, speed: float) -> None:
    await server.listen()
    gateway = server.gateway
    contract = ", ".join(terms.local_symbol for terms in gateway.broker.contracts.values())
    report(f"simulated gateway on {server.host}:{server.port}, account {ACCOUNT}, {contract}; Ctrl-C ends it")
    while len({feed.con_id for _, feed in gateway.feeds()}) < len(gateway.broker.contracts):
        await asyncio.sleep(0.1)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), console=messages, transient=True) as shown:
        task = shown.add_task("steps of the market", total=gateway.market.steps)
        server.after_step.append(lambda _: shown.advance(task))
        await server.replay(speed)
    await asyncio.sleep(1.0)  # the effects of the last bar still reach the client
    await server.shut()

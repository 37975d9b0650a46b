"""`rl-intraday paper`: a bundle trades on a paper account, or on a simulated gateway that needs none."""

import asyncio
import time
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import numpy as np
import typer

from adapters.ibkr.simulator.server import ThreadedServer, running
from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_length_ns
from catalogs.sessions import SessionCalendar, session_calendar
from configs.live.schema import LiveConfig, configuration_name, load_live
from configs.live.supervision import GuardConfig
from rl_strategies.bundle.bundle import Bundle, load_bundle
from rl_strategies.live.broker.link import NS
from rl_strategies.live.strategy import LiveStrategy
from run.console import print_json, report
from run.trade.gateway import ACCOUNT, CON_ID, load_faults, simulated_server
from run.trade.locked_session import trade_session
from run.trade.session.context import check_daily_values, live_context, read_streams
from run.trade.session.contract import trading_day
from run.trade.session.contract_life import require_life, require_same_session
from run.trade.session.folder import SessionHome
from run.trade.session.plan import Outcome, SessionPlan, session_day, traded_specs

CASH_USD = 1_000_000.0
POLL_S = 0.002
CONTEXT_S = 0.2  # the simulated gateway sends all bars of a minute together
PAPER_PREFIX = "DU"


def run_paper(
    *,
    bundle: Path,
    live: str,
    sessions: Path | None,
    simulated: bool,
    start: datetime | None,
    end: datetime | None,
    speed: float,
    faults: Path | None,
    guarded: bool | None,
    catalog: Path,
    as_json: bool,
) -> None:
    """Trade a bundle on a paper account of Interactive Brokers.

    The options are those of the verb; see `run.trade.commands.paper`.
    """
    loaded = load_bundle(bundle)
    config = load_live(live)
    if guarded is not None or simulated:
        config = msgspec.structs.replace(config, guard=(config.guard or GuardConfig()) if guarded else None)
    if simulated:
        if start is None:
            raise InputError("--simulated needs the day to replay: --start YYYY-MM-DD")
        days = start.date(), (end or start).date()
        home = session_home(config, sessions, loaded, f"-simulated-{datetime.now(UTC):%Y%m%d-%H%M%S}")
        outcome = trade_simulated(loaded, config, live, home, catalog, days, speed, faults)
    else:
        outcome = trade_on_paper(loaded, config, live, session_home(config, sessions, loaded))
    print_outcome(outcome, as_json)


def session_home(config: LiveConfig, sessions: Path | None, bundle: Bundle, suffix: str = "") -> SessionHome:
    """Home of the bundle's sessions under a configuration."""
    return SessionHome((sessions or Path(config.session_folder)) / f"{bundle.id}{suffix}")


def trade_on_paper(bundle: Bundle, config: LiveConfig, configuration: str, home: SessionHome) -> Outcome:
    """Trade on the configuration's paper account.

    Raises
    ------
    InputError
        If no account is set, or it is not a paper account.
    """
    account = config.account()
    if not account:
        raise InputError(f"no account: set the environment variable {config.account_variable}")
    if not account.startswith(PAPER_PREFIX):
        raise InputError(f"the account in {config.account_variable} is not a paper account ({PAPER_PREFIX}…)")
    return trade(bundle, config, configuration, account, home)


def trade(bundle: Bundle, config: LiveConfig, configuration: str, account: str, home: SessionHome) -> Outcome:
    """Trade the current session, or wait for the next one.

    Parameters
    ----------
    bundle : Bundle
    config : LiveConfig
    configuration : str
        Preset or path that the configuration was read from.
    account : str
    home : SessionHome

    Raises
    ------
    InputError
        If a contract is expired or too near its expiry, or the session to be resumed traded another contract.
    """
    now_ns = time.time_ns()
    today = trading_day(session_calendar(bundle.instruments[0].calendar), now_ns)
    spec, *others = traded_specs(bundle, config, today)
    context = live_context(bundle, (spec, *others), config, today)
    day, catalog = session_day(home, today), Path(config.context.catalog)
    name = configuration_name(configuration)
    plan = SessionPlan(bundle, spec, config, name, account, home, day, context, catalog, tuple(others))
    require_same_session(home, day, plan.traded, account, plan.flatten_command)
    # What an interrupted session holds must be looked after up to the last trade.
    to_begin = config if day == today else msgspec.structs.replace(config, sessions_before_expiry=0)
    if config.timeouts.clock == "wall":  # a gateway that replays the past has a time of its own
        require_life(to_begin, (*plan.traded, *plan.followed), now_ns)
    return trade_session(plan)


def trade_simulated(
    bundle: Bundle,
    config: LiveConfig,
    configuration: str,
    home: SessionHome,
    catalog: Path,
    days: tuple[date, date],
    speed: float,
    faults: Path | None = None,
) -> Outcome:
    """Trade whole sessions of the catalog on a simulated gateway in this process.

    Raises
    ------
    InputError
        If the catalog has no bars of these trading days, or a day has no session.
    """
    spec, *others = bundle.instruments
    bar = bundle.bar_types[0].removeprefix(f"{spec.instrument_id}-").removesuffix("-LAST-EXTERNAL")
    name, streams = configuration_name(configuration), read_streams(bundle)
    plan = SessionPlan(bundle, spec, config, name, ACCOUNT, home, days[0], streams, catalog, tuple(others))
    check_daily_values(bundle, catalog)
    window = session_window(bundle, days)
    beside = (*plan.others, *plan.followed)
    server = simulated_server(spec, catalog, bar, window, CASH_USD, bundle.execution, followed=beside)
    if faults is not None:
        server.after_step.append(load_faults(faults))
    silence_s = max(5.0, 3 * bar_length_ns(bar) / NS / speed)
    timeouts = msgspec.structs.replace(config.timeouts, clock="bars", silence_s=silence_s, context_s=CONTEXT_S)
    # Limits per minute count minutes of the market, which pass faster here.
    orders = msgspec.structs.replace(
        config.orders, max_per_minute=round(config.orders.max_per_minute * max(1.0, speed))
    )
    with running(server) as gateway:
        config = msgspec.structs.replace(config, host="127.0.0.1", port=gateway.port, timeouts=timeouts, orders=orders)
        report(f"simulated gateway on port {gateway.port}, {days[0]} to {days[1]}, {speed:g} times as fast")
        plan = replace(plan, config=config)
        return trade_session(plan, lambda strategy: _replay(gateway, speed, len(plan.traded), strategy))


def session_window(bundle: Bundle, days: tuple[date, date]) -> tuple[int, int]:
    """Open of the first trading day's session and close of the last one's, UTC nanoseconds.

    Raises
    ------
    InputError
        If the exchange does not trade on one of them.
    """
    hours = [
        _hours(session_calendar(name), days) for name in dict.fromkeys(each.calendar for each in bundle.instruments)
    ]
    return min(opens for opens, _ in hours), max(closes for _, closes in hours)


def _hours(calendar: SessionCalendar, days: tuple[date, date]) -> tuple[int, int]:
    rows = np.searchsorted(calendar.session_date, np.array(days, "datetime64[D]"))
    for day, row in zip(days, rows, strict=True):
        if row == len(calendar) or calendar.session_date[row] != np.datetime64(day):
            raise InputError(f"{day} is not a trading day of {calendar.name}")
    return int(calendar.open_ns[rows[0]]), int(calendar.close_ns[rows[1]])


async def _replay(gateway: ThreadedServer, speed: float, traded: int, strategy: LiveStrategy) -> None:
    while len(gateway.gateway.feeds()) < len(strategy.market_data.feeds):
        await asyncio.sleep(0.05)
    # Read between two steps of the trading loop, never in the middle of one.
    settled_ns = 0
    numbers = range(CON_ID, CON_ID + traded)
    over = gateway.replay(speed, settled=lambda market: max(map(market.last_close_ns, numbers)) <= settled_ns)
    while not over.done():
        settled_ns = strategy.settled_ns
        await asyncio.sleep(POLL_S)
    over.result()


def print_outcome(outcome: Outcome, as_json: bool) -> None:
    """Print how a session ended; leaves with its exit code."""
    if as_json:
        print_json({**asdict(outcome), "folder": str(outcome.folder)})
    else:
        colour = "green" if outcome.exit_code == 0 else "bold red"
        report(
            f"{outcome.decisions} decisions, {outcome.fills} fills, {outcome.units:+d} held; {outcome.folder}",
            label=f"{outcome.reason}:",
            style=colour,
        )
        if outcome.not_taken:
            reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in outcome.not_taken.items())
            report(reasons, label=f"{sum(outcome.not_taken.values())} decisions not taken:", style="yellow")
        if outcome.latencies_us:
            p50, p99 = np.percentile(outcome.latencies_us, [50, 99]) / 1000
            count = len(outcome.latencies_us)
            report(f"bar to order on the wire: p50 {p50:.1f} ms, p99 {p99:.1f} ms over {count} entries")
        if outcome.decisions:
            report(f"Next    rl-intraday replay {outcome.folder}")
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)

"""Verbs of trading as the command line declares them; the work is imported when a verb is called."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from run.options import DEFAULT_CATALOG, BundleArgument, CatalogOption, JsonOption, day_option
from run.trade.choices import ScopeName

SessionsOption = Annotated[
    Path | None, typer.Option("--sessions", metavar="FOLDER", help="Session folder (default: the configuration's).")
]
SessionArgument = Annotated[Path, typer.Argument(help="Folder of the session, or of one of its days.")]
ConfigurationArgument = Annotated[str, typer.Argument(help="paper, live or a YAML file.")]
ConfigOption = Annotated[
    str, typer.Option("--config", metavar="NAME", help="Live configuration: paper, live or a YAML file.")
]


def paper(
    bundle: BundleArgument,
    live: ConfigOption = "paper",
    sessions: SessionsOption = None,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Trade on a simulated gateway that replays catalog bars.")
    ] = False,
    start: Annotated[datetime | None, day_option("With --simulated: first trading day.")] = None,
    end: Annotated[datetime | None, day_option("With --simulated: last trading day.")] = None,
    speed: Annotated[float, typer.Option(min=0.01, help="With --simulated: simulated seconds per real second.")] = 60.0,
    faults: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --simulated: faults to play, a YAML list of {step, name, value}."),
    ] = None,
    guarded: Annotated[
        bool | None,
        typer.Option("--guard/--no-guard", help="Start a guard beside the session (default: not with --simulated)."),
    ] = None,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Trade a bundle on a paper account of Interactive Brokers.

    Every decision and order is journaled under --sessions; a session interrupted on the same trading day is resumed.
    Ctrl-C and SIGTERM close the position, unless the configuration says to hold it.
    A guard, a process of its own, closes the session's own position if the session dies or hangs without a stop.

    Exit codes: 0 ended normally, 1 error, 4 not started, 5 halted until `rl-intraday unhalt`, 6 the contract is over:
    start again.

    \b
    Example:
      rl-intraday paper runs/…/bundle/demo-… --simulated --start 2025-02-18 \\
        --catalog demo/catalog
    """
    from run.trade.paper import run_paper

    run_paper(
        bundle=bundle,
        live=live,
        sessions=sessions,
        simulated=simulated,
        start=start,
        end=end,
        speed=speed,
        faults=faults,
        guarded=guarded,
        catalog=catalog,
        as_json=as_json,
    )


def live(
    bundle: BundleArgument,
    account: Annotated[
        str,
        typer.Option(metavar="ENDING", help="Last four characters of the account number in the environment, or all."),
    ],
    is_meant: Annotated[bool, typer.Option("--live", help="Confirm that real money is traded.")] = False,
    live: ConfigOption = "live",
    sessions: SessionsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trade a bundle on a live account of Interactive Brokers, with real money.

    Needs --live, the end of the account number in the environment, and no failed check of `rl-intraday doctor`.
    Journal, restart, signals and exit codes are those of `rl-intraday paper`.

    \b
    Example:
      rl-intraday live runs/…/bundle/mes_intraday-… --live --account 4567
    """
    from run.trade.live import run_live

    run_live(bundle=bundle, account=account, is_meant=is_meant, live=live, sessions=sessions, as_json=as_json)


def gateway(
    instruments: Annotated[
        list[str], typer.Argument(metavar="INSTRUMENT...", help="Instruments, for example MESZ6, or SPY AAPL.")
    ],
    start: Annotated[datetime, day_option("First UTC day; the 40 days before serve as history.")],
    end: Annotated[datetime | None, day_option("Last UTC day (default: the first).")] = None,
    bar: Annotated[str, typer.Option(metavar="BAR", help="Bar length in the catalog.")] = "1-MINUTE",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 4002,
    speed: Annotated[float, typer.Option(min=0.01, help="Simulated seconds per real second.")] = 60.0,
    slippage_ticks: Annotated[
        int,
        typer.Option(min=0, max=1, help="Ticks by which every fill is worse, as in `execution:` of the experiment."),
    ] = 1,
    cash: Annotated[float, typer.Option(min=1, help="Starting balance, USD.")] = 100_000.0,
    faults: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Faults to play, a YAML list of {step, name, value}.")
    ] = None,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Run a simulated IB Gateway over catalog bars.

    The bars start when a client has subscribed to those of every instrument. Any TWS client connects: NautilusTrader,
    IB's own API, ib_insync. Orders fill by NautilusTrader's rules for bars. Ends after the last bar and prints what the
    account holds.

    \b
    Example:
      rl-intraday gateway MESH5 --start 2025-02-18 --catalog demo/catalog
    """
    from run.trade.gateway import run_gateway

    run_gateway(
        instruments=instruments,
        start=start,
        end=end,
        bar=bar,
        port=port,
        speed=speed,
        slippage_ticks=slippage_ticks,
        cash=cash,
        faults=faults,
        catalog=catalog,
        as_json=as_json,
    )


def replay(
    session: Annotated[Path, typer.Argument(help="Folder of one day of a session.")],
    catalog: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Catalog to compare the journal's bars with (default: none).")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The session's bundle, if it was moved.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a live session; list differing decisions by cause.

    Every decision is made again from the journal's own bars and fills. Then the same bars and decisions go through the
    backtest engine, and its fills are compared with the broker's, one by one.

    Exit codes: 0 all decisions equal, 1 at least one differs, 2 bad input.

    \b
    Example:
      rl-intraday replay sessions/paper/demo-…-simulated/2025-02-18 \\
        --catalog demo/catalog
    """
    from run.trade.replay.command import run_replay

    run_replay(session=session, catalog=catalog, bundle=bundle, as_json=as_json)


def calibrate(
    sessions: Annotated[
        list[Path], typer.Argument(metavar="SESSION", help="Session folders, or folders of single days.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the measured costs here, for `rl-intraday train --execution`."),
    ] = None,
    spreads: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a table of spreads by time of day, as `data spreads` does."),
    ] = None,
    minutes: Annotated[int, typer.Option(min=5, help="Length of a time of day in that table, a multiple of 5.")] = 60,
    as_json: JsonOption = False,
) -> None:
    """Measure slippage, latency, fill rate and commission from session journals.

    A session on a simulated gateway measures the simulator's own costs; a warning says so.

    \b
    Example:
      rl-intraday calibrate sessions/paper/mes_intraday-… --out measured.yaml
    """
    from run.trade.replay.calibrate import run_calibrate

    run_calibrate(sessions, out, spreads, minutes, as_json)


def guard(
    session: SessionArgument,
    live: Annotated[
        str, typer.Option("--config", metavar="NAME", help="Live configuration (default: the session's).")
    ] = "",
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for another guard of the session to end.")] = 0.0,
) -> None:
    """Watch a session; close its own position where it cannot.

    `paper` and `live` start one beside every session. It acts only when the session has died, hangs or has ended: a
    position without a stop at the broker is closed, one with a stop is left to it until the session's end. Orders,
    positions and fills that are not the session's own are never touched. A healthy session is only looked at.

    Exit codes: 0 nothing was left, 2 bad input or the session already has a guard, 3 the broker could not be asked,
    5 a position was closed and the session is halted until `rl-intraday unhalt`.

    \b
    Example:
      rl-intraday guard sessions/paper/mes_intraday-…
    """
    from run.trade.guard.command import run_guard

    run_guard(session, live, wait)


def doctor(
    configuration: ConfigurationArgument = "paper",
    bundle: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Bundle to trade; checks it and its context too.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Gateway port (default: the configuration's).")] = None,
    folder: Annotated[
        Path,
        typer.Option("--sessions", "--folder", metavar="FOLDER", help="Session folder, whose disk must have room."),
    ] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Check gateway, account, contract, data, margin, clock, bundle, disk, stores and calendar.

    The table says what to do about every check that is not ok.

    Exit codes: 0 nothing failed, 1 a check failed.

    \b
    Example:
      rl-intraday doctor live --bundle runs/…/bundle/mes_intraday-…
    """
    from run.trade.safety.doctor import run_doctor

    run_doctor(configuration=configuration, bundle=bundle, port=port, folder=folder, as_json=as_json)


def flatten(
    configuration: ConfigurationArgument,
    scope: Annotated[
        ScopeName,
        typer.Option(
            metavar="SCOPE",
            help="account: every order and position; contract: those in the configured contract; "
            "session: what one session bought and ordered itself.",
        ),
    ] = "account",
    session: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="With --scope session: folder of the session, or of one of its days."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Gateway host (default: the configuration's).")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Gateway port (default: the configuration's).")] = None,
    account: Annotated[
        str | None,
        typer.Option(metavar="ACCOUNT", help="Account number or its end (default: environment's, or the only one)."),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds after which it gives up and prints what is left.")] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Cancel every order and close every position of an account. `--scope` narrows it.

    Closes at the market until the broker shows nothing. Prints what it is going to close, on which account, host and
    port, before it acts. Never sends more than is held, however late the broker's answers are. Needs no trading node:
    it may be running, hanging or dead. If the gateway does not answer or the connection breaks, it tries again until
    the timeout.

    Exit codes: 0 no order and no position, 2 the broker could not be asked, 3 something is left, which is printed.

    \b
    Example:
      rl-intraday flatten live
    """
    from run.trade.safety.flatten import run_flatten

    run_flatten(
        configuration=configuration,
        scope=scope,
        session=session,
        host=host,
        port=port,
        account=account,
        timeout=timeout,
        as_json=as_json,
    )


def unhalt(
    session: SessionArgument,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why the session may trade again; written to its journal.")
    ],
    from_here: Annotated[
        bool, typer.Option("--from-here", help="Count losses and drawdowns from the equity at the next start.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Clear a halt, so that the session trades again at its next start.

    Shows what halted it and when, and asks. The session must not be running. Losses go on counting from the session's
    first equity and the all-time high, so a loss beyond its limit halts again at once; `--from-here` forgets both.

    \b
    Example:
      rl-intraday unhalt sessions/paper/mes_intraday-… --reason "fills checked"
    """
    from run.trade.safety.unhalt import run_unhalt

    run_unhalt(session=session, reason=reason, from_here=from_here, yes=yes, as_json=as_json)

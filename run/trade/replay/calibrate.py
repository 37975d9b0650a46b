"""`rl-intraday calibrate`: costs of fills at the broker, measured from journals, for training."""

from pathlib import Path
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from catalogs.errors import InputError
from catalogs.spreads.estimates import spread_rows
from catalogs.spreads.table import write_spreads
from rl_strategies.live.calibration.calibration import Calibration, Distribution, calibrate
from rl_strategies.live.calibration.execution_log import ExecutionLog, read_execution_log
from rl_strategies.live.calibration.spreads import paid_spreads
from rl_strategies.live.journal.journal import read_journal
from run.console import print_json, print_result, report
from run.day import day_of
from run.trade.session.folder import JOURNAL_FOLDER
from run.trade.session.metadata import METADATA_FILE, read_metadata
from run.train.execution_file import write_execution


def run_calibrate(sessions: list[Path], out: Path | None, spreads: Path | None, minutes: int, as_json: bool) -> None:
    """Measure slippage, latency, fill rate and commission from the journals of live sessions.

    The options are those of the verb; see `run.trade.commands.calibrate`.
    """
    journals = list(dict.fromkeys(journal for session in sessions for journal in journals_of(session)))
    logs = [_read(journal) for journal in journals]
    found = calibrate(logs)
    if spreads is not None:
        _write_spreads(logs, journals, minutes, spreads)
    simulated = sum(is_simulated(journal) for journal in journals)
    if simulated:
        said = f"{simulated} of {len(journals)} sessions were simulated: they measure the simulator's own costs"
        found = msgspec.structs.replace(found, warnings=(*found.warnings, said))
    if out is not None:
        write_execution(found, out)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        _show(found)


def _write_spreads(logs: list[ExecutionLog], journals: list[Path], minutes: int, out: Path) -> None:
    about = [read_metadata(journal.parent) for journal in journals]
    days = [day_of(int(next(iter(log.bars.values())).ts_ns[-1])) for log in logs if log.bars]
    sessions = zip(about, days, strict=True)
    specs = {spec.instrument_id: spec for each, day in sessions for spec in each.instruments(day)}
    paid = {name: spread_rows(buckets) for name, buckets in paid_spreads(logs, specs, minutes).items()}
    write_spreads(out, paid, (f"twice the slippage of live market orders and stops, every {minutes} minutes",))


def journals_of(session: Path) -> list[Path]:
    """Journals of a session's folder or of one of its days, in order of time.

    Raises
    ------
    InputError
        If there is none.
    """
    own = session / JOURNAL_FOLDER
    journals = [own] if own.is_dir() else sorted(session.glob(f"????-??-??/{JOURNAL_FOLDER}"))
    if not journals:
        raise InputError(f"no journal in {session}")
    return journals


def is_simulated(journal: Path) -> bool:
    """Whether a session ran on a simulated gateway, whose clock is that of its bars.

    Raises
    ------
    InputError
        If the session's metadata cannot be read.
    """
    path = journal.parent / METADATA_FILE
    if not path.exists():
        return False
    try:
        return bool(msgspec.json.decode(path.read_bytes(), type=dict[str, Any]).get("clock") == "bars")
    except msgspec.MsgspecError as error:
        raise InputError(f"session metadata {path} cannot be read: {error}") from error


def _read(journal: Path) -> ExecutionLog:
    return read_execution_log(read_journal(journal).rows, str(journal))


def _show(found: Calibration) -> None:
    table = Table(box=SIMPLE_HEAD)
    for heading in ("measured", "count", "mean", "95 % of the mean", "5 %", "median", "95 %"):
        table.add_column(heading, justify="left" if heading == "measured" else "right")
    for kind, slippage in found.slippage.items():
        table.add_row(f"slippage of {kind} orders, ticks", *_cells(slippage.ticks, 2))
    for name, latency in found.latency_ms.items():
        table.add_row(f"{name.replace('_', ' ')}, ms", *_cells(latency, 1))
    print_result(table)
    if found.take_profits is not None:
        rate = found.take_profits
        share = f"{rate.filled} of {rate.touched}, 95 % {rate.low:.0%} to {rate.high:.0%}"
        print_result(f"take profits filled when their price was reached: {share}")
    for instrument, usd in found.commission_usd_per_unit.items():
        print_result(f"commission of {instrument}: {usd:.4f} USD per unit")
    for reason, count in found.left_out.items():
        report(f"{count} {reason}", label="left out:", style="yellow")
    for warning in found.warnings:
        report(warning, label="warning:", style="yellow")
    print_result(f"slippage: {{ticks: {found.setting.ticks}, rounding: drawn}}")


def _cells(sample: Distribution, decimals: int) -> list[str]:
    interval = "" if sample.low is None else f"{sample.low:.{decimals}f} to {sample.high:.{decimals}f}"
    figures = [f"{figure:.{decimals}f}" for figure in (sample.p05, sample.p50, sample.p95)]
    return [str(sample.count), f"{sample.mean:.{decimals}f}", interval, *figures]

"""Harms a live session at random moments, and compares it with the broker after each harm.

`rl-intraday paper` runs as a process of its own against a simulated gateway: with a future, with three shares on one
account, and with a share whose policy reads two others, in turns. One cycle is one harm at a random moment
while the market moves, and the recovery. Counted is what must never happen: orders lost, doubled or orphaned, a
position unprotected for longer than 5 s after the process could know, a session that disagrees with the broker.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from benchmarks.faults.audit import differences, doubled, lost, touched
from benchmarks.faults.bundle import Traded, make_context, make_portfolio, make_traded
from benchmarks.faults.harm import HARMS, Harm, Random
from benchmarks.faults.host import GUARD, LiveHost, hosted
from catalogs.errors import InputError
from run.trade.session_runner import HALTED

CYCLES = len(HARMS)
CYCLES_PER_SESSION = 8
STARTS = tuple(date(2025, 1, 21) + timedelta(days=7 * week + day) for week in range(2) for day in range(3))
RECOVERY_S, AGREEMENT_S = 90.0, 45.0
UNHARMED_BARS = 800
KINDS = (("future", make_traded), ("portfolio", make_portfolio), ("context", make_context))
MOMENTS = ("anywhere", "holding", "in_flight")


@dataclass
class Cycle:
    """Outcome of one harm.

    Attributes
    ----------
    harm, moment : str
    recovery_s : float or None
        Seconds from the end of the harm until the session agreed with the broker again; None if it never did.
    differences : list of str
        Differences between session and broker that remained some seconds later.
    ended : str
        How the process ended by itself; empty if it did not.
    """

    harm: str
    moment: str
    recovery_s: float | None = None
    differences: list[str] = field(default_factory=list)
    ended: str = ""


@dataclass
class Session:
    """Outcome of one session.

    Attributes
    ----------
    cycles : list of Cycle
    lost, doubled, touched, flatten_failures : list of str
    violations : list of (str, str)
        Violations seen by `benchmarks.faults.invariants.InvariantMonitor`.
    unsent : int
        Number of orders that a kill kept from being sent.
    longest_unprotected_s : float
    unprotected_s : float
        Seconds without a complete stop at the broker, also while the process was dead, frozen or cut off.
    orders, executions : int
        Numbers at the broker.
    latencies_us, process_latencies_us : list of float
        Latencies from bar to order, measured at the gateway and in the process, microseconds.
    """

    cycles: list[Cycle] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)
    flatten_failures: list[str] = field(default_factory=list)
    violations: list[tuple[str, str]] = field(default_factory=list)
    unsent: int = 0
    longest_unprotected_s: float = 0.0
    unprotected_s: float = 0.0
    orders: int = 0
    executions: int = 0
    latencies_us: list[float] = field(default_factory=list)
    process_latencies_us: list[float] = field(default_factory=list)


def measure(seed: int, cycles: int = CYCLES, harms: str = "") -> dict[str, float]:
    """Figures of a campaign; problems are printed to standard error.

    Parameters
    ----------
    seed : int
        Seed of bars, network, order of harms and moments. Two campaigns of one seed do the same harms at the same
        bars, but not at the same microsecond: threads and sockets keep their own time.
    cycles : int
    harms : str
        Names of harms with commas between, the only ones to do; empty for all.

    Raises
    ------
    InputError
        If there is no such harm.
    """
    chosen = chosen_harms(harms)
    with tempfile.TemporaryDirectory(prefix="live_faults-") as folder:
        sessions = -(-cycles // CYCLES_PER_SESSION)
        kinds = [make(Path(folder) / name, seed) for name, make in KINDS[:sessions]]
        return run_campaign(Path(folder), kinds, seed, cycles, chosen)


def chosen_harms(names: str) -> tuple[Harm, ...]:
    """Harms of a list of names with commas between; all for an empty one.

    Raises
    ------
    InputError
        If there is no such harm.
    """
    by_name = {harm.name: harm for harm in HARMS}
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in by_name:
            raise InputError(f"harm must be one of {', '.join(by_name)}, was {name!r}")
    return tuple(by_name[name] for name in wanted) or HARMS


def run_campaign(
    folder: Path, kinds: Sequence[Traded], seed: int, cycles: int, harms: Sequence[Harm] = HARMS
) -> dict[str, float]:
    """Run a campaign of sessions in ``folder``, as many at once as there are cores; ``kinds`` take turns."""
    began = time.monotonic()
    unharmed = _latencies_of_an_unharmed_session(kinds[0], folder / "unharmed")
    plans = [
        (kinds[number % len(kinds)], folder / f"session-{number}", (seed, number), names)
        for number, names in enumerate(_split(_order_of_harms(seed, cycles, harms)))
    ]
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    workers = min(cores, len(plans))  # more of them than cores, and some are late without being wrong
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        sessions = list(pool.map(_run_session, *zip(*plans, strict=True)))
    return _figures(sessions, harms, time.monotonic() - began) | _spread("unharmed_bar_to_wire_us", unharmed)


def _latencies_of_an_unharmed_session(traded: Traded, folder: Path) -> list[float]:
    """Latencies from bar to order at the gateway, with no other session running."""
    with hosted(traded, folder, traded.window(STARTS[0]), traded.more, contract=traded.contract) as host:
        if host.begin():
            for _ in range(UNHARMED_BARS):
                host.step(5, pause_s=0.01)
        return host.latencies_us


def _order_of_harms(seed: int, cycles: int, harms: Sequence[Harm]) -> list[str]:
    random = np.random.default_rng(seed)
    rounds = -(-cycles // len(harms))
    return [harms[int(k)].name for _ in range(rounds) for k in random.permutation(len(harms))][:cycles]


def _split(harms: list[str]) -> list[list[str]]:
    return [harms[i : i + CYCLES_PER_SESSION] for i in range(0, len(harms), CYCLES_PER_SESSION)]


def _run_session(traded: Traded, folder: Path, seed: tuple[int, int], harms: Sequence[str]) -> Session:
    random = np.random.default_rng(seed)
    result = Session()
    start = STARTS[int(random.integers(len(STARTS)))]
    days = traded.window(start)
    with hosted(traded, folder, days, traded.more, contract=traded.contract, guard=GUARD) as host:
        host.gateway.step(int(random.integers(0, traded.most_skipped)))
        if not _begins(host, result):
            return result
        killed_ns: list[int] = []
        for harm in chosen_harms(",".join(harms)):
            cycle = _run_cycle(host, harm, random, killed_ns)
            result.cycles.append(cycle)
            _print_cycle(folder.name, cycle)
            if host.is_over or not _is_up_again(host, killed_ns):
                break
        result.touched = touched(host)  # a flatten of the account at the end cancels everybody's
        _end(host, random, result, killed_ns)
        result.lost, result.unsent = lost(host, killed_ns)
        result.doubled = doubled(host)
        result.violations = host.invariants.violations
        result.longest_unprotected_s = host.invariants.longest_unprotected_s
        result.unprotected_s = host.invariants.unprotected_s
        result.orders, result.executions = len(host.broker.orders), len(host.broker.trades)
        result.latencies_us = host.latencies_us
        measured = [state["latency_ns"] / 1e3 for state in host.tail.states if state["what"] == "latency"]
        result.process_latencies_us = measured
    _print_problems(folder.name, result)
    return result


def _run_cycle(host: LiveHost, harm: Harm, random: Random, killed_ns: list[int]) -> Cycle:
    cycle = Cycle(harm.name, MOMENTS[int(random.choice(len(MOMENTS), p=(0.2, 0.4, 0.4)))])
    _await_moment(host, cycle.moment, random)
    began_ns = time.time_ns()
    harm.act(host, random)
    over = time.monotonic()
    if not host.is_alive():
        killed_ns.append(began_ns)
        killed_ns.append(time.time_ns())
        if not host.begin():
            cycle.ended = _last_line(host)
            return cycle
    since_ns = began_ns if harm.interrupts else 0
    is_back = host.pass_time(lambda: not host.is_alive() or (host.is_subscribed() and host.knows(since_ns)), RECOVERY_S)
    if not host.is_alive():
        cycle.ended = _last_line(host)
        return cycle
    if not is_back:
        host.kill()  # as a supervisor would do
        killed_ns.append(time.time_ns())
        if not host.begin():
            cycle.ended = _last_line(host)
        return cycle
    cycle.recovery_s = time.monotonic() - over
    host.step(int(random.integers(5, 25)))
    if not host.pass_time(lambda: not differences(host), AGREEMENT_S, moving=False, pause_s=0.1):
        cycle.differences = differences(host)
    return cycle


def _begins(host: LiveHost, result: Session) -> bool:
    for _ in range(3):
        if host.begin():
            return True
        result.violations.append(("not_started", _last_line(host)))
        _print_problems(host.folder.name, result)
        host.kill()
    return False


def _is_up_again(host: LiveHost, killed_ns: list[int]) -> bool:
    """Act as a supervisor: start the session again if it ended, unless it is halted."""
    if host.is_alive():
        return True
    assert host.process is not None
    if host.process.returncode == HALTED:
        return False
    killed_ns.append(time.time_ns())
    return any(host.begin() for _ in range(3))


def _await_moment(host: LiveHost, moment: str, random: Random) -> None:
    host.step(int(random.integers(5, 30)))
    if moment == "holding":
        host.step_until(lambda: host.units != 0, 200)
        host.step(int(random.integers(0, 25)))
    elif moment == "in_flight":
        orders = len(host.broker.orders)
        host.step_until(lambda: len(host.broker.orders) > orders, 250)


def _end(host: LiveHost, random: Random, result: Session, killed_ns: list[int]) -> None:
    """Flatten with the process alive, hanging or dead, or end it with SIGTERM."""
    how = ("alive", "hanging", "dead", "sigterm")[int(random.integers(4))]
    host.tail.poll()
    if how == "sigterm" and host.is_alive():
        code = host.end()
        if code != 0:
            result.flatten_failures.append(f"SIGTERM ended with {code}: {_last_line(host)}")
    else:
        if how == "hanging" and host.is_alive():
            host.stop()
        elif how == "dead":
            host.kill()
        killed_ns.append(time.time_ns())
        answer = host.flatten()
        if answer["exit_code"] != 0:
            result.flatten_failures.append(f"{how}: {answer}")
    working = host.gateway.call(lambda _: len(host.broker.working()))
    if host.units or working:
        result.flatten_failures.append(f"{how}: {host.units:+d} held and {working} orders after the end")
    host.tail.poll()
    host.kill()


def _last_line(host: LiveHost) -> str:
    code = host.process.poll() if host.process is not None else None
    lines = host.printed.read_text(encoding="utf-8", errors="replace").splitlines()
    answers = [line for line in lines if line.startswith(('  "reason"', "error"))]
    return f"exit {code}: {answers[-1] if answers else (lines or [''])[-1]}"[:400]


def _print_cycle(session: str, cycle: Cycle) -> None:
    recovery = f"{cycle.recovery_s:5.1f} s" if cycle.recovery_s is not None else "NEVER"
    wrong = "; ".join([*cycle.differences[:3], cycle.ended])
    print(f"{session:12s} {cycle.harm:24s} {cycle.moment:10s} {recovery} {wrong}", file=sys.stderr, flush=True)


def _print_problems(session: str, result: Session) -> None:
    kinds = {
        "lost": result.lost,
        "doubled": result.doubled,
        "touched": result.touched,
        "flatten": result.flatten_failures,
    }
    for kind, found in [*kinds.items(), ("seen", [f"{kind}: {seen}" for kind, seen in result.violations])]:
        for problem in found:
            print(f"{session:12s} {kind} {problem}", file=sys.stderr, flush=True)


def _figures(sessions: Sequence[Session], harms: Sequence[Harm], seconds: float) -> dict[str, float]:
    cycles = [cycle for session in sessions for cycle in session.cycles]
    seen = Counter(kind for session in sessions for kind, _ in session.violations)
    bad = [cycle for cycle in cycles if cycle.differences]
    figures: dict[str, float] = {
        "cycles": len(cycles),
        "lost": sum(len(session.lost) for session in sessions),
        "doubled": sum(len(session.doubled) for session in sessions) + seen["doubled"],
        "orphaned": seen["orphaned"],
        "foreign_touched": sum(len(session.touched) for session in sessions),
        "unprotected_over_5s": seen["unprotected"],
        "state_mismatches": len(bad),
        "flatten_failures": sum(len(session.flatten_failures) for session in sessions),
        "not_recovered": sum(cycle.recovery_s is None and not cycle.ended for cycle in cycles),
        "ended_by_itself": sum(bool(cycle.ended) for cycle in cycles) + seen["not_started"],
        "kept_from_leaving_by_a_kill": sum(session.unsent for session in sessions),
        "unprotected_s": sum(session.unprotected_s for session in sessions),
        "longest_unprotected_s": max(session.longest_unprotected_s for session in sessions),
        "sessions": len(sessions),
        "orders": sum(session.orders for session in sessions),
        "executions": sum(session.executions for session in sessions),
        "seconds": seconds,
    }
    figures |= _spread("recovery_s", [cycle.recovery_s for cycle in cycles if cycle.recovery_s is not None])
    figures |= _spread("bar_to_wire_us", [us for session in sessions for us in session.latencies_us])
    figures |= _spread("bar_to_wire_in_process_us", [us for session in sessions for us in session.process_latencies_us])
    for harm in harms:
        mine = [cycle for cycle in cycles if cycle.harm == harm.name]
        figures[f"{harm.name}.cycles"] = len(mine)
        figures |= _spread(f"{harm.name}.recovery_s", [each.recovery_s for each in mine if each.recovery_s is not None])
    return figures


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    p50, p99 = np.percentile(np.array(values), [50, 99])
    return {f"{name}.p50": float(p50), f"{name}.p99": float(p99)}

"""Harms of a campaign: faults of the simulated gateway, signals to the session's process, and both together."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.faults.host import LiveHost
from benchmarks.faults.invariants import TRADING_CLIENT

Random = np.random.Generator


@dataclass(frozen=True)
class Harm:
    """One kind of harm.

    Attributes
    ----------
    name : str
    act : callable
        Begins the harm, lets the market move, and ends it.
    interrupts : bool
        Whether the session must reconcile with the broker afterwards.
    """

    name: str
    act: Callable[[LiveHost, Random], None]
    interrupts: bool = False


def kill(host: LiveHost, random: Random) -> None:
    """SIGKILL; the market goes on without the process, which is then started again."""
    host.kill()
    host.step(int(random.integers(0, 60)))


def drop(host: LiveHost, random: Random) -> None:
    """The connection is closed."""
    host.fault("drop")
    host.step(int(random.integers(0, 30)))


def reset(host: LiveHost, random: Random) -> None:
    """The connection breaks."""
    host.fault("reset")
    host.step(int(random.integers(0, 30)))


def restart(host: LiveHost, random: Random) -> None:
    """The gateway restarts, which takes a few seconds."""
    away_ms = int(random.integers(200, 4000))
    host.fault("restart", away_ms)
    host.pass_time(lambda: False, away_ms / 1000)


def silence(host: LiveHost, random: Random) -> None:
    """No message passes for a few seconds."""
    host.fault("silence", 1)
    host.pass_time(lambda: False, float(random.uniform(0.5, 8.0)))
    host.fault("silence", 0)


def half_open(host: LiveHost, random: Random) -> None:
    """The gateway has dropped the client, which still takes the connection for open."""
    host.fault("half_open")
    host.step(int(random.integers(0, 30)))


def servers_lost(host: LiveHost, random: Random) -> None:
    """1100, then 1102 or 1101."""
    host.fault("servers_lost")
    host.pass_time(lambda: False, float(random.uniform(0.3, 6.0)))
    host.fault("servers_back", int(random.integers(0, 2)))


def data_farm(host: LiveHost, random: Random) -> None:
    """2103, then 2104."""
    host.fault("data_farm", 0)
    host.step(int(random.integers(5, 60)))
    host.fault("data_farm", 1)
    host.step(10)


def history_farm(host: LiveHost, random: Random) -> None:
    """2105 and a lost connection, then 2106: missing bars cannot be fetched for a while."""
    host.fault("history_farm", 0)
    host.fault("drop")
    host.pass_time(lambda: False, float(random.uniform(6.0, 12.0)))
    host.fault("history_farm", 1)


def no_history(host: LiveHost, random: Random) -> None:
    """162 on every request for bars after a lost connection."""
    host.fault("no_history", 1)
    host.fault("drop")
    host.pass_time(lambda: False, float(random.uniform(6.0, 12.0)))
    host.fault("no_history", 0)


def no_quotes(host: LiveHost, random: Random) -> None:
    """10197 on requests for quotes, which a session does not need."""
    host.fault("no_quotes", 1)
    host.step(int(random.integers(10, 40)))
    host.fault("no_quotes", 0)


def halt(host: LiveHost, random: Random) -> None:
    """The exchange halts: bars stop, orders wait."""
    host.fault("halt", 1)
    host.pass_time(lambda: False, float(random.uniform(0.5, 8.0)))
    host.fault("halt", 0)
    host.step(5)


def id_in_use(host: LiveHost, random: Random) -> None:
    """326 for a few seconds after a lost connection."""
    host.fault("id_in_use", TRADING_CLIENT)
    host.fault("drop")
    host.pass_time(lambda: False, float(random.uniform(2.0, 10.0)))
    host.fault("id_free", TRADING_CLIENT)


def reject_order(host: LiveHost, random: Random) -> None:
    """The next order of any kind is refused."""
    for _ in range(int(random.integers(1, 4))):
        host.fault("reject_order")
        host.step_until(lambda: host.broker.refuse_next is None, 250)
        host.gateway.call(lambda server: setattr(server.gateway.broker, "refuse_next", None))


def reject_stop(host: LiveHost, random: Random) -> None:
    """The stop of a new entry is refused."""
    host.refuse_kind("STP")
    host.step_until(lambda: not host.refused_kind, 400)
    host.refuse_kind("")


def reject_take_profit(host: LiveHost, random: Random) -> None:
    """The take profit of a new entry is refused."""
    host.refuse_kind("LMT")
    host.step_until(lambda: not host.refused_kind, 400)
    host.refuse_kind("")


def partial_fills(host: LiveHost, random: Random) -> None:
    """Orders fill unit by unit, price by price."""
    host.fault("partial_fills", 1)
    host.step(int(random.integers(50, 200)))
    host.fault("partial_fills", 0)
    host.step(5)


def late_fills(host: LiveHost, random: Random) -> None:
    """The broker reports fills seconds late."""
    host.fault("late_fills", 1)
    host.step_until(lambda: bool(host.gateway.gateway.unreported), 150)
    host.pass_time(lambda: False, float(random.uniform(0.1, 5.0)))
    host.fault("late_fills", 0)


def duplicate_bar(host: LiveHost, random: Random) -> None:
    """Bars arrive two or three times."""
    for _ in range(int(random.integers(3, 12))):
        host.fault("duplicate_bar", int(random.integers(1, 4)))
        host.step(int(random.integers(1, 8)))


def stale_bar(host: LiveHost, random: Random) -> None:
    """Old bars arrive as if live."""
    for _ in range(int(random.integers(3, 12))):
        host.fault("stale_bar", int(random.integers(1, 9)))
        host.step(int(random.integers(1, 8)))


def end_on_buffer(host: LiveHost, random: Random) -> None:
    """Bursts of messages that IB's client drops."""
    for _ in range(int(random.integers(1, 4))):
        host.fault("end_on_buffer")
        host.step(int(random.integers(5, 20)))


def corrupt(host: LiveHost, random: Random) -> None:
    """Messages that cannot be read."""
    for _ in range(int(random.integers(1, 4))):
        host.fault("corrupt")
        host.step(int(random.integers(1, 20)))


def hang(host: LiveHost, random: Random) -> None:
    """SIGSTOP, then SIGCONT."""
    host.stop()
    host.pass_time(lambda: False, float(random.uniform(0.5, 8.0)))
    host.go_on()


def freeze(host: LiveHost, random: Random) -> None:
    """SIGSTOP for longer than its guard takes for life; then SIGCONT, if the guard has not killed it."""
    host.stop()
    host.pass_time(lambda: not host.is_alive(), float(random.uniform(5.0, 15.0)))
    if host.is_alive():
        host.go_on()
    else:
        host.kill()


def kill_guard(host: LiveHost, random: Random) -> None:
    """SIGKILL to the guard, which the session starts again."""
    host.kill_guards()
    host.step(int(random.integers(5, 60)))


def kill_both(host: LiveHost, random: Random) -> None:
    """SIGKILL to guard and session, in either order."""
    acts = [host.kill_guards, host.kill]
    for act in random.permutation(2):
        acts[int(act)]()
    host.step(int(random.integers(0, 60)))


def kill_with_late_fills(host: LiveHost, random: Random) -> None:
    """Killed while a fill has not been reported."""
    host.fault("late_fills", 1)
    host.step_until(lambda: bool(host.gateway.gateway.unreported), 150)
    host.kill()
    host.step(int(random.integers(0, 20)))
    host.fault("late_fills", 0)


def drop_with_partial_fills(host: LiveHost, random: Random) -> None:
    """The connection ends while orders fill unit by unit."""
    host.fault("partial_fills", 1)
    trades = len(host.broker.trades)
    host.step_until(lambda: len(host.broker.trades) > trades, 200)
    host.fault("reset")
    host.step(int(random.integers(0, 30)))
    host.fault("partial_fills", 0)


def kill_with_partial_fills(host: LiveHost, random: Random) -> None:
    """Killed while an order is half filled."""
    host.fault("partial_fills", 1)
    trades = len(host.broker.trades)
    host.step_until(lambda: len(host.broker.trades) > trades, 200)
    host.kill()
    host.step(int(random.integers(0, 30)))
    host.fault("partial_fills", 0)


# Values by name of what a gateway may do to a session that trades on; each is one harm of the campaign's draw.
ADVERSITIES: dict[str, tuple[int, ...]] = {
    "late_answers": (50, 500, 2000), "stale_positions": (300, 5000), "status_first": (1,),
    "commission_pending": (1000,), "commission_unset": (1000,), "correct_price": (1, -1),
    "inactive_order": (1,), "inactive_stop": (1,), "dropped_order": (1,), "dropped_cancel": (1,),
    "modify_error": (201, 10326), "cancel_error": (10148, 161), "child_error": (201,),
    "exit_errors": (201,), "all_errors": (201, 460), "children": (0, 1), "groups": (1, 2, 3), "group_change": (1,),
    "global_cancel": (1, 3), "next_ids": (1,), "ids_above_shown": (1,), "fill_pieces": (3,), "drop_on_fill": (0, 1),
    "hand_order": (1,), "hand_order_elsewhere": (1,), "hand_trade_elsewhere": (100,), "client_order": (1,),
    "fraction": (105,), "euro_position": (100,), "foreign_told": (1,), "euro_base": (1,), "second_account": (0,),
    "clock_offset": (1200, -1200), "order_error": (201, 110, 399), "market_error": (201, 203, 10349),
    "limit_error": (201,), "stop_error": (201, 404),
    "late_position": (5000,), "late_open_order": (1000,), "late_order_status": (1000,), "late_execution": (1000,),
    "late_commission": (5000,), "late_next_id": (500,), "late_accounts": (500,), "late_error": (1000,),
    "lost_position": (50,), "lost_open_order": (50,), "lost_order_status": (50,), "lost_execution": (50, 100),
    "lost_commission": (100,), "lost_next_id": (50,), "lost_accounts": (50,), "lost_error": (50,),
    "unanswered_position": (50,), "unanswered_open_order": (50,), "unanswered_order_status": (50,),
    "unanswered_execution": (50,), "unanswered_commission": (50,), "unanswered_next_id": (50,),
    "unanswered_accounts": (50,), "unanswered_error": (50,),
    "repeated_position": (2,), "repeated_open_order": (2,), "repeated_order_status": (2,), "repeated_execution": (2,),
    "repeated_commission": (2,), "repeated_next_id": (2,), "repeated_accounts": (2,), "repeated_error": (2,),
}  # fmt: skip
# These leave a session that only closes, or none: tests/live/test_order_path.py and test_contract_life.py play them.
ENDING = ("hand_trade", "client_trade", "expire", "correct_units", "correct_unseen", "pending_cancel", "adversary")


def adversity(host: LiveHost, random: Random) -> None:
    """One thing that a gateway may do wrong, for a while; then it is friendly."""
    name = str(random.choice(list(ADVERSITIES)))
    host.fault(name, int(random.choice(ADVERSITIES[name])))
    host.step(int(random.integers(50, 200)))
    host.fault("friendly")


def adversities(host: LiveHost, random: Random) -> None:
    """Three of them at once."""
    for name in random.choice(list(ADVERSITIES), 3, replace=False):
        host.fault(str(name), int(random.choice(ADVERSITIES[str(name)])))
    host.step(int(random.integers(50, 200)))
    host.fault("friendly")


# These are of the guard, which only a campaign's sessions have: tests/live/test_guard_session.py.
OF_GUARD = ("freeze", "kill_guard", "kill_both")
HARMS = (
    Harm("kill", kill, interrupts=True),
    Harm("drop", drop, interrupts=True),
    Harm("reset", reset, interrupts=True),
    Harm("restart", restart, interrupts=True),
    Harm("silence", silence),
    Harm("half_open", half_open, interrupts=True),
    Harm("servers_lost", servers_lost, interrupts=True),
    Harm("data_farm", data_farm),
    Harm("history_farm", history_farm, interrupts=True),
    Harm("no_history", no_history, interrupts=True),
    Harm("no_quotes", no_quotes),
    Harm("halt", halt),
    Harm("id_in_use", id_in_use, interrupts=True),
    Harm("reject_order", reject_order),
    Harm("reject_stop", reject_stop),
    Harm("reject_target", reject_take_profit),
    Harm("partial_fills", partial_fills),
    Harm("late_fills", late_fills),
    Harm("duplicate_bar", duplicate_bar),
    Harm("stale_bar", stale_bar),
    Harm("end_on_buffer", end_on_buffer),
    Harm("corrupt", corrupt, interrupts=True),
    Harm("hang", hang),
    Harm("freeze", freeze),
    Harm("kill_guard", kill_guard),
    Harm("kill_both", kill_both, interrupts=True),
    Harm("kill_with_late_fills", kill_with_late_fills, interrupts=True),
    Harm("drop_with_partial_fills", drop_with_partial_fills, interrupts=True),
    Harm("kill_with_partial_fills", kill_with_partial_fills, interrupts=True),
    Harm("adversity", adversity),
    Harm("adversities", adversities),
)

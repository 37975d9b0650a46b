"""The judge of the fault campaign: what it counts, and what it does not."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.ibkr.simulator.broker.rules import BrokerRules
from adapters.ibkr.simulator.server import GatewayServer
from benchmarks.faults.audit import UNSENT_S, _elsewhere_cents, doubled, lost, touched
from benchmarks.faults.bundle import Traded
from benchmarks.faults.harm import HARMS
from benchmarks.faults.invariants import InvariantMonitor, Invariants, _Since
from benchmarks.faults.journal import JournalTail
from benchmarks.live_faults import _order_of_harms, chosen_harms
from catalogs.errors import InputError
from rl_strategies.live.broker.link import NS
from rl_strategies.live.journal.journal import Journal
from rl_strategies.live.journal.session_journal import FillRow, OrderRow, SessionJournal

SENT_NS = 1_767_623_400 * NS


def order(name: str, role: str, units: int = 3) -> OrderRow:
    return OrderRow(name, "MESH5.XCME", role, 1, units, "market", 0, "entry", "", SENT_NS, SENT_NS)


def test_what_is_wrong_counts_once_and_only_as_long_as_it_could_be_known() -> None:
    naked = _Since(5.0)
    assert not naked.update(True, None, 0.0)
    assert not naked.update(True, 10.0, 15.0)  # known for five seconds of fifteen
    assert naked.update(True, 10.0, 15.1)
    assert not naked.update(True, 10.0, 16.0)
    assert naked.longest_s == 6.0
    assert not naked.update(False, 10.0, 17.0)
    assert not naked.update(True, 10.0, 18.0)
    assert naked.update(True, 10.0, 23.1)


def fill(name: str, units: int) -> FillRow:
    return FillRow("in", name, "entry", "market", 0, "entry", units, 100, 0, 100, SENT_NS, SENT_NS)


def broker_with(units: int, *resting: tuple[str, int, int]) -> Any:
    orders = [
        SimpleNamespace(
            perm_id=number, order_id=number, client_id=1, side=side, remaining=left, filled=0,
            why_held="", is_working=True, terms=SimpleNamespace(con_id=1),
            request=SimpleNamespace(orderType=kind, parentId=0, ocaGroup="", ocaType=0),
        )
        for number, (kind, side, left) in enumerate(resting)
    ]  # fmt: skip
    broker = SimpleNamespace(
        orders={(1, order.perm_id): order for order in orders},
        working=lambda client_id: orders,
        trades=[trade_of("in", units), trade_of("by hand", 7, client_id=0)],
        rules=BrokerRules(),
        halted=False,
    )
    session = SimpleNamespace(client_id=1)
    gateway = SimpleNamespace(broker=broker, servers_lost=False, reports_held=False, sessions=[session])
    return SimpleNamespace(gateway=gateway, connections=[SimpleNamespace(session=session, silent=False)])


def trade_of(ref: str, units: int, client_id: int = 1, con_id: int = 1) -> Any:
    execution = SimpleNamespace(orderRef=f"{ref}:7")
    return SimpleNamespace(
        client_id=client_id, units=units, con_id=con_id, details=SimpleNamespace(execution=execution)
    )


@pytest.mark.parametrize(
    ("units", "resting", "seen"),
    [
        (3, [("STP", -1, 3), ("LMT", -1, 3)], []),
        (-3, [("STP", 1, 2)], ["unprotected"]),
        (3, [("STP", 1, 3)], ["unprotected"]),  # a stop that would buy more
        (3, [("LMT", -1, 3)], ["unprotected"]),
        (0, [("LMT", -1, 3)], ["orphaned"]),
        (0, [("MKT", 1, 3)], []),
        (1, [("STP", -1, 3)], ["orphaned"]),
        (6, [("STP", -1, 6)], ["doubled"]),
    ],
)
def test_each_violation_is_seen(
    units: int, resting: list[tuple[str, int, int]], seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 11.0])
    monkeypatch.setattr("benchmarks.faults.invariants.time.monotonic", lambda: next(clock))
    monitor = InvariantMonitor(3, 1, lambda: True)
    server: GatewayServer = broker_with(units, *resting)
    monitor.check(server)
    monitor.check(server)
    assert [kind for kind, _ in monitor.violations] == seen


def host_of(decided: list[OrderRow], arrived: list[str], trades: list[tuple[str, int]]) -> Any:
    told = lambda ref: SimpleNamespace(orderRef=f"{ref}:7")  # noqa: E731
    broker = SimpleNamespace(
        orders={n: SimpleNamespace(request=told(ref), client_id=1) for n, ref in enumerate(arrived)},
        trades=[trade_of(ref, units) for ref, units in trades],
    )
    tail = SimpleNamespace(orders={row.client_order_id: row for row in decided}, refused={"refused"}, poll=lambda: None)
    return SimpleNamespace(
        broker=broker,
        tail=tail,
        con_ids={"MESH5.XCME": 1, "MNQH5.XCME": 2},
        gateway=SimpleNamespace(call=lambda act: act(None)),
    )


def test_an_order_that_never_arrived_is_lost_unless_that_is_known() -> None:
    host = host_of([order("in", "entry"), order("refused", "exit"), order("gone", "exit")], ["in"], [])
    (said,), unsent = lost(host, [])
    assert said.startswith("exit gone")
    assert unsent == 0
    assert lost(host, [SENT_NS + NS]) == ([], 1)
    assert lost(host, [SENT_NS + int(UNSENT_S + 1) * NS])[1] == 0


def test_what_others_earn_and_pay_in_other_contracts_is_not_the_sessions() -> None:
    report = SimpleNamespace(realizedPNL=3.5, commissionAndFees=1.0)
    trades = [SimpleNamespace(con_id=con_id, commission=report) for con_id in (1, 265598)]
    broker: Any = SimpleNamespace(contracts={1: None}, trades=trades)
    assert _elsewhere_cents(broker) == 250


def test_an_order_of_others_that_is_cancelled_is_seen() -> None:
    def resting(client_id: int, ref: str, status: str) -> Any:
        return SimpleNamespace(client_id=client_id, order_id=4, status=status, request=SimpleNamespace(orderRef=ref))

    host = host_of([], [], [])
    others = [resting(0, "", "Submitted"), resting(7, "", "Filled")]
    own = [resting(1, "O-1:4", "Cancelled"), resting(71, "flatten-3fa9c1d2-1", "Cancelled")]
    host.broker.orders = dict(enumerate(others + own))
    assert touched(host) == []
    host.broker.orders[9] = resting(0, "", "Cancelled")
    assert touched(host) == ["order 4 of client 0 was cancelled"]


def test_two_closes_of_one_position_are_seen() -> None:
    decided = [order("in", "entry"), order("stop", "stop"), order("out", "exit"), order("more", "entry")]
    names = [row.client_order_id for row in decided]
    whole = [("in", 1), ("in", 2), ("stop", -3)]
    assert doubled(host_of(decided, names, whole)) == []
    assert doubled(host_of(decided, names, [*whole, ("out", -3)])) == ["exit of -3 while +0 were held"]
    assert doubled(host_of(decided, names, [("in", 3), ("more", 3)])) == ["+3 entered while +3 were held"]
    assert doubled(host_of(decided, names, [("in", 3), ("by hand", -4)])) == ["foreign of -4 while +3 were held"]
    others = host_of(decided, names, whole)
    others.broker.trades.append(trade_of("by hand", 5, client_id=0))  # not the session's to count
    assert doubled(others) == []
    assert doubled(host_of(decided, [*names, "in"], whole)) == ["order in reached the broker 2 times"]
    assert doubled(host_of(decided[1:], names, [])) == ["order in was never decided"]


def test_every_contract_is_judged_by_itself() -> None:
    decided = [order("in", "entry"), order("other", "entry"), order("out", "exit")]
    host = host_of(decided, ["in", "other", "out"], [("in", 3)])
    host.broker.trades += [trade_of("other", 3, con_id=2), trade_of("out", -3, con_id=2)]
    assert doubled(host) == [], "an entry in one while the other is held is none while it is held itself"
    host.broker.trades.append(trade_of("out", -3, con_id=2))
    assert doubled(host) == ["exit of -3 while +0 were held"]


def test_a_stop_in_one_contract_protects_nothing_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 6.0, 6.0])
    monkeypatch.setattr("benchmarks.faults.invariants.time.monotonic", lambda: next(clock))
    server = broker_with(3, ("STP", -1, 3))
    server.gateway.broker.trades.append(trade_of("other", 2, con_id=2))
    both = Invariants(3, [1, 2], lambda: True)
    both.check(server)
    both.check(server)
    assert [kind for kind, _ in both.violations] == ["unprotected"]
    assert both.violations[0][1].startswith("+2 held")
    assert (both.unprotected_s, both.longest_unprotected_s) == (6.0, 6.0)


def test_fills_of_a_journal_are_known_by_their_instrument(tmp_path: Path) -> None:
    journal = SessionJournal(Journal(tmp_path / "journal", durable=False))
    for number, name in enumerate(("SPY.EQUS", "AAPL.EQUS", "SPY.EQUS")):
        journal.fill(name, fill(f"x{number}", number + 1))
    journal.flush()
    tail = JournalTail(tmp_path / "journal")
    tail.poll()
    held = {name: sum(row.units for row in rows.values()) for name, rows in tail.traded.items()}
    assert held == {"SPY.EQUS": 4, "AAPL.EQUS": 2}
    journal.close()
    late = JournalTail(tmp_path / "journal")
    late.poll()
    assert late.fills == tail.fills, "also where nobody looked before its end"


def test_a_campaigns_last_day_is_a_trading_day(tmp_path: Path) -> None:
    assert Traded(tmp_path, tmp_path).window(date(2025, 1, 21)) == (date(2025, 1, 21), date(2025, 1, 22))
    long = Traded(tmp_path, tmp_path, days=10)
    assert [long.window(start)[1] for start in (date(2025, 1, 22), date(2025, 1, 30))] == [
        date(2025, 1, 31), date(2025, 2, 7),
    ]  # fmt: skip


def test_a_journal_is_followed_while_it_is_written_and_over_the_end_of_a_life(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = SessionJournal(Journal(folder, durable=False))
    tail = JournalTail(folder)
    journal.order(order("one", "entry"))
    journal.flush()
    tail.poll()
    assert set(tail.orders) == {"one"}
    journal.state(5, "order", "", "rejected", "one: too much")
    journal.state(7, "broker", "unknown", "known")
    tail.poll()
    assert not tail.is_known  # not flushed yet
    journal.flush()
    tail.poll()
    assert (tail.refused, tail.is_known, tail.known_ns) == ({"one"}, True, 7)
    journal.order(order("two", "exit"))
    journal.close()
    second = SessionJournal(Journal(folder, durable=False))
    second.order(order("three", "entry"))
    second.flush()
    tail.poll()
    assert set(tail.orders) == {"one", "two", "three"}
    second.order(order("four", "exit"))
    second.close()
    tail.poll()
    assert set(tail.orders) == {"one", "two", "three", "four"}


def test_every_harm_comes_before_one_comes_again() -> None:
    more = len(HARMS) + 2
    first = _order_of_harms(3, more, HARMS)
    assert first == _order_of_harms(3, more, HARMS)
    assert first != _order_of_harms(4, more, HARMS)
    assert sorted(first[: len(HARMS)]) == sorted(harm.name for harm in HARMS)


def test_harms_are_chosen_by_their_names() -> None:
    assert chosen_harms("") == HARMS
    chosen = chosen_harms("freeze, kill")
    assert [harm.name for harm in chosen] == ["freeze", "kill"]
    assert sorted(_order_of_harms(3, 4, chosen)) == ["freeze", "freeze", "kill", "kill"]
    with pytest.raises(InputError, match=r"^harm must be one of kill, drop, .*, was 'bad luck'$"):
        chosen_harms("kill,bad luck")

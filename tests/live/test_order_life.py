"""The order life of one position, in any interleaving: the real execution and reconciler against a scripted broker.

The broker is the truth. What it is sent waits until it takes it; what it says waits until it is delivered, in any
order, twice or never: both messages of a fill may be lost while the connection stays up, and nobody can know of it
until the broker is asked again. A cancel may never end its order. Whatever happens: no more is held than the policy
wants, nothing closed twice, nothing of others traded, and once broker and session have heard of each other, what is
held has its stop.
"""

import asyncio
import copy
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from nautilus_trader.model.enums import OrderSide

from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.execution.reconciler import Reconciler
from rl_strategies.live.journal.rebuild import book_fill
from rl_strategies.live.journal.session_journal import FillRow
from tests.live.bars import ListLink
from tests.live.stub_host import CLOSE_TICKS, FLAT, KINDS, LONG, NS, SHORT, StubHost, executed, new_core

UNITS = 3
ENDED = ("Filled", "Cancelled", "Inactive")


@dataclass
class Order:
    """An order at the broker."""

    name: str
    kind: str
    side: int
    size: int
    price: float
    group: str
    parent: str
    filled: int = 0
    status: str = "Submitted"
    is_entry: bool = False

    @property
    def left(self) -> int:
        return 0 if self.status in ENDED else self.size - self.filled


class World(ListLink):
    """A broker, the wire to it and the wire back.

    Attributes
    ----------
    own, foreign : int
        Signed units that the session's orders and others have really traded.
    unknowable : set of str
        Closing orders sent after a fill that both messages of were lost, and that the broker's last word is older than.
    """

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, Order] = {}
        self.coming: list[tuple[str, Any]] = []  # to the broker
        self.going: list[tuple[str, Any]] = []  # to the session
        self.trades: list[SimpleNamespace] = []
        self.unknowable: set[str] = set()
        self.own = self.foreign = 0
        self.up = True
        self.losses = 0
        self.host: StubHost = None  # type: ignore[assignment]

    def is_connected(self) -> bool:
        return self.up

    def drop_requests(self) -> None:
        pass

    def disconnect(self) -> None:
        pass

    # To the broker --------------------------------------------------------------------------------------------------

    def request_executions(self, instrument_id: str, since_ns: int, known: Any) -> None:
        if self.up:
            self.coming.append(("executions", self.host.clock.timestamp_ns()))

    def take(self, refuse: bool = False, stuck: bool = False) -> None:
        """The broker takes what was sent first; a cancel may never end its order."""
        what, content = self.coming.pop(0)
        if what == "list":
            self._accept(content, refuse)
        elif what == "executions":
            self.say("whole", (content, list(self.trades)))
        elif what == "cancel" and stuck and content in self.orders and self.orders[content].status not in ENDED:
            self.orders[content].status = "PendingCancel"
            self._say_order(self.orders[content])
        elif what == "cancel" and content in self.orders and self.orders[content].status not in ENDED:
            self._end(self.orders[content])
        elif what == "cancel":
            code, meaning = (161, "not_cancellable") if content in self.orders else (10147, "unknown")
            self.say("answer", SimpleNamespace(order_ref=content, meaning=meaning, code=code, text=""))
        else:
            self._change(*content)

    def _accept(self, orders: list[Order], refuse: bool) -> None:
        if refuse:  # the last one, which would have transmitted the rest
            self.say("answer", SimpleNamespace(order_ref=orders[-1].name, meaning="refused", code=201, text="no"))
            return
        if any(order.group and self._is_over(order.group) for order in orders):
            self.say("answer", SimpleNamespace(order_ref=orders[0].name, meaning="refused", code=201, text="over"))
            return
        orders[0].is_entry = len(orders) > 1
        for order in orders:
            self.orders[order.name] = order
            self._say_order(order)

    def _is_over(self, group: str) -> bool:
        return any(order.group == group and order.status == "Filled" for order in self.orders.values())

    def _change(self, name: str, size: int, price: float) -> None:
        order = self.orders.get(name)
        if order is not None and order.status not in ENDED:
            order.size, order.price = max(size, order.filled), price
            self._say_order(order)

    def _end(self, order: Order) -> None:
        order.status = "Cancelled"
        self._say_order(order)
        if order.filled == 0:
            for child in self.orders.values():
                if child.parent == order.name and child.status not in ENDED:
                    self._end(child)

    # What happens there ---------------------------------------------------------------------------------------------

    def active(self) -> list[Order]:
        """Orders that may fill now."""
        return [order for order in self.orders.values() if self.active_units(order) > 0]

    def active_units(self, order: Order) -> int:
        if not order.parent:
            return order.left
        parent = self.orders[order.parent]
        siblings = sum(other.filled for other in self.orders.values() if other.parent == order.parent)
        return min(order.left, parent.filled - siblings)

    def fill(self, order: Order, units: int, tell: bool = True) -> None:
        """An order fills."""
        order.filled += units
        self.own += order.side * units
        if order.filled == order.size:
            order.status = "Filled"
        trade = self._traded(f"{len(self.trades)}.01", order.side * units, order.name)
        if tell:
            self.say("execution", trade)
        self._say_order(order)
        for other in self.orders.values():
            if order.group and other.group == order.group and other is not order and other.left:
                other.size -= min(units, other.left)
                if other.left == 0:
                    other.status = "Cancelled"
                self._say_order(other)

    def note_exit(self, name: str) -> None:
        """The session closes: it must have the broker's word since it began to, which may be older than a lost fill."""
        execution = self.host.execution
        told_ns, known = execution._word._until_ns, execution.ledger.rows
        unheard = [t for t in self.trades if t.order_ref in self.orders and t.trade_id not in known]
        if told_ns >= execution._exit._since_ns and any(trade.ts_ns > told_ns for trade in unheard):
            self.unknowable.add(name)

    def trade_by_hand(self, units: int) -> None:
        """The owner trades."""
        self.foreign += units
        self.say("execution", self._traded(f"hand{len(self.trades)}.01", units))

    def _traded(self, trade_id: str, units: int, name: str = "") -> SimpleNamespace:
        trade = executed(trade_id, units, CLOSE_TICKS, name)
        trade.ts_ns = self.host.clock.timestamp_ns() + len(self.trades)
        self.trades.append(trade)
        return trade

    # To the session -------------------------------------------------------------------------------------------------

    def say(self, what: str, content: Any) -> None:
        if self.up:
            self.going.append((what, content))

    def _say_order(self, order: Order) -> None:
        self.say("listed", self._listed(order))
        self.say("status", SimpleNamespace(
            order_ref=order.name, status=order.status, filled=order.filled, average_price=500.0, why_held=""
        ))  # fmt: skip

    def _listed(self, order: Order) -> SimpleNamespace:
        return SimpleNamespace(
            order_ref=order.name, kind=order.kind, units=order.side * order.size, price=order.price,
            status=order.status, client_id=1,
        )  # fmt: skip

    def deliver(self, place: int) -> None:
        what, content = self.going.pop(place % len(self.going))
        self.hear(what, content)

    def hear(self, what: str, content: Any) -> None:
        if what == "whole":
            asked_ns, trades = content
            for trade in trades:
                self.hear("execution", trade)
            what, content = "told", asked_ns
        getattr(self.host.execution, f"on_{what}")(content)

    async def executions(self, instrument_id: str) -> Any:
        for trade in self.trades:
            self.hear("execution", trade)
        return self.trades

    async def broker_state(self, instrument_id: str) -> Any:
        while self.coming:  # on one connection the gateway hears of everything before it is asked
            self.take()
        listed = [self._listed(order) for order in self.orders.values() if order.status not in ENDED]
        for order in listed:
            self.hear("listed", order)
        return SimpleNamespace(units=self.own + self.foreign, orders=listed)


class Wired(StubHost):
    """A host whose orders, cancels and changes go to a world."""

    world: World

    def _submit(self, orders: list[Any]) -> None:
        super()._submit(orders)
        if not orders[0].has_trigger_price and len(orders) == 1:
            self.world.note_exit(orders[0].client_order_id.value)
        if self.world.up:
            self.world.coming.append(("list", [_order(order) for order in orders]))
        else:
            for order in orders:
                self.wire.pop(order.client_order_id.value)
                self.execution.on_never_sent(order.client_order_id.value, "no connection")

    def cancel(self, client_order_id: str) -> None:
        if self.world.up:
            self.world.coming.append(("cancel", client_order_id))

    def amend(self, client_order_id: str, units: int, price: float) -> bool:
        if self.world.up:
            self.world.coming.append(("change", (client_order_id, units, price)))
        return self.world.up

    def request_executions(self, instrument_id: str, since_ns: int, known: Any) -> None:
        self.world.request_executions(instrument_id, since_ns, known)


def _order(order: Any) -> Order:
    price = order.trigger_price if order.has_trigger_price else order.price if order.has_price else 0
    parent = order.parent_order_id.value if order.parent_order_id is not None else ""
    (tag,) = order.tags
    return Order(
        order.client_order_id.value, KINDS[type(order).__name__], 1 if order.side == OrderSide.BUY else -1,
        int(order.quantity), float(price), tag.removeprefix("group "), parent,
    )  # fmt: skip


class OrderLife(RuleBasedStateMachine):
    """Everything that may happen."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.refused_once = False
        self._start([])
        asyncio.run(self.reconciler.claim())

    def _start(self, rows: list[Any]) -> None:
        core = new_core()
        host = Wired(core)
        host.world = self.world
        self.world.host, self.host = host, host
        for row in rows:
            if isinstance(row, FillRow):
                book_fill(core, 0, row)
        host.execution.restore(rows)
        host.rows += rows
        services: Any = SimpleNamespace(
            link=self.world, timeouts=Timeouts(reconcile_s=0.5, poll_s=0.25), flatten_command="flatten"
        )
        self.halted: list[str] = []
        now: Any = host.clock.timestamp_ns
        self.reconciler = Reconciler(services, host.execution, self, self.halted.append, now)

    def report(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        pass

    # Rules ----------------------------------------------------------------------------------------------------------

    @rule(review=st.sampled_from([LONG, SHORT, FLAT]))
    def decide(self, review: Any) -> None:
        execution = self.host.execution
        may_open = self.reconciler.known and not execution.foreign.is_active and self.world.up
        self.host.allowed = may_open
        if may_open and not execution.is_in_flight():
            execution.execute(review)

    @rule()
    def close(self) -> None:
        if self.world.up:
            self.host.execution.close_position("risk_halt")

    @precondition(lambda self: self.world.coming and self.world.up)
    @rule()
    def broker_takes(self) -> None:
        self.world.take()

    @precondition(lambda self: self.world.coming and self.world.coming[0][0] == "cancel" and self.world.up)
    @rule()
    def a_cancel_never_ends(self) -> None:
        self.world.take(stuck=True)

    @precondition(lambda self: self.world.coming and self.world.coming[0][0] == "list" and self.world.up)
    @rule()
    def broker_refuses(self) -> None:
        self.world.take(refuse=True)

    @precondition(lambda self: self.world.active())
    @rule(place=st.integers(0, 5), units=st.integers(1, UNITS), told=st.booleans())
    def broker_fills(self, place: int, units: int, told: bool) -> None:
        active = self.world.active()
        order = active[place % len(active)]
        self.world.fill(order, min(units, self.world.active_units(order)), tell=told)

    @precondition(lambda self: self.world.going)
    @rule(place=st.integers(0, 20), twice=st.booleans())
    def a_message_arrives(self, place: int, twice: bool) -> None:
        if twice:
            self.world.going.append(self.world.going[place % len(self.world.going)])
        self.world.deliver(place)

    @precondition(lambda self: self.world.going)
    @rule()
    def all_messages_arrive(self) -> None:
        while self.world.going:
            self.world.deliver(0)

    @precondition(lambda self: self.world.going)
    @rule(place=st.integers(0, 20))
    def a_message_is_lost(self, place: int) -> None:
        self.world.going.pop(place % len(self.world.going))

    @precondition(lambda self: self.world.active())
    @rule(place=st.integers(0, 5), units=st.integers(1, UNITS))
    def the_broker_fills_and_nobody_hears_of_it(self, place: int, units: int) -> None:
        told = len(self.world.going)
        self.broker_fills(place, units, told=False)
        del self.world.going[told:]

    @rule(seconds=st.sampled_from([0.1, 0.6, 1.1, 2.1, 3.1]))
    def time_passes(self, seconds: float) -> None:
        self.host.clock.set_time(self.host.clock.timestamp_ns() + int(seconds * NS))
        self._guard()

    def _guard(self) -> None:
        self.reconciler.check_connection()
        asyncio.run(self.reconciler.reconcile())
        self.host.execution.poll()

    @rule(units=st.integers(-4, 4))
    def the_owner_trades(self, units: int) -> None:
        # Against the session's position it closes, which is another matter than what is asserted here.
        if units and units * self.world.own >= 0:
            self.world.trade_by_hand(units)

    @rule()
    def connection_ends(self) -> None:
        self.world.up = False
        self.world.going.clear()
        self.world.coming.clear()
        self._guard()

    @precondition(lambda self: not self.world.up)
    @rule()
    def connection_returns(self) -> None:
        self.world.up = True
        self._guard()

    @rule()
    def process_restarts(self) -> None:
        now_ns = self.host.clock.timestamp_ns()
        self.world.up = True
        self.world.going.clear()
        foreign, rows = self.host.execution.foreign, copy.copy(self.host.rows)
        self._start(rows)
        self.host.execution.foreign = foreign
        self.host.clock.set_time(now_ns + 5 * NS)
        self.reconciler.check_connection()

    # Invariants -----------------------------------------------------------------------------------------------------

    @invariant()
    def no_more_is_held_than_the_policy_wants(self) -> None:
        assert abs(self.world.own) <= UNITS, self.world.orders

    @invariant()
    def what_closes_never_exceeds_what_is_held(self) -> None:
        held = 0
        for trade in self.world.trades:
            order = self.world.orders.get(trade.order_ref)
            if order is None:
                continue
            if order.is_entry:
                assert held * order.side >= 0, f"{order} entered while {held:+d} were held"
                held += trade.units
                continue
            if order.name in self.world.unknowable:
                held += trade.units
                continue
            told = f"{trade.units:+d} of {order} while {held:+d} were held"
            assert held * trade.units < 0, told
            assert abs(trade.units) <= abs(held), told
            held += trade.units

    @invariant()
    def one_closing_order_works_at_most(self) -> None:
        exits = [o for o in self.world.orders.values() if o.kind == "MKT" and not o.is_entry and o.left]
        assert len(exits) <= 1, exits

    @invariant()
    def no_entry_works_without_its_stop(self) -> None:
        for entry in self.world.orders.values():
            if entry.is_entry and entry.left:
                assert [o for o in self.world.orders.values() if o.parent == entry.name and o.kind == "STP"]

    def teardown(self) -> None:
        """Once everybody has heard everything, the session knows what it holds, and has a stop for it."""
        self.world.up = True
        for _ in range(400):
            while self.world.coming:
                self.world.take()
            while self.world.going:
                self.world.deliver(0)
            for order in self.world.active():
                if order.kind == "MKT":
                    self.world.fill(order, self.world.active_units(order))
            self.host.clock.set_time(self.host.clock.timestamp_ns() + NS // 4)
            self._guard()
            self.no_more_is_held_than_the_policy_wants()
            self.what_closes_never_exceeds_what_is_held()
        assert self.host.units == self.world.own
        stops = sum(
            self.world.active_units(o)
            for o in self.world.orders.values()
            if o.kind == "STP" and o.side * self.world.own < 0
        )
        assert stops == abs(self.world.own), (self.world.own, self.world.orders)
        assert self.reconciler.known
        assert self.host.execution.foreign.units == self.world.foreign


TestOrderLife = OrderLife.TestCase
TestOrderLife.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, phases=[Phase.explicit, Phase.generate]
)

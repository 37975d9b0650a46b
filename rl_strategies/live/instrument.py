"""One traded instrument of a live session: its orders, its comparison with the broker, and what is told of both."""

from typing import Any, Protocol

from nautilus_trader.model.identifiers import InstrumentId

from rl_strategies.decision.core import DecisionCore, Review
from rl_strategies.live.execution.live_execution import LiveExecution
from rl_strategies.live.execution.own_orders import OwnOrder
from rl_strategies.live.execution.reconciler import Reconciler
from rl_strategies.live.journal.rebuild import FOREIGN, ReplayedJournal
from rl_strategies.live.journal.session_journal import OrderRow
from rl_strategies.live.services import LiveServices
from rl_strategies.live.session_events import InstrumentEvents, SessionEvents
from rl_strategies.live.session_telemetry import InstrumentTelemetry
from rl_strategies.risk.monitor import RiskMonitor

ENDS = {"refused": "rejected", "never_sent": "never sent", "gone": "gone"}  # in the journal


class Session(Protocol):
    """The session that an instrument is traded in; `rl_strategies.live.strategy.LiveStrategy` is one."""

    cache: Any
    clock: Any
    order_factory: Any
    monitor: RiskMonitor
    last_decision_ns: int

    @property
    def problem(self) -> str:
        """Why nothing is opened though the broker agrees."""

    def submit_order(self, order: Any) -> None:
        """Send an order."""

    def submit_order_list(self, order_list: Any) -> None:
        """Send orders together."""

    def cancel_all_orders(self, instrument_id: InstrumentId) -> None:
        """Cancel all working orders of an instrument."""

    def count(self, reason: str) -> None:
        """Count a refusal."""

    def may_open(self) -> bool:
        """Whether positions may be opened now."""

    def halt(self, reason: str) -> None:
        """Open nothing until a person has cleared the halt, and leave the market."""

    def note_order(self, row: OrderRow) -> None:
        """Called with every order right before it is sent."""

    def note_change(self) -> None:
        """Called when a fill changed the state."""

    def note_problem(self) -> None:
        """Look again why nothing may be opened."""

    def _wall_ns(self) -> int:
        """This machine's clock, UTC nanoseconds."""


class LiveInstrument:
    """One instrument of a live session, and the host of its execution.

    Parameters
    ----------
    session : Session
    core : DecisionCore
    k : int
        Place of the instrument in the policy's order.
    services : LiveServices
    events : SessionEvents

    Attributes
    ----------
    name : str
        Instrument id.
    execution : LiveExecution
    reconciler : Reconciler
    rejects : int
        Number of entries that the broker refused.
    """

    def __init__(
        self, session: Session, core: DecisionCore, k: int, services: LiveServices, events: SessionEvents
    ) -> None:
        self._session, self._core, self._instrument = session, core, core.instruments[k]
        self._link, self._journal, self._k = services.link, services.journal, k
        self.name = self._instrument.instrument.instrument_id
        self._telemetry = InstrumentTelemetry(services.publish, self._instrument.instrument)
        self._session_events = events
        self._events = InstrumentEvents(events, self.name, is_first=k == 0)
        self._warned = ""
        self.rejects = 0
        self.execution = LiveExecution(self, core, k, services)
        self.reconciler = Reconciler(services, self.execution, self._events, session.halt, session._wall_ns)

    # What the execution works with ----------------------------------------------------------------------------------

    @property
    def cache(self) -> Any:
        """NautilusTrader's cache."""
        return self._session.cache

    @property
    def clock(self) -> Any:
        """NautilusTrader's clock."""
        return self._session.clock

    @property
    def order_factory(self) -> Any:
        """NautilusTrader's order factory."""
        return self._session.order_factory

    def submit_order(self, order: Any) -> None:
        """Send an order."""
        self._session.submit_order(order)

    def submit_order_list(self, order_list: Any) -> None:
        """Send orders together."""
        self._session.submit_order_list(order_list)

    def cancel_all_orders(self, instrument_id: InstrumentId) -> None:
        """Cancel all working orders of the instrument."""
        self._session.cancel_all_orders(instrument_id)

    def count(self, reason: str) -> None:
        """Count a refusal."""
        self._session.count(reason)

    def may_open(self) -> bool:
        """Whether a position may be opened now: not while others trade the contract."""
        return self._session.may_open() and not self.execution.foreign.is_active

    # What the session does with it ------------------------------------------------------------------------------------

    def open(self, instrument_id: InstrumentId) -> None:
        """Look the instrument up, and hear of its orders from now on."""
        self.execution.open(instrument_id)
        self._link.listen(self.name, self.execution)

    def resume(self, replayed: ReplayedJournal) -> None:
        """Take up the orders and fills of a session that was interrupted."""
        mine = replayed.instruments[self.name]
        self.execution.foreign.ignore(mine.foreign or (), mine.foreign_units)
        self.execution.restore(mine.events)

    def permitted(self, review: Review) -> Review:
        """The review, or flat where it would open what may not be opened now."""
        if review.side in (0, self._instrument.side) or self.may_open():
            return review
        level = self._session.monitor.level
        self.count(f"risk_{level}")
        reason = self.problem or self._session.problem or self._session.monitor.state.reason
        self._journal.state(self._session.last_decision_ns, "permit", "", "reduced", reason, instrument_id=self.name)
        return review._replace(side=0)

    @property
    def problem(self) -> str:
        """Why the instrument is not entered though the broker agrees; empty where nothing is the matter."""
        if not self.execution.foreign.is_active:
            return ""
        return f"others trade {self.name} ({self.execution.foreign.units:+d}): reduce-only"

    @property
    def notional_usd(self) -> float:
        """Value of the held units at the last close, unsigned."""
        price = self._instrument.close_ticks * self.execution.tick_size
        return abs(self._instrument.units) * price * float(self._instrument.instrument.multiplier)

    @property
    def is_flat(self) -> bool | None:
        """Whether the broker confirms that there is neither position nor order; None where it is not known."""
        is_calm = self.reconciler.known and not self.execution.is_in_flight()
        return self.reconciler.is_flat if is_calm else None

    def publish_decision(self, ts_ns: int, review: Review, logits: Any, latency_s: float) -> None:
        """Publish what was decided, with its probabilities."""
        self._telemetry.decision(ts_ns, review, logits, latency_s)

    # What the execution tells -----------------------------------------------------------------------------------------

    def on_order(self, row: OrderRow) -> None:
        """Note an order that is about to be sent."""
        self._session.note_order(row)

    def on_fill(self, is_new: bool) -> None:
        """Publish and checkpoint what a fill changed."""
        if is_new:
            self._telemetry.fill(self.execution.fills, self._instrument.units)
        self._session.note_change()

    def on_end(self, order: OwnOrder, text: str) -> None:
        """Report an order that the broker refused or does not know, or that was never sent.

        Refused entries alone count as rejects: a session's own attempts to close must not halt it.
        """
        self.rejects += order.over == "refused" and order.row.role == "entry"
        self.reconciler.request_fills()
        self._events.report("order", "", ENDS[order.over], f"{order.name}: {text}")

    def on_foreign(self, trade_id: str, units: int, held: int) -> None:
        """Report that others traded the contract, from when on nothing is opened in it."""
        reduces = int(self.execution.foreign.is_active)
        self._events.report(FOREIGN, "", str(held), trade_id, units=units, reduces=reduces)
        self._session.note_problem()

    def on_amended(self, row: OrderRow) -> None:
        """Report that a barrier is changed at the broker."""
        self._events.report("barrier", "", row.role, f"{row.client_order_id}: {row.units} at {row.trigger_ticks} ticks")

    def request_fills(self) -> None:
        """Ask the broker for executions and orders soon."""
        self.reconciler.request_fills()

    def warn(self, message: str) -> None:
        """Alert a person."""
        if message != self._warned:
            self._warned = message
            self._events.report("protection", "", "lost", message)
            self._session_events.warn(f"{self.name}: {message}")

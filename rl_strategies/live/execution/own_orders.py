"""Orders of the session as the broker's messages leave them, whatever their order, delay or repetition.

An order may fill until it is known to be over: unanswered orders and cancels do not end it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from rl_strategies.live.broker.link import OrderAnswer, OrderStatus, RestingOrder
from rl_strategies.live.journal.session_journal import OrderRow, Role

NS = 1_000_000_000
OverBecause = Literal["", "filled", "cancelled", "refused", "inactive", "gone", "never_sent"]
WORKING = ("PreSubmitted", "Submitted", "PendingCancel")
CANCELLED = ("Cancelled", "ApiCancelled")
LOCATE = "locate"
RECANCEL_S = 2.0
CANCEL_LIFE_S = 10.0  # a cancel that has not ended its order for longer has not worked


@dataclass(eq=False)
class OwnOrder:
    """One order of the session.

    Attributes
    ----------
    row : OrderRow
        As journaled last.
    is_answered : bool
        Whether the broker has said anything of it.
    over : str
        Why it cannot fill any more; empty while it may.
    told, told_price : int, float
        Units filled and mean price by its status.
    moved_ns, over_ns : int
        Clock when more of it was known to be filled, and when it was known to be over.
    booked : int
        Units booked as fills.
    held : bool
        Whether it waits at the broker for a locate.
    shown : (int, int) or None
        Size and price in ticks as the broker listed it last.
    wanted : (int, int) or None
        Size and price asked for and not listed yet.
    wanted_ns, cancel_ns : int
        Clock when that, or a cancel, was sent last; 0 for never.
    leaves_ns : int
        Clock when it was first to be cancelled; 0 for never.
    cancels : int
        Cancels sent.
    is_kept : bool
        Whether the broker still lists it though its cancel had time to end: it works on.
    is_fixed : bool
        Whether the broker refused to change it.
    """

    row: OrderRow
    is_answered: bool = False
    over: OverBecause = ""
    told: int = 0
    told_price: float = 0.0
    moved_ns: int = 0
    over_ns: int = 0
    booked: int = 0
    held: bool = False
    shown: tuple[int, int] | None = None
    wanted: tuple[int, int] | None = None
    wanted_ns: int = 0
    cancel_ns: int = 0
    leaves_ns: int = 0
    cancels: int = 0
    is_kept: bool = False
    is_fixed: bool = False

    @property
    def name(self) -> str:
        """Client order id."""
        return self.row.client_order_id

    @property
    def size(self) -> int:
        """Units ordered, filled ones included; the broker reduces what is in one group."""
        return self.shown[0] if self.shown is not None else self.row.units

    @property
    def filled(self) -> int:
        """Units known to be filled."""
        return max(self.booked, self.told)

    @property
    def left(self) -> int:
        """Units that may still fill."""
        return 0 if self.over else max(0, self.size - self.filled)

    @property
    def may_fill(self) -> bool:
        """Whether anything of it may still fill."""
        return not self.over

    @property
    def is_leaving(self) -> bool:
        """Whether a cancel is under way; one that does not end leaves the order as it is."""
        return bool(self.cancel_ns) and not self.is_kept

    @property
    def protects(self) -> bool:
        """Whether it is a stop that the broker holds or is about to hold."""
        return self.row.role == "stop" and self.may_fill and not self.held and not self.is_leaving

    @property
    def state(self) -> tuple[object, ...]:
        """What the broker said of it."""
        return self.is_answered, self.over, self.told, self.held, self.is_leaving

    def is_settled(self) -> bool:
        """Whether nothing is waited for: acknowledged, no change or cancel under way, fills booked."""
        if self.told > self.booked:
            return False
        if self.over:
            return True
        return self.is_answered and self.wanted is None and not self.is_leaving and self.row.kind != "market"

    def waits_since_ns(self) -> int:
        """Clock since when an answer is waited for."""
        if not self.is_answered:
            return self.row.sent_ns
        return max(self.row.sent_ns, self.moved_ns, self.wanted_ns, self.cancel_ns)

    def may_cancel(self, now_ns: int) -> bool:
        """Whether a cancel may be sent now: not yet, or unanswered for a while that grows."""
        pause_s = RECANCEL_S * 2 ** min(max(0, self.cancels - 1), 4)
        return self.may_fill and (not self.cancel_ns or now_ns - self.cancel_ns > pause_s * NS)

    def take_status(self, status: OrderStatus, now_ns: int) -> None:
        """Take its status; what is filled never becomes less, and an order that ended stays ended."""
        if status.filled > self.told:
            self.told, self.told_price, self.moved_ns = status.filled, status.average_price, now_ns
        if self.over in ("filled", "cancelled", "refused"):
            return
        self._take(status.status, status.why_held, now_ns)
        if status.status == "Filled" and self.told >= self.size:
            self._end("filled", now_ns)

    def take_listed(self, order: RestingOrder, tick_size: float, now_ns: int) -> None:
        """Take it as the broker lists it."""
        self.shown = (abs(order.units), round(order.price / tick_size))
        if self.wanted == self.shown:
            self.wanted = None
        if self.over not in ("filled", "cancelled", "refused"):
            self._take(order.status, LOCATE if self.held else "", now_ns)

    def _take(self, status: str, why_held: str, now_ns: int) -> None:
        if status in WORKING:
            self.is_answered, self.over, self.held = True, "", why_held == LOCATE
            if status == "PendingCancel" and not self.cancel_ns:
                self.leave(now_ns)
        elif status in CANCELLED:
            self.is_answered = True
            self._end("cancelled", now_ns)
        elif status == "Inactive" and why_held == LOCATE:
            self.is_answered, self.held = True, True
        elif status == "Inactive":
            self.is_answered = True
            self._end("inactive", now_ns)

    def take_answer(self, answer: OrderAnswer, now_ns: int) -> bool:
        """Take an error; True where the broker should be asked for executions and orders."""
        meaning = answer.meaning
        if meaning in ("refused", "not_changed") and self.wanted is not None:
            self.wanted, self.is_fixed = None, True  # the order works as it was, unless the broker's list lacks it
            return True
        if meaning == "refused":
            self._end("refused", now_ns)
        elif meaning == "cancelled":
            self._end("cancelled", now_ns)
        elif meaning == "unknown":
            self._end("gone", now_ns)
            return True
        elif meaning == "never_sent":
            self._end("never_sent", now_ns)
        elif meaning == "held":
            self.held = True
        return meaning in ("not_cancellable", "filled", "unclear")

    def end(self, why: OverBecause, now_ns: int) -> None:
        """Note that it cannot fill any more."""
        self._end(why, now_ns)

    def leave(self, now_ns: int) -> None:
        """Note that it is being cancelled."""
        self.cancel_ns, self.leaves_ns = now_ns, self.leaves_ns or now_ns

    def keep(self, now_ns: int) -> bool:
        """Consider that the broker lists it; True where its cancel has had time to end and did not."""
        if not self.is_leaving or now_ns - self.leaves_ns <= CANCEL_LIFE_S * NS:
            return False
        self.is_kept = True
        return True

    def revive(self) -> None:
        """Note that the broker lists it as working though it was thought to be over."""
        self.over, self.cancel_ns, self.leaves_ns, self.is_kept, self.is_answered = "", 0, 0, False, True

    def _end(self, why: OverBecause, now_ns: int) -> None:
        if not self.over:
            self.over, self.over_ns = why, now_ns
        self.wanted = None

    def note_booked(self, units: int, now_ns: int) -> None:
        """Note how many units are booked by now."""
        self.booked, self.moved_ns = units, now_ns
        if units >= self.size:
            self._end("filled", now_ns)


class OwnOrders:
    """All orders of the session by client order id."""

    def __init__(self) -> None:
        self.by_name: dict[str, OwnOrder] = {}
        self._open: dict[str, OwnOrder] = {}

    def add(self, row: OrderRow) -> OwnOrder:
        """Add an order, or note that it was changed."""
        known = self.by_name.get(row.client_order_id)
        if known is not None:
            known.row = row
            return known
        order = OwnOrder(row)
        self.by_name[row.client_order_id] = self._open[row.client_order_id] = order
        return order

    def get(self, name: str) -> OwnOrder | None:
        """Order of a client order id."""
        return self.by_name.get(name)

    def touch(self, order: OwnOrder) -> None:
        """Consider an order that was over again."""
        self._open[order.name] = order

    def unsettled(self) -> list[OwnOrder]:
        """Orders that something is waited for of."""
        return [order for order in self.open() if not order.is_settled()]

    def open(self, *roles: Role) -> list[OwnOrder]:
        """Orders that may fill, or have filled more than is booked; of some roles or all."""
        for name in [n for n, order in self._open.items() if order.over and order.told <= order.booked]:
            del self._open[name]
        return [order for order in self._open.values() if not roles or order.row.role in roles]

    def to_come(self, name: str = "", booked: int = 0) -> int:
        """Signed units told by statuses and not booked, once ``booked`` more units of the order ``name`` are."""
        return sum(
            order.row.side * max(0, order.told - order.booked - (booked if order.name == name else 0))
            for order in self.open()
        )

    def is_spent(self, group: str) -> bool:
        """Whether an order of the group has filled: the broker then refuses what would join it."""
        return any(order.row.group == group and order.over == "filled" for order in self.by_name.values())

    def keep_listed(self, resting: Collection[str], now_ns: int) -> list[str]:
        """Let orders work on whose cancel has not ended them, as the broker lists them; their client order ids."""
        return [order.name for order in self.fillable() if order.name in resting and order.keep(now_ns)]

    def fillable(self, *roles: Role) -> list[OwnOrder]:
        """Orders that may still fill; of some roles or all."""
        return [order for order in self.open(*roles) if order.may_fill]


def is_of(order: OwnOrder, entry: OwnOrder) -> bool:
    """Whether an order protects an entry's units."""
    return order.row.group.startswith(f"{entry.name}-")

"""Latency from a bar's arrival to its order on the socket."""

from rl_strategies.live.broker.link import NS, BrokerLink
from rl_strategies.live.journal.session_journal import OrderRow


class LatencyMeter:
    """Measures entries.

    Parameters
    ----------
    link : BrokerLink
        Knows when an order was written to the socket.

    Attributes
    ----------
    taken_ns : list of int
        Latencies measured so far.
    """

    def __init__(self, link: BrokerLink) -> None:
        self._link = link
        self._waiting: dict[str, int] = {}  # when their bar arrived, by client order id
        self.taken_ns: list[int] = []

    @property
    def last_s(self) -> float:
        """The newest latency, seconds; 0 before the first."""
        return self.taken_ns[-1] / NS if self.taken_ns else 0.0

    def note_order(self, row: OrderRow, arrived_ns: int) -> None:
        """Note an order that follows from the bar that arrived at ``arrived_ns``; only entries are measured."""
        if row.role == "entry":
            # What never reached the wire gives way to what follows from the next bar.
            self._waiting = {name: at_ns for name, at_ns in self._waiting.items() if at_ns == arrived_ns}
            self._waiting[row.client_order_id] = arrived_ns

    def read(self) -> int | None:
        """Latency of an entry that is on the wire by now in nanoseconds, once; None where there is nothing new."""
        for name, arrived_ns in self._waiting.items():
            wire_ns = self._link.wire_ns(name)
            if wire_ns is not None:
                del self._waiting[name]
                self.taken_ns.append(max(0, wire_ns - arrived_ns))
                return self.taken_ns[-1]
        return None

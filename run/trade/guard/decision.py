"""What a guard does: the decision alone, without a clock, a process or a broker."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

from run.trade.monitoring.heartbeat import Pulse

Action = Literal["watch", "warn", "leave", "exit", "close", "trim", "cancel", "end"]


class Holding(NamedTuple):
    """What a session owns in one contract.

    Attributes
    ----------
    name : str
    units : Decimal
        Signed, by its own executions.
    held : Decimal
        The part of them that the account's position still shows.
    stopped : Decimal
        Units, unsigned, that its own working stops close.
    orders : int
        Its own working orders, stops included.
    """

    name: str
    units: Decimal
    held: Decimal
    stopped: Decimal
    orders: int

    @property
    def is_covered(self) -> bool:
        """Whether its own stops close at least what is held."""
        return self.stopped >= abs(self.held)

    @property
    def is_excessive(self) -> bool:
        """Whether its own stops would close more than is held, and so open the other side."""
        return self.stopped > abs(self.held) > 0


class Decision(NamedTuple):
    """What to do.

    Attributes
    ----------
    action : str
        ``watch`` nothing; ``warn`` nothing but say so; ``leave`` the position to its stop at the broker; ``exit`` by
        that stop; ``close`` the own position; ``trim`` it, as others have closed a part of it and its stop would sell
        theirs; ``cancel`` own orders that protect nothing; ``end`` the guard itself.
    reason : str
    """

    action: Action
    reason: str


def decide(pulse: Pulse, holdings: Sequence[Holding], is_over: bool) -> Decision:
    """What a guard does about a session.

    Parameters
    ----------
    pulse : Pulse
    holdings : sequence of Holding
        By contract.
    is_over : bool
        Whether the session's time is over: its end, or the moment before it at which it must be flat.

    Examples
    --------
    >>> naked = Holding("MESZ6", Decimal(3), Decimal(3), Decimal(0), 0)
    >>> decide("healthy", [naked], False).action, decide("dead", [naked], False).action
    ('warn', 'close')
    >>> decide("dead", [naked._replace(stopped=Decimal(3), orders=1)], False).action
    'leave'
    """
    naked = [each for each in holdings if not each.is_covered]
    if pulse in ("starting", "healthy"):
        if naked:
            return Decision("warn", f"{_list(naked)} without a stop at the broker; the session is alive")
        return Decision("watch", f"the session is {pulse}")
    was = {"frozen": "hangs", "dead": "has died", "ended": "has ended"}[pulse]
    if naked:
        return Decision("close", f"the session {was}: {_list(naked)} without a stop at the broker")
    if excessive := [each for each in holdings if each.is_excessive]:
        return Decision("trim", f"the session {was}: {_list(excessive)} with stops for more at the broker")
    held = [each for each in holdings if each.held]
    if held and is_over:
        return Decision("exit", f"the session {was} and its time is over: {_list(held)} still held")
    if held:
        return Decision("leave", f"the session {was}: {_list(held)} left to the stop at the broker")
    if ordered := sum(each.orders for each in holdings):
        return Decision("cancel", f"the session {was}: {ordered} own orders protect nothing")
    if pulse == "frozen":
        return Decision("watch", "the session hangs without a position")
    if any(each.units for each in holdings):
        return Decision("end", f"the session {was}: the account no longer holds its position")
    return Decision("end", f"the session {was}: no own position, no own order")


def _list(holdings: Sequence[Holding]) -> str:
    return ", ".join(f"{each.held:+f} {each.name}" for each in holdings)

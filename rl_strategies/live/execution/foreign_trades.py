"""What others trade in the contract of a session: theirs alone, except for what they close of its position."""

from collections.abc import Sequence
from dataclasses import dataclass

from rl_strategies.live.broker.link import BrokerFill
from rl_strategies.live.execution.fills import execution_name

FLATTEN_PREFIX = "flatten-"  # begins the references of the closing orders of `rl-intraday flatten`
IGNORED = "~"  # a revision above every other


@dataclass(frozen=True)
class ClosedByOthers:
    """What an execution of others closed of the session's position."""

    trade_id: str
    order_ref: str
    ts_ns: int
    units: int
    price: float


class ForeignTrades:
    """Executions of others in one contract.

    Attributes
    ----------
    units : int
        Signed units that others have traded since the session began and hold.
    is_active : bool
        Whether others have traded since the session began.

    Examples
    --------
    >>> fill = ClosedByOthers("0001.aa.01", "", 0, -5, 500.0)
    >>> trades = ForeignTrades()
    >>> trades.is_news(fill), trades.units_beyond(fill)
    (True, -5)
    >>> trades.add(fill, closed=-3)
    >>> trades.is_news(fill), trades.units, trades.is_active
    (False, -2, True)
    """

    def __init__(self) -> None:
        self.units = 0
        self.is_active = False
        self._known: dict[str, tuple[str, int]] = {}  # revision and units of executions, by name

    def ignore(self, trade_ids: Sequence[str], units: int | None = None) -> None:
        """Never count these executions, nor corrections of them.

        Parameters
        ----------
        trade_ids : sequence of str
        units : int, optional
            Signed units that others hold, where they have traded since the session began.
        """
        for trade_id in trade_ids:
            self._known.setdefault(execution_name(trade_id)[0], (IGNORED, 0))
        if units is not None:
            self.units, self.is_active = units, True

    def knows(self, trade_id: str) -> bool:
        """Whether an execution, or another revision of it, is known as others'."""
        return execution_name(trade_id)[0] in self._known

    def is_news(self, fill: BrokerFill | ClosedByOthers) -> bool:
        """Whether an execution is not known in this revision or a later one."""
        name, revision = execution_name(fill.trade_id)
        return name not in self._known or self._known[name][0] < revision

    def units_beyond(self, fill: BrokerFill | ClosedByOthers) -> int:
        """Signed units of an execution beyond its earlier revision."""
        return fill.units - self._known.get(execution_name(fill.trade_id)[0], ("", 0))[1]

    def add(self, fill: BrokerFill | ClosedByOthers, closed: int = 0) -> None:
        """Count an execution, of which ``closed`` signed units closed the session's position."""
        units = self.units_beyond(fill)
        name, revision = execution_name(fill.trade_id)
        self._known[name] = (revision, fill.units)
        # A flatten of this program closes for the session's owner.
        self.hold(units - closed, units != closed or not fill.order_ref.startswith(FLATTEN_PREFIX))

    def hold(self, units: int, is_active: bool = True) -> None:
        """Count signed units as others', whatever execution they are of."""
        self.units += units
        self.is_active |= is_active

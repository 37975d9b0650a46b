"""What a closing order is backed by: the broker has told all executions, a moment ago.

Both messages of a fill, execution and status, may be lost while the connection stays up. A later request shows the
execution all the same, so nothing is sent to close before one has been answered to its end.
"""

from rl_strategies.live.execution.own_orders import NS

FRESH_S = 1.0  # a word counts for so long after it has come
ASK_AGAIN_S = 1.0


class BrokerWord:
    """When the broker told all its executions last.

    Examples
    --------
    >>> word = BrokerWord()
    >>> word.wants(7, 10), word.wants(7, 11)
    (True, False)
    >>> word.come(10, 12)
    >>> word.is_fresh(7, 12), word.is_fresh(11, 12), word.is_fresh(7, 2 * NS)
    (True, False, False)
    """

    def __init__(self) -> None:
        self._asked_ns = self._until_ns = self._came_ns = 0

    def is_fresh(self, since_ns: int, now_ns: int) -> bool:
        """Whether it covers everything until ``since_ns`` and is not old."""
        return self._until_ns >= since_ns and now_ns - self._came_ns <= FRESH_S * NS

    def wants(self, since_ns: int, now_ns: int) -> bool:
        """Whether the broker is to be asked now; counts as asked then."""
        if self._asked_ns >= since_ns and self._asked_ns and now_ns - self._asked_ns <= ASK_AGAIN_S * NS:
            return False
        self._asked_ns = now_ns
        return True

    def come(self, asked_ns: int, now_ns: int) -> None:
        """Note that everything was told that had happened until ``asked_ns``."""
        if asked_ns >= self._until_ns:
            self._until_ns, self._came_ns = asked_ns, now_ns

"""Counts the bars of a session on which nothing was decided though a backtest would have, by reason."""

from collections import Counter

TOO_LATE = "bar_too_late"  # came from history, or too late to act upon
IN_FLIGHT = "order_in_flight"


class DecisionsNotTaken:
    """Follows bars and decisions of one session.

    Examples
    --------
    >>> missed = DecisionsNotTaken()
    >>> missed.on_bar(60, is_due=True)
    >>> missed.on_bar(120, is_due=True)  # nothing was decided at 60
    >>> missed.on_decision(120)
    >>> missed.reasons
    {'bar_too_late': 1}
    """

    def __init__(self) -> None:
        self._reasons = Counter[str]()
        self._due_ns = self._answered_ns = 0
        self._unsaid = TOO_LATE

    @property
    def reasons(self) -> dict[str, int]:
        """Decisions not taken so far, by reason, the most frequent first."""
        counted = self._reasons.copy()
        if self._due_ns:
            counted[self._unsaid] += 1
        return {reason: count for reason, count in counted.most_common() if reason}

    def on_bar(self, ts_ns: int, *, is_due: bool, unsaid: str = TOO_LATE) -> None:
        """Note that the bars of a close are known, and with them that the time before it is over.

        Parameters
        ----------
        ts_ns : int
            Close, UTC nanoseconds.
        is_due : bool
            Whether a backtest decides on it.
        unsaid : str
            Reason to count if neither a decision nor a reason follows; empty to count nothing.
        """
        if ts_ns <= max(self._due_ns, self._answered_ns):
            return  # another instrument's bar of that time, or one that came after the decision
        if self._due_ns:
            self._reasons[self._unsaid] += 1
        self._due_ns, self._unsaid = (ts_ns if is_due else 0), unsaid

    def on_decision(self, ts_ns: int) -> None:
        """Note that a decision was taken."""
        self._answered_ns = max(self._answered_ns, ts_ns)
        if self._due_ns <= ts_ns:
            self._due_ns = 0

    def on_skip(self, ts_ns: int, reason: str) -> None:
        """Note why none was taken, if one was due."""
        if self._due_ns == ts_ns:
            self._reasons[reason] += 1
        self.on_decision(ts_ns)

"""Which sessions of a window shaped the policy: a result on them says nothing about days that it never saw."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from configs.schema import DateRange, Experiment


@dataclass(frozen=True)
class SeenSessions:
    """Sessions of a window that the policy was trained or validated on.

    Attributes
    ----------
    trained, validated : int
        With ``validate`` as a share of the training days, its sessions count as trained.
    sessions : int
        All sessions of the window.
    """

    trained: int
    validated: int
    sessions: int

    @property
    def count(self) -> int:
        """Sessions that are not unseen."""
        return self.trained + self.validated

    @property
    def note(self) -> str:
        """Sentence that comes before every result; empty if all sessions are unseen.

        Examples
        --------
        >>> SeenSessions(20, 0, 45).note
        'NOT OUT OF SAMPLE: 20 of these 45 sessions are days that the policy was trained on.'
        >>> SeenSessions(0, 0, 45).note
        ''
        """
        if not self.count:
            return ""
        how = " or ".join(name for name, count in (("trained", self.trained), ("validated", self.validated)) if count)
        share = f"all {self.sessions}" if self.count == self.sessions else f"{self.count} of these {self.sessions}"
        return f"NOT OUT OF SAMPLE: {share} sessions are days that the policy was {how} on."


def seen_sessions(experiment: Experiment, days: Sequence[date]) -> SeenSessions:
    """Count the sessions that lie within the experiment's ``train`` or ``validate``."""
    return SeenSessions(_within(experiment.train, days), _within(experiment.validate, days), len(days))


def _within(used: DateRange | float | None, days: Sequence[date]) -> int:
    return sum(used.start <= day <= used.end for day in days) if isinstance(used, DateRange) else 0

"""Report of cleaning: how often each rule was broken, with the first example of each."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError

Treatment = Literal["refused", "dropped", "repaired", "noted"]

# All rules in the order in which they are applied: what is done to a row that breaks one, and what it means.
# Only "noted" leaves the data as they are, so a strict import allows nothing else.
RULES: dict[str, tuple[Treatment, str]] = {
    "price_missing": ("refused", "a price is missing, or above 1e12"),
    "volume_invalid": ("refused", "the volume is negative, or above 1e12"),
    "off_grid": ("refused", "the close time is not on the grid of the bar length"),
    "high_below_low": ("dropped", "the high is below the low"),
    "price_not_positive": ("dropped", "a price is zero or negative"),
    "out_of_session": ("dropped", "the bar closed outside every session of the calendar"),
    "straddles_open": ("dropped", "the bar began before its session and holds trades from outside it"),
    "partial_bar": ("noted", "the bar began before its session; the source has no bars from before, so it was kept"),
    "misplaced": ("noted", "most sessions look one bar late or early; the stamp was taken as said"),
    "out_of_order": ("repaired", "the row was earlier than the one before it; sorted"),
    "duplicate_identical": ("dropped", "the same bar again"),
    "duplicate_conflicting": ("dropped", "another bar of the same time; the last one was kept"),
    "ohlc_widened": ("repaired", "open or close lay outside high and low, which were widened"),
    "level_break": ("noted", "the price level broke by ten between two sessions, as in a split"),
    "off_tick": ("repaired", "a price was off the tick and was rounded to the nearest one"),
    "between_ticks": ("noted", "a trade between two ticks, as the tape reports them; stored at the nearest one"),
    "volume_rounded": ("repaired", "the volume was a fraction and was rounded to whole units"),
    "island": ("noted", "one or two bars alone, far from the rest of a session that trades steadily; kept, as live"),
    "gap_filled": ("repaired", "missing bars of a short gap, filled flat at the last close"),
    "gap_left": ("noted", "bars missing inside a session in gaps too long to fill"),
    "volume_unknown": ("noted", "the volume is missing, -1, or 0 in all bars; the assumed volume is stored instead"),
}


class Finding(msgspec.Struct, frozen=True):
    """How often one rule was broken.

    Attributes
    ----------
    rule : str
        A key of `RULES`.
    treatment : {"refused", "dropped", "repaired", "noted"}
    count : int
        Rows, or missing bars for the two gap rules.
    first : str
        Close time of the first example, ISO 8601, UTC.
    """

    rule: str
    treatment: Treatment
    count: int
    first: str


class QualityReport(msgspec.Struct, frozen=True):
    """Result of cleaning one import.

    Attributes
    ----------
    rows_read, rows_kept : int
        Rows of the source, and rows after cleaning, including those filled in.
    findings : tuple of Finding
        Rules that were broken, in the order of `RULES`.
    """

    rows_read: int
    rows_kept: int
    findings: tuple[Finding, ...] = ()

    def count(self, rule: str) -> int:
        """How often ``rule``, a key of `RULES`, was broken."""
        return next((finding.count for finding in self.findings if finding.rule == rule), 0)


class Findings:
    """Collects findings while bars are cleaned.

    Parameters
    ----------
    strict : bool
        Raise at the first finding that would change the data, instead of collecting it.
    """

    def __init__(self, strict: bool) -> None:
        self._strict = strict
        self._found: dict[str, Finding] = {}

    def add(self, rule: str, ts_ns: NDArray[np.int64], count: int | None = None) -> None:
        """Record that the bars which closed at ``ts_ns`` broke ``rule``; nothing if there are none.

        Parameters
        ----------
        rule : str
            A key of `RULES`.
        ts_ns : int64[n]
            Close times, the first example first.
        count : int, optional
            Rows to count, if not n.

        Raises
        ------
        InputError
            If strict and the rule changes data.
        """
        if not len(ts_ns):
            return
        treatment, meaning = RULES[rule]
        finding = Finding(rule, treatment, len(ts_ns) if count is None else count, iso_utc(int(ts_ns[0])))
        if self._strict and treatment != "noted":
            raise InputError(f"strict import refused: {rule} at {finding.first} ({finding.count} in all): {meaning}")
        self._found[rule] = finding

    def report(self, rows_read: int, rows_kept: int) -> QualityReport:
        """Everything found so far, in the order of `RULES`."""
        ordered = tuple(self._found[rule] for rule in RULES if rule in self._found)
        return QualityReport(rows_read, rows_kept, ordered)


def merge_reports(reports: Sequence[QualityReport]) -> QualityReport:
    """One report of several imports: counts added, the earliest example of each rule kept."""
    found = [finding for report in reports for finding in report.findings]
    merged = []
    for rule in RULES:
        same = [finding for finding in found if finding.rule == rule]
        if same:
            count, first = sum(finding.count for finding in same), min(finding.first for finding in same)
            merged.append(Finding(rule, same[0].treatment, count, first))
    rows_read = sum(report.rows_read for report in reports)
    return QualityReport(rows_read, sum(report.rows_kept for report in reports), tuple(merged))


def iso_utc(ts_ns: int) -> str:
    """ISO 8601 text of a UTC time, to the second: ``"2025-07-03T13:31:00Z"``.

    Examples
    --------
    >>> iso_utc(1_751_549_460_000_000_000)
    '2025-07-03T13:31:00Z'
    """
    return datetime.fromtimestamp(ts_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

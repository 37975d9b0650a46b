"""A session rebuilt from its journal: the same bars, fills and decisions through the same core.

A restart replays the journal to know what it holds, and continues only if every decision is repeated as it was written.
`rl-intraday replay` does the same to list the decisions that are not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.decision.actions import FLAT
from rl_strategies.decision.core import DecisionCore, Review
from rl_strategies.decision.observation import position_outputs
from rl_strategies.live.journal.not_taken import TOO_LATE, DecisionsNotTaken
from rl_strategies.live.journal.session_journal import FillRow, OrderRow, fingerprint
from rl_strategies.policy.policies import OnnxPolicy

# What state rows say.
RUIN = "ruin"  # trading has ended for good
UNSEEN = "observation_unknown"  # a decision was skipped because some features were not known
LATE = "context_late"  # a decision was skipped because its context came too late
BEGUN = "begun"  # the session has begun on a flat account; the reason lists the fills before it
FOREIGN = "foreign"  # others trade the contract; the new state is the signed units that are theirs
PROVISIONAL = "~"  # begins the trade id of a fill that is known without its execution
SEQ, MEMORY = "journal_seq", "policy.memory"  # names in a checkpoint
TARGET, REVIEW = "target", "review"  # divergences that change what is traded
Cause = Literal["data", "feature", "state", "policy", "fill", "cost"]


@dataclass(frozen=True)
class Row:
    """One row of a journal; see `rl_strategies.live.journal.journal.KINDS`."""

    seq: int
    ts_ns: int
    kind: str
    instrument_id: str
    values: list[float]
    text: str


@dataclass(frozen=True)
class Divergence:
    """Something that a replay does not repeat as it was written.

    Attributes
    ----------
    seq : int
        Row of the journal.
    ts_ns : int
        Time of the bar, decision or fill, UTC nanoseconds.
    cause : {"data", "feature", "state", "policy", "fill", "cost"}
        ``feature``: a feature of the observation. ``state``: the position's or the account's part of it, the risk
        overlay's answer, or a decision that the session's state forbade. ``policy``: logits, memory or target, given
        the observation that was written. ``data``: a bar. ``fill``: a fill. ``cost``: its commission.
    what : str
    written, made : str
        Value in the journal and value in the replay.
    instrument_id : str
        Of what concerns one instrument; empty for the rest.
    """

    seq: int
    ts_ns: int
    cause: Cause
    what: str
    written: str
    made: str
    instrument_id: str = ""


@dataclass
class ReplayedInstrument:
    """What a journal says of one instrument.

    Attributes
    ----------
    events : list of OrderRow or FillRow
        Orders and fills in order.
    foreign : list of str or None
        Ids of the day's fills from before the session; None if it never began to trade.
    foreign_units : int or None
        Signed units that others hold in the contract; None where nobody else has traded it.
    """

    events: list[OrderRow | FillRow] = field(default_factory=list)
    foreign: list[str] | None = None
    foreign_units: int | None = None


@dataclass
class ReplayedJournal:
    """Result of a journal's replay.

    Attributes
    ----------
    divergences : list of Divergence
    decisions : int
    not_taken : DecisionsNotTaken
        Those whose reason is journaled, and those on bars that came from history.
    bars : int
    is_traded : bool
        Whether the running session is traded.
    seq : int
        Number of rows replayed.
    instruments : dict of str to ReplayedInstrument
        By instrument id, in the policy's order.
    state : dict of str to array
        `session_state` at the end of the journal, where a session is resumed.
    """

    divergences: list[Divergence] = field(default_factory=list)
    decisions: int = 0
    not_taken: DecisionsNotTaken = field(default_factory=DecisionsNotTaken)
    bars: int = 0
    is_traded: bool = False
    seq: int = 0
    instruments: dict[str, ReplayedInstrument] = field(default_factory=dict)
    state: dict[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def has_begun(self) -> bool:
        """Whether the session had begun to trade: whatever the account held before is not its own."""
        return all(each.foreign is not None for each in self.instruments.values())


class JournalReplay:
    """Replays the rows of a journal.

    Parameters
    ----------
    core : DecisionCore
        New.
    policy : OnnxPolicy
        New.

    Attributes
    ----------
    result : ReplayedJournal
        Result so far.
    """

    def __init__(self, core: DecisionCore, policy: OnnxPolicy) -> None:
        self.core, self.policy = core, policy
        names = [each.instrument.instrument_id for each in core.instruments]
        self.result = ReplayedJournal(instruments={name: ReplayedInstrument() for name in names})
        self._index = {name: k for k, name in enumerate(names)}
        self._features = feature_places(core)
        self._actions: Sequence[int] = [FLAT] * len(names)
        self._targets: list[Row] = []
        self._reviews: list[Row] = []

    def feed(self, rows: Iterator[Row]) -> None:
        """Replay more rows.

        Raises
        ------
        InputError
            If a row does not hold what its kind says, or a bar lies outside every session.
        """
        handlers = {
            "bar": self._bar,
            "context": self._context,
            "observation": self._observation,
            "recurrent_state": self._memory,
            "logits": self._logits,
            "target": self._target,
            "review": self._review,
            "order": self._order,
            "fill": self._fill,
            "state": self._state,
        }
        for row in rows:
            handler = handlers.get(row.kind)
            if handler is not None:
                try:
                    handler(row)
                except (ValueError, LookupError, msgspec.MsgspecError) as error:
                    raise InputError(f"journal: row {row.seq} is not a valid {row.kind}: {error}") from error
            self.result.seq = row.seq + 1

    def differences_from(self, kept: Mapping[str, NDArray[Any]]) -> list[str]:
        """Names of the arrays of a checkpoint that differ from the present state, bit by bit.

        Arrays that this version does not keep in the same form are left out: see `other_make`.
        """
        present = session_state(self.core, self.policy)
        names = sorted(present.keys() & kept.keys())
        return [
            name
            for name in names
            if _is_of_one_form(present[name], kept[name]) and present[name].tobytes() != kept[name].tobytes()
        ]

    def other_make(self, kept: Mapping[str, NDArray[Any]]) -> list[str]:
        """Names of the arrays that only one of checkpoint and present state has, or that have another form there."""
        present = session_state(self.core, self.policy)
        alone = present.keys() ^ (kept.keys() - {SEQ})
        reformed = {name for name in present.keys() & kept.keys() if not _is_of_one_form(present[name], kept[name])}
        return sorted(alone | reformed)

    def _place(self, row: Row) -> int:
        return self._index[row.instrument_id] if len(self._index) > 1 else 0

    def _of(self, row: Row) -> ReplayedInstrument:
        return list(self.result.instruments.values())[self._place(row)]

    def _bar(self, row: Row) -> None:
        open_, high, low, close, volume = (int(value) for value in row.values)
        day = self.core.instruments[self._place(row)].on_bar(row.ts_ns, open_, high, low, close, volume)
        self.result.bars += 1
        if not day <= self.core.session_date:
            self.policy.reset()
            self.core.begin_session(day)
            self.result.is_traded = self.core.is_warm_at(row.ts_ns)
        is_due = self.result.is_traded and row.text != "warm-up" and row.ts_ns < self.core.last_flat_ns
        # Why nothing was decided on a live bar is not always journaled.
        unsaid = TOO_LATE if row.text == "backfill" else ""
        self.result.not_taken.on_bar(row.ts_ns, is_due=is_due, unsaid=unsaid)

    def _context(self, row: Row) -> None:
        self.core.push_context(row.instrument_id, row.ts_ns, np.array(row.values, np.float64))

    def _observation(self, row: Row) -> None:
        self.core.look(row.ts_ns)
        made = self.core.observe()
        written = np.array(row.values, np.float32)
        if written.shape != made.shape:
            raise ValueError(f"it must have {made.size} values, has {written.size}")
        for k in np.flatnonzero(made.view(np.int32) != written.view(np.int32)):
            cause: Cause = "feature" if k in self._features else "state"
            self._differs(row, cause, self.core.observation_names[k], written[k], made[k])
        chosen = self.policy.act(written)
        self._actions = [chosen] if isinstance(chosen, int) else chosen
        self._targets, self._reviews = [], []
        self.result.decisions += 1
        self.result.not_taken.on_decision(row.ts_ns)

    def _memory(self, row: Row) -> None:
        made = fingerprint(self.policy.snapshot())
        if made != row.text:
            self._differs(row, "policy", "recurrent state", row.text[:12], made[:12])

    def _logits(self, row: Row) -> None:
        made, written = self.policy.logits.ravel(), np.array(row.values, np.float32)
        if made.tobytes() != written.tobytes():
            self._differs(row, "policy", "logits", written.tolist(), made.tolist())

    def _target(self, row: Row) -> None:
        target, made = int(row.values[0]), self._actions[self._place(row)] - FLAT
        if made != target:
            self._differs(row, "policy", TARGET, target, made)
        self._targets.append(row)

    def _review(self, row: Row) -> None:
        self._reviews.append(row)
        if len(self._reviews) < len(self._index):
            return  # all targets are reviewed together
        made = self.core.review([int(each.values[0]) + FLAT for each in self._targets])
        for each, answer in zip(self._reviews, made, strict=True):
            written = Review(int(each.values[1]), int(each.values[2]), each.text)
            if answer != written:
                self._differs(each, "state", REVIEW, written, answer)

    def _order(self, row: Row) -> None:
        self._of(row).events.append(msgspec.json.decode(row.text, type=OrderRow))

    def _fill(self, row: Row) -> None:
        fill = msgspec.json.decode(row.text, type=FillRow)
        book_fill(self.core, self._place(row), fill)
        self._of(row).events.append(fill)

    def _state(self, row: Row) -> None:
        state = msgspec.json.decode(row.text, type=dict[str, Any])
        if state["what"] == RUIN:
            self.core.look(row.ts_ns)
            self.result.is_traded = False
        elif state["what"] == "decision":
            self.result.not_taken.on_skip(row.ts_ns, state["reason"])
            if state["reason"] == UNSEEN:
                self.core.look(row.ts_ns)
        elif state["what"] == BEGUN:
            self._of(row).foreign = state["reason"].split()
        elif state["what"] == FOREIGN:
            mine = self._of(row)
            if state.get("reduces", True):
                mine.foreign_units = int(state["to"])
            mine.foreign = [*(mine.foreign or ()), *state["reason"].split()]

    def _differs(self, row: Row, cause: Cause, what: str, written: object, made: object) -> None:
        differs = Divergence(row.seq, row.ts_ns, cause, what, str(written), str(made), row.instrument_id)
        self.result.divergences.append(differs)


def feature_places(core: DecisionCore) -> frozenset[int]:
    """Places of the features in an observation; all others hold the state of positions and account."""
    count, observed = len(core.instruments), core.plan.observed
    block = observed + len(position_outputs(core.trading.barriers, core.trading.risk, count))
    return frozenset(k * block + place for k in range(count) for place in range(observed))


def book_fill(core: DecisionCore, k: int, fill: FillRow) -> None:
    """Book a fill's row of instrument ``k`` into the core, and lay the barriers that follow from an entry."""
    if not fill.corrects:
        core.on_fill(k, fill.units, fill.price_ticks, fill.commission_cents)
    else:
        if fill.units:
            core.on_fill(k, fill.units, fill.price_ticks, 0)
        core.account.balance_cents -= fill.cash_cents
    instrument = core.instruments[k]
    is_of_entry = fill.role == "entry" and not fill.late and instrument.units != 0
    if is_of_entry and (not fill.corrects or fill.corrects.startswith(PROVISIONAL)):
        instrument.lay_barrier("stop_loss", fill.price_ticks, fill.market_ticks)
        instrument.lay_barrier("take_profit", fill.price_ticks, fill.market_ticks)


def session_state(core: DecisionCore, policy: OnnxPolicy) -> dict[str, NDArray[Any]]:
    """State that a session must keep over a restart, as named arrays."""
    return {**core.snapshot(), MEMORY: policy.snapshot()}


def restore_state(core: DecisionCore, policy: OnnxPolicy, state: Mapping[str, NDArray[Any]]) -> None:
    """Bring core and policy to a `session_state`.

    Raises
    ------
    InputError
        If the state is of another core.
    """
    policy.restore(state[MEMORY])
    core.restore({name: value for name, value in state.items() if name != MEMORY})


def journal_rows(table: pa.Table, first: int = 0, stop: int | None = None) -> Iterator[Row]:
    """Rows of a journal, one by one.

    Parameters
    ----------
    table : pyarrow.Table
        Rows from `rl_strategies.live.journal.journal.read_journal`.
    first, stop : int
        Range of ``seq``.
    """
    length = None if stop is None else stop - first
    for batch in table.slice(first, length).to_batches(max_chunksize=1000):
        for content in batch.to_pylist():
            yield Row(**content)


def _is_of_one_form(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape

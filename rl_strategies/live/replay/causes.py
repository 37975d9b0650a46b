"""Finds the decisions of a session that a replay does not repeat, and the first cause of each."""

from collections.abc import Container, Iterator, Mapping, Sequence

from rl_strategies.live.journal.rebuild import LATE, REVIEW, TARGET, UNSEEN, Cause, Divergence
from rl_strategies.live.replay.session import JournaledSession
from rl_strategies.live.replay.strategy import TakenDecision


def undecided(sessions: Sequence[JournaledSession], taken: Container[int], left_out: Sequence[int]) -> list[Divergence]:
    """Decisions that only one of session and backtest took or executed.

    Parameters
    ----------
    sessions : sequence of JournaledSession
        The instruments of one session.
    taken, left_out : container of int, sequence of int
        Attributes of `rl_strategies.live.replay.strategy.ReplayStrategy`.
    """
    first = sessions[0]
    # What followed the last bar is not known: the journal may end before the decision.
    last_ns = max(int(each.bars.ts_ns[-1]) for each in sessions)
    found = [_left_out(sessions, ts_ns) for ts_ns in left_out if ts_ns < last_ns or ts_ns in first.skipped]
    for ts_ns, decision in first.decisions.items():
        if ts_ns not in taken:
            found.append(Divergence(decision.seq, ts_ns, "state", "decision", "taken", "not taken"))
            continue
        for each in sessions:
            if ts_ns in each.reduced:
                written = f"not opened: {each.reduced[ts_ns]}"
                made = f"side {each.decisions[ts_ns].review.side:+d}"
                found.append(Divergence(decision.seq, ts_ns, "state", "decision", written, made))
    return sorted(found, key=lambda each: each.seq)


def late_bars(sessions: Sequence[JournaledSession]) -> list[Divergence]:
    """Divergences ``data``: bars that came only after the decision on their time, as nothing was known of them."""
    found = []
    for each in sessions:
        for row, ts_ns in enumerate(each.bars.ts_ns.tolist()):
            decision, seq = each.decisions.get(ts_ns), int(each.bar_seq[row])
            if decision is not None and seq > decision.seq:
                name = each.bars.bar_type.split("-")[0]
                said = f"{name}: bar", "after the decision", "before it"
                found.append(Divergence(decision.seq, ts_ns, "data", *said, name))
    return found


def _left_out(sessions: Sequence[JournaledSession], ts_ns: int) -> Divergence:
    first, seq = sessions[0], max(each.seq_of(ts_ns) for each in sessions)
    cause: Cause = "state"
    written = "not taken"
    if ts_ns in first.skipped:
        written = f"not taken: {first.skipped[ts_ns]}"
        cause = "data" if first.skipped[ts_ns] in (LATE, UNSEEN) else cause
    elif {each.source_of(ts_ns) for each in sessions} <= {"backfill", ""}:
        cause, written = "data", "not taken: the bar came too late, from history"
    elif any(each.is_in_flight(seq) for each in sessions):
        cause, written = "fill", "not taken: an order was in flight"
    return Divergence(seq, ts_ns, cause, "decision", written, "taken")


class Attribution:
    """Finds why a decision is not repeated.

    A bar explains features, a fill or its commission explains the state, and earlier observations explain the policy's
    recurrent state.

    Parameters
    ----------
    session : JournaledSession
    taken : mapping of int to TakenDecision
    replayed : sequence of Divergence
        Divergences of the decisions replayed from the journal alone.
    bars : sequence of Divergence
        Divergences of `rl_strategies.live.replay.bars.compare_bars` and of
        `rl_strategies.live.replay.context.compare_context`.
    others : sequence of Divergence
        All other divergences.
    """

    def __init__(
        self,
        session: JournaledSession,
        taken: Mapping[int, TakenDecision],
        replayed: Sequence[Divergence],
        bars: Sequence[Divergence],
        others: Sequence[Divergence],
    ) -> None:
        self._session, self._taken = session, taken
        self._first_bar = min((each.seq for each in bars), default=session.rows)
        self._first: dict[int, Divergence] = {}
        for divergence in replayed:
            self._first.setdefault(divergence.ts_ns, divergence)
        self._other_actions = {each.ts_ns for each in replayed if each.what in (TARGET, REVIEW)}
        self._inputs = [each for each in replayed if each.cause in ("feature", "state")]
        self._others = sorted(others, key=lambda each: each.seq)

    def causes(self) -> Iterator[tuple[int, Cause]]:
        """Closes whose decision is not repeated, in order, with its first cause."""
        for ts_ns in self._session.decisions:
            own = self._first.get(ts_ns)
            if own is not None:
                yield ts_ns, self._root(own)
            elif self._is_changed(ts_ns):
                yield ts_ns, self._cause_of_change(ts_ns)

    def other_actions(self) -> Iterator[int]:
        """Closes whose decision has another target or another answer of the risk overlay."""
        for ts_ns in self._session.decisions:
            if ts_ns in self._other_actions or self._is_changed(ts_ns):
                yield ts_ns

    def _is_changed(self, ts_ns: int) -> bool:
        written, taken = self._session.decisions[ts_ns], self._taken.get(ts_ns)
        return taken is not None and (taken.target, taken.review) != (written.target, written.review)

    def _cause_of_change(self, ts_ns: int) -> Cause:
        executed = self._before(ts_ns, ("data", "fill", "cost", "state"))
        return executed or self._shown_before(self._session.decisions[ts_ns].seq) or "state"

    def _shown_before(self, seq: int) -> Cause | None:
        # The recurrent state comes from earlier observations of the same session.
        day = self._session.day_of(seq)
        shown = (each for each in self._inputs if each.seq < seq and self._session.day_of(each.seq) == day)
        earlier = next(shown, None)
        return None if earlier is None else self._root(earlier)

    def _root(self, own: Divergence) -> Cause:
        if own.cause == "policy":
            return self._shown_before(own.seq) or "policy"
        if own.cause == "feature":
            return "data" if self._first_bar <= own.seq else "feature"
        executed = self._before(own.ts_ns, ("fill", "cost")) if self._has_equal_observation(own.ts_ns) else None
        return executed or "state"

    def _has_equal_observation(self, ts_ns: int) -> bool:
        # Then the session acted on the same fills as the backtest, and a fill was journaled wrongly.
        written, taken = self._session.decisions[ts_ns], self._taken.get(ts_ns)
        return taken is not None and taken.observation.tobytes() == written.observation.tobytes()

    def _before(self, ts_ns: int, causes: Sequence[Cause]) -> Cause | None:
        seq = self._session.decisions[ts_ns].seq
        day = self._session.day_of(seq)
        earlier = (each for each in self._others if each.cause in causes and each.seq <= seq)
        return next((each.cause for each in earlier if self._session.day_of(each.seq) == day), None)

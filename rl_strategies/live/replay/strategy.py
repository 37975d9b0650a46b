"""A backtest strategy that executes the decisions of a session's journal, to compare fills and observations.

The policy and the risk overlay see what the backtest shows them, and their answers are recorded; what is executed are
the journal's decisions. So one fill that differs does not make everything after it differ.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rl_strategies.decision.actions import FLAT
from rl_strategies.decision.context_feed import ContextFeed
from rl_strategies.decision.core import DecisionCore, Review
from rl_strategies.features import StreamRows, context_streams
from rl_strategies.live.replay.session import JournaledSession
from rl_strategies.policy.policies import OnnxPolicy
from rl_strategies.strategy import RLStrategy, RLStrategyConfig


class TakenDecision(NamedTuple):
    """Decision of the backtest about one instrument.

    Attributes
    ----------
    observation : float32[n]
    target : int
        Side that the policy wanted.
    review : Review
        The risk overlay's answer to the journal's target.
    """

    observation: NDArray[np.float32]
    target: int
    review: Review


class JournalPolicy:
    """Asks a policy, and answers with the journal's actions.

    Parameters
    ----------
    policy : OnnxPolicy

    Attributes
    ----------
    written : list of int
        The journal's actions, one per instrument; set before every decision.
    wanted : list of int
        The policy's own actions in the last decision.
    """

    def __init__(self, policy: OnnxPolicy) -> None:
        self._policy = policy
        self.written: list[int] = []
        self.wanted: list[int] = []

    def reset(self) -> None:
        """Forget everything seen."""
        self._policy.reset()

    def act(self, observation: NDArray[np.float32]) -> list[int]:
        """The journal's actions; the policy's own are kept in `wanted`."""
        chosen = self._policy.act(observation)
        self.wanted = [chosen] if isinstance(chosen, int) else chosen
        return self.written


class ReplayStrategy(RLStrategy):
    """`RLStrategy` that repeats the decisions of a journaled session.

    Parameters
    ----------
    config : RLStrategyConfig
    core : DecisionCore
    policy : OnnxPolicy
    sessions : sequence of JournaledSession
        The instruments of the session, in the policy's order.

    Attributes
    ----------
    taken : list of dict of int to TakenDecision
        Decisions by the close that was decided on, for every instrument.
    left_out : list of int
        Closes that a backtest decides on and the session did not.
    """

    def __init__(
        self, config: RLStrategyConfig, core: DecisionCore, policy: OnnxPolicy, sessions: Sequence[JournaledSession]
    ) -> None:
        self._sessions = sessions
        self._journal_policy = JournalPolicy(policy)
        super().__init__(config, core, self._journal_policy, ContextFeed(core, (), _journaled_rows(core, sessions[0])))

    def on_reset(self) -> None:
        """Return to the state before the first bar."""
        super().on_reset()
        self._waits = len(self._sessions) > 1  # every context row of the journal precedes the bar of its time
        self.taken: list[dict[int, TakenDecision]] = [{} for _ in self._sessions]
        self.left_out: list[int] = []
        self._decided_ns = 0

    def on_stop(self) -> None:
        """Keep the position: the end of the journal is not a decision."""

    def _decide(self, ts_ns: int) -> None:
        if ts_ns in self._sessions[0].decisions:
            self._journal_policy.written = [each.decisions[ts_ns].target + FLAT for each in self._sessions]
            super()._decide(ts_ns)
        elif ts_ns == self._sessions[0].ruin_ns:
            self.core.look(ts_ns)
            self._end_in_ruin()
        elif ts_ns < self.core.last_flat_ns and {each.source_of(ts_ns) for each in self._sessions} - {"warm-up", ""}:
            self.left_out.append(ts_ns)

    def _record(self, ts_ns: int, observation: NDArray[np.float32], actions: list[int], reviews: list[Review]) -> None:
        self._decided_ns = ts_ns
        seen = observation.copy()
        for taken, wanted, review in zip(self.taken, self._journal_policy.wanted, reviews, strict=True):
            taken[ts_ns] = TakenDecision(seen, wanted - FLAT, review)

    def _execute(self, reviews: list[Review]) -> None:
        super()._execute([self._written_review(k) for k in range(len(reviews))])

    def _written_review(self, k: int) -> Review:
        session = self._sessions[k]
        review = session.decisions[self._decided_ns].review
        if self._decided_ns in session.reduced:
            return review._replace(side=0)
        if review.side != 0 and review.units == 0:
            # The session kept a position that the backtest may not have: there is no entry to repeat.
            return review._replace(side=self.core.instruments[k].side)
        return review


def _journaled_rows(core: DecisionCore, session: JournaledSession) -> dict[str, Callable[[], StreamRows]]:
    rows = {
        stream.name: StreamRows(np.zeros(0, np.int64), np.zeros((0, len(stream.plan().columns))))
        for stream in context_streams(core.plan)
    }
    rows |= {name: stream.rows for name, stream in session.context.items()}
    return {name: partial(rows.__getitem__, name) for name in rows}

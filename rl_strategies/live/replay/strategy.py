"""A backtest strategy that executes the decisions of a session's journal, to compare fills and observations.

The policy and the risk overlay see what the backtest shows them, and their answers are recorded; what is executed are
the journal's decisions. So one fill that differs does not make everything after it differ.
"""

from collections.abc import Callable
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
    """Decision of the backtest.

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
    """Asks a policy, and answers with the journal's action.

    Parameters
    ----------
    policy : OnnxPolicy

    Attributes
    ----------
    written : int
        The journal's action; set before every decision.
    wanted : int
        The policy's own action in the last decision.
    """

    def __init__(self, policy: OnnxPolicy) -> None:
        self._policy = policy
        self.written = self.wanted = FLAT

    def reset(self) -> None:
        """Forget everything seen."""
        self._policy.reset()

    def act(self, observation: NDArray[np.float32]) -> int:
        """The journal's action; the policy's own is kept in `wanted`."""
        chosen = self._policy.act(observation)
        self.wanted = chosen if isinstance(chosen, int) else chosen[0]
        return self.written


class ReplayStrategy(RLStrategy):
    """`RLStrategy` that repeats the decisions of a journaled session.

    Parameters
    ----------
    config : RLStrategyConfig
    core : DecisionCore
    policy : OnnxPolicy
    session : JournaledSession

    Attributes
    ----------
    taken : dict of int to TakenDecision
        Decisions by the close that was decided on.
    left_out : list of int
        Closes that a backtest decides on and the session did not.
    """

    def __init__(
        self, config: RLStrategyConfig, core: DecisionCore, policy: OnnxPolicy, session: JournaledSession
    ) -> None:
        self._session = session
        self._journal_policy = JournalPolicy(policy)
        super().__init__(config, core, self._journal_policy, ContextFeed(core, (), _journaled_rows(core, session)))

    def on_reset(self) -> None:
        """Return to the state before the first bar."""
        super().on_reset()
        self._waits = False  # every context row of the journal precedes the bar of its time
        self.taken: dict[int, TakenDecision] = {}
        self.left_out: list[int] = []
        self._decided_ns = 0

    def on_stop(self) -> None:
        """Keep the position: the end of the journal is not a decision."""

    def _decide(self, ts_ns: int) -> None:
        written = self._session.decisions.get(ts_ns)
        if written is not None:
            self._journal_policy.written = written.target + FLAT
            super()._decide(ts_ns)
        elif ts_ns == self._session.ruin_ns:
            self.core.look(ts_ns)
            self._end_in_ruin()
        elif ts_ns < self.core.last_flat_ns and self._session.source_of(ts_ns) != "warm-up":
            self.left_out.append(ts_ns)

    def _record(self, ts_ns: int, observation: NDArray[np.float32], actions: list[int], reviews: list[Review]) -> None:
        self._decided_ns = ts_ns
        self.taken[ts_ns] = TakenDecision(observation.copy(), self._journal_policy.wanted - FLAT, reviews[0])

    def _execute(self, reviews: list[Review]) -> None:
        review = self._session.decisions[self._decided_ns].review
        if self._decided_ns in self._session.reduced:
            review = review._replace(side=0)
        elif review.side != 0 and review.units == 0:
            # The session kept a position that the backtest may not have: there is no entry to repeat.
            review = review._replace(side=self.core.instruments[0].side)
        super()._execute([review])


def _journaled_rows(core: DecisionCore, session: JournaledSession) -> dict[str, Callable[[], StreamRows]]:
    rows = {
        stream.name: StreamRows(np.zeros(0, np.int64), np.zeros((0, len(stream.plan().columns))))
        for stream in context_streams(core.plan)
    }
    rows |= {name: stream.rows for name, stream in session.context.items()}
    return {name: partial(rows.__getitem__, name) for name in rows}

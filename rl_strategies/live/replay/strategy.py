"""The backtest clock's strategy, led by a session's journal: what would the simulated venue have made of it?

The policy and the risk overlay answer what the backtest shows them, and their answers are kept; what is carried out is
what the journal says was decided. So one execution that differs does not make all that follows differ.
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
    """What the backtest clock saw and would have decided.

    Attributes
    ----------
    observation : float32[n]
    target : int
        Side that the policy wanted.
    review : Review
        Of the target that was written.
    """

    observation: NDArray[np.float32]
    target: int
    review: Review


class JournalPolicy:
    """Asks a policy, and answers with what was written.

    Parameters
    ----------
    policy : OnnxPolicy

    Attributes
    ----------
    written : int
        Action of the journal; set before every decision.
    wanted : int
        Action that the policy chose in the last decision.
    """

    def __init__(self, policy: OnnxPolicy) -> None:
        self._policy = policy
        self.written = self.wanted = FLAT

    def reset(self) -> None:
        """Forget everything seen."""
        self._policy.reset()

    def act(self, observation: NDArray[np.float32]) -> int:
        """The written action, whatever the policy wants."""
        chosen = self._policy.act(observation)
        self.wanted = chosen if isinstance(chosen, int) else chosen[0]
        return self.written


class ReplayStrategy(RLStrategy):
    """`RLStrategy` that decides when the journaled session decided, as it decided.

    Parameters
    ----------
    config : RLStrategyConfig
    core : DecisionCore
    policy : OnnxPolicy
    session : JournaledSession

    Attributes
    ----------
    taken : dict of int to TakenDecision
        By the close that was decided on.
    left_out : list of int
        Closes that a backtest decides on and the session did not.
    """

    def __init__(
        self, config: RLStrategyConfig, core: DecisionCore, policy: OnnxPolicy, session: JournaledSession
    ) -> None:
        self._session = session
        self._led = JournalPolicy(policy)
        super().__init__(config, core, self._led, ContextFeed(core, (), _journaled_rows(core, session)))

    def on_reset(self) -> None:
        """Forget everything that happened."""
        super().on_reset()
        self._waits = False  # every row of the journal is handed over before the bar of its time
        self.taken: dict[int, TakenDecision] = {}
        self.left_out: list[int] = []
        self._decided_ns = 0

    def on_stop(self) -> None:
        """Hold what is held: that the journal ends is no decision."""

    def _decide(self, ts_ns: int) -> None:
        written = self._session.decisions.get(ts_ns)
        if written is not None:
            self._led.written = written.target + FLAT
            super()._decide(ts_ns)
        elif ts_ns == self._session.ruin_ns:
            self.core.look(ts_ns)
            self._end_in_ruin()
        elif ts_ns < self.core.last_flat_ns and self._session.source_of(ts_ns) != "warm-up":
            self.left_out.append(ts_ns)

    def _remember(
        self, ts_ns: int, observation: NDArray[np.float32], actions: list[int], answers: list[Review]
    ) -> None:
        self._decided_ns = ts_ns
        self.taken[ts_ns] = TakenDecision(observation.copy(), self._led.wanted - FLAT, answers[0])

    def _carry_out(self, answers: list[Review]) -> None:
        answer = self._session.decisions[self._decided_ns].review
        if self._decided_ns in self._session.reduced:
            answer = answer._replace(side=0)
        elif answer.side != 0 and answer.units == 0:
            # The session held on to what the backtest may not hold: there is nothing to be entered.
            answer = answer._replace(side=self.core.instruments[0].side)
        super()._carry_out([answer])


def _journaled_rows(core: DecisionCore, session: JournaledSession) -> dict[str, Callable[[], StreamRows]]:
    rows = {
        stream.name: StreamRows(np.zeros(0, np.int64), np.zeros((0, len(stream.plan().columns))))
        for stream in context_streams(core.plan)
    }
    rows |= {name: told.rows for name, told in session.context.items()}
    return {name: partial(rows.__getitem__, name) for name in rows}

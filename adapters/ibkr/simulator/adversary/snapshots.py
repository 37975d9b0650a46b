"""Positions as they were: what a gateway answers that has not heard of the last fills yet."""

from collections import deque
from typing import NamedTuple

from google.protobuf.message import Message

from adapters.ibkr.simulator.adversary.policies import StalePositions

KEPT = 64


class Snapshot(NamedTuple):
    """Positions after so many fills."""

    fills: int
    at_s: float
    positions: list[Message]


class Snapshots:
    """The newest states of the account, oldest first."""

    def __init__(self) -> None:
        self._kept: deque[Snapshot] = deque(maxlen=KEPT)

    def note(self, fills: int, at_s: float, positions: list[Message]) -> None:
        """Remember the present state."""
        self._kept.append(Snapshot(fills, at_s, positions))

    def answer(self, policy: StalePositions, now_s: float) -> list[Message] | None:
        """What a stale gateway answers; None where the policy asks for the present state."""
        if not policy.fills or not self._kept or now_s - self._kept[-1].at_s > policy.seconds:
            return None
        wanted = self._kept[-1].fills - policy.fills
        older = [kept for kept in self._kept if kept.fills <= wanted]
        return (older or [self._kept[0]])[-1].positions

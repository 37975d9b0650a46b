"""The way from the gateway to a client's outbox, on which messages come late, twice, in another order or not at all."""

import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from google.protobuf.message import Message
from ibapi.protobuf.CommissionAndFeesReport_pb2 import CommissionAndFeesReport

from adapters.ibkr.simulator.adversary.channels import channel_of, is_end
from adapters.ibkr.simulator.adversary.policies import Adversary, Channel, ChannelPolicy

LARGEST_DOUBLE = 1.7976931348623157e308
AMOUNTS = {"pending": -1.0, "unset": LARGEST_DOUBLE}
PLAIN = ChannelPolicy()


class Receiver(Protocol):
    """A client's session."""

    outbox: list[Message]


class _Late(NamedTuple):
    due_s: float
    due_step: int
    number: int
    act: Callable[[], None]


class Delivery:
    """Puts messages into outboxes as an adversary wants it.

    Parameters
    ----------
    adversary : Adversary
        May be replaced at any time; what is on its way arrives as it was sent.
    now_s : callable
        Wall clock, seconds.
    step : callable
        Steps of the market taken so far.
    is_there : callable
        Whether a session is still connected; what is late for one that is not is dropped.
    """

    def __init__(
        self,
        adversary: Adversary,
        now_s: Callable[[], float],
        step: Callable[[], int],
        is_there: Callable[[Receiver], bool],
    ) -> None:
        self.adversary = adversary
        self._now_s, self._step, self._is_there = now_s, step, is_there
        self._late: list[_Late] = []
        self._count = 0
        self._behind: dict[tuple[int, Channel], tuple[float, int]] = {}
        self._random: dict[str, random.Random] = {}
        self._amounts: dict[str, tuple[float, list[tuple[Receiver, CommissionAndFeesReport]]]] = {}
        self._seen: set[str] = set()

    def put(self, session: Receiver, messages: Sequence[Message], is_answer: bool) -> None:
        """Send what happens at one moment to one client.

        Parameters
        ----------
        session : Receiver
        messages : sequence of Message
        is_answer : bool
            Whether the client asked for them.
        """
        if is_answer and self._is_unanswered(messages):
            return
        for message in self._in_order(messages):
            channel = channel_of(message)
            policy = PLAIN if channel is None else self.adversary.channels.get(channel, PLAIN)
            if channel is None or (policy is PLAIN and channel != "commission"):
                session.outbox.append(message)
            elif is_end(message) or not self._is_lost(channel, policy, is_answer):
                self._send(session, self._amended(session, message), channel, policy)

    def later(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do something after so many seconds of the wall clock."""
        self._queue(self._now_s() + delay_s, 0, act)

    def release(self) -> None:
        """Bring what is due into the outboxes."""
        if not self._late:
            return
        now, step = self._now_s(), self._step()
        due = sorted(late for late in self._late if late.due_s <= now and late.due_step <= step)
        if due:
            done = {late.number for late in due}
            self._late = [late for late in self._late if late.number not in done]
            for late in due:
                late.act()

    @property
    def next_due_s(self) -> float | None:
        """When something is due next by the wall clock; None while nothing waits for it."""
        step = self._step()
        return min((late.due_s for late in self._late if late.due_step <= step), default=None)

    def correct_commissions(self) -> None:
        """Tell the true amount of every commission that was told otherwise."""
        for execution_id in list(self._amounts):
            self._correct(execution_id)

    def draw(self, what: str) -> random.Random:
        """Generator of its own for each thing, so that one does not move the others."""
        key = f"{self.adversary.seed}/{what}"
        return self._random.setdefault(key, random.Random(key))

    def _is_unanswered(self, messages: Sequence[Message]) -> bool:
        channel = channel_of(messages[-1]) if messages else None
        policy = PLAIN if channel is None else self.adversary.channels.get(channel, PLAIN)
        return policy.unanswered > 0 and self.draw(f"unanswered {channel}").random() < policy.unanswered

    def _in_order(self, messages: Sequence[Message]) -> Sequence[Message]:
        order = self.adversary.burst_order
        if not order or len(messages) < 2:
            return messages
        rank: dict[Channel | None, int] = {channel: number for number, channel in enumerate(order)}
        places = [place for place, message in enumerate(messages) if channel_of(message) in rank]
        moved = sorted((messages[place] for place in places), key=lambda message: rank[channel_of(message)])
        ordered = list(messages)
        for place, message in zip(places, moved, strict=True):
            ordered[place] = message
        return ordered

    def _is_lost(self, channel: Channel, policy: ChannelPolicy, is_answer: bool) -> bool:
        loss = policy.loss_in_answers if is_answer else policy.loss
        return loss > 0 and self.draw(f"loss {channel}").random() < loss

    def _send(self, session: Receiver, message: Message, channel: Channel, policy: ChannelPolicy) -> None:
        for _ in range(1 + (0 if is_end(message) else policy.repeats)):
            due_s, due_step = self._due(session, channel, policy)
            if due_s <= self._now_s() and due_step <= self._step():
                session.outbox.append(message)
            else:
                self._queue(due_s, due_step, lambda: self._arrive(session, message))

    def _due(self, session: Receiver, channel: Channel, policy: ChannelPolicy) -> tuple[float, int]:
        draw = self.draw(f"delay {channel}")
        now, step = self._now_s(), self._step()
        due_s = now + draw.uniform(*policy.delay_s) if policy.delay_s[1] > 0 else now
        due_step = step + draw.randint(*policy.delay_steps) if policy.delay_steps[1] > 0 else step
        if not policy.overtakes:
            behind = self._behind.get((id(session), channel), (0.0, 0))
            due_s, due_step = max(due_s, behind[0]), max(due_step, behind[1])
            self._behind[id(session), channel] = due_s, due_step
        return due_s, due_step

    def _arrive(self, session: Receiver, message: Message) -> None:
        if self._is_there(session):
            session.outbox.append(message)

    def _queue(self, due_s: float, due_step: int, act: Callable[[], None]) -> None:
        self._count += 1
        self._late.append(_Late(due_s, due_step, self._count, act))

    def _amended(self, session: Receiver, message: Message) -> Message:
        policy = self.adversary.commissions
        if not isinstance(message, CommissionAndFeesReport) or (policy.amount == "true" and not self._amounts):
            return message
        execution_id = message.execId
        if execution_id not in self._seen:
            self._seen.add(execution_id)
            if policy.amount != "true" and self.draw("commission amount").random() < policy.probability:
                self._amounts[execution_id] = AMOUNTS[policy.amount], []
                if policy.corrected_after_s is not None and math.isfinite(policy.corrected_after_s):
                    self.later(policy.corrected_after_s, lambda: self._correct(execution_id))
        if execution_id not in self._amounts:
            return message
        amount, told = self._amounts[execution_id]
        told.append((session, message))
        amended = CommissionAndFeesReport()
        amended.CopyFrom(message)
        amended.commissionAndFees = amount
        return amended

    def _correct(self, execution_id: str) -> None:
        _, told = self._amounts.pop(execution_id, (0.0, []))
        for session, message in {id(session): (session, message) for session, message in told}.values():
            self._arrive(session, message)

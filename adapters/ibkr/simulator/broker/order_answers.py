"""Answers on demand: refusals, notices and silences that orders meet because a test wants them to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from adapters.ibkr.simulator.broker.acceptance import Refusal
from adapters.ibkr.simulator.broker.rules import Answer, OrderRule

SET_TO_DAY = 10349
NOTICES = (399, SET_TO_DAY)
HELD, CANCELLED = 404, 202
# Words of TWS where they are known; clients must go by the codes alone.
TEXTS = {
    103: "Duplicate order id",
    110: "The price does not conform to the minimum price variation for this contract.",
    161: "Cancel attempted when order is not in a cancellable state.",
    200: "No security definition has been found for the request",
    201: "Order rejected - reason:Rejected by the exchange",
    202: "Order Canceled - reason:Cancelled by the exchange",
    203: "The security is not available or allowed for this account.",
    321: "Error validating request:-'bW' : cause - Rejected by a precaution",
    399: "Order Message: Warning: your order will not be placed at the exchange until the session opens",
    404: "Order held while securities are located.",
    460: "No trading permissions.",
    10147: "OrderId that needs to be cancelled is not found.",
    10148: "OrderId that needs to be cancelled cannot be cancelled, state: PendingCancel.",
    10289: "You must set Cash Quantity for this order.",
    10293: "The order is not allowed for this account.",
    10349: "Order TIF was set to DAY based on order preset.",
}


class OrderFacts(NamedTuple):
    """What a rule looks at."""

    request: str
    kind: str
    client_id: int
    is_closing: bool


@dataclass
class _Counted:
    rule: OrderRule
    seen: int = 0

    @property
    def is_over(self) -> bool:
        rule = self.rule
        return rule.times is not None and self.seen >= rule.skip + rule.times


class OrderAnswers:
    """The rules that are in force, with how often each was met.

    Examples
    --------
    >>> answers = OrderAnswers()
    >>> answers.add(OrderRule(201, kinds=("STP",)))
    >>> [answers.take(OrderFacts("place", kind, 1, False)) for kind in ("MKT", "STP", "STP")]
    [None, 201, None]
    """

    def __init__(self) -> None:
        self._rules: list[_Counted] = []
        self._given: tuple[OrderRule, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._rules)

    def add(self, rule: OrderRule) -> None:
        """Put a rule into force after those that are."""
        self._rules.append(_Counted(rule))

    def replace(self, rules: Sequence[OrderRule]) -> None:
        """Put these rules into force instead of those given before; the same ones keep their counts."""
        if tuple(rules) != self._given:
            self._given = tuple(rules)
            self._rules = [_Counted(rule) for rule in rules]

    def clear(self) -> None:
        """End every rule."""
        self._given, self._rules = (), []

    def take(self, facts: OrderFacts) -> Answer | None:
        """Answer of the first rule that a request meets, which is thereby used up once; None where none does."""
        for counted in self._rules:
            if counted.is_over or not _is_met(counted.rule, facts):
                continue
            counted.seen += 1
            if counted.seen > counted.rule.skip:
                self._rules = [each for each in self._rules if not each.is_over]
                return counted.rule.answer
        return None


def refusal_with(code: int) -> Refusal:
    """Error of a code, with the words of TWS where they are known."""
    return Refusal(code, TEXTS.get(code, f"Order refused with error {code}"))


def _is_met(rule: OrderRule, facts: OrderFacts) -> bool:
    return (
        rule.request == facts.request
        and (not rule.kinds or facts.kind in rule.kinds)
        and rule.client_id in (None, facts.client_id)
        and (rule.effect == "any" or (rule.effect == "closing") == facts.is_closing)
    )

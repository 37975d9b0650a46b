"""What a flatten may touch: the account, one contract of it, or what one session bought and ordered itself."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from adapters.ibkr.closing.book import Executed, Executions

CLOSING_REF = "flatten"  # begins the orderRef of every closing order


class RestingOrder(NamedTuple):
    """An order that the broker lists.

    Attributes
    ----------
    con_id, client_id : int
        Client 0 stands for orders made by hand in TWS.
    order_id, perm_id : int
        The sender's number and the broker's.
    order_ref, account : str
    """

    con_id: int
    client_id: int
    order_id: int
    perm_id: int
    order_ref: str
    account: str

    @property
    def key(self) -> tuple[int, int, int]:
        """What tells it from every other order."""
        return self.client_id, self.order_id, self.perm_id


class Scope(ABC):
    """What belongs to a flatten.

    Attributes
    ----------
    tag : str
        Part of the orderRef of its closing orders: ``flatten-<tag>-…``.
    """

    tag: str

    @abstractmethod
    def covers(self, con_id: int) -> bool:
        """Whether positions in a contract are to be closed."""

    def owns(self, order: RestingOrder) -> bool:
        """Whether an order of its account is to be cancelled."""
        return self.covers(order.con_id)

    def carried(self) -> tuple[Executed, ...]:
        """Executions known beside those that the broker lists, which are of today alone."""
        return ()

    def keep(self, closing: Executed) -> None:  # noqa: B027
        """Take an execution of a closing order, for a flatten on a later day."""

    def claims(self, con_id: int) -> Callable[[Executions], Decimal] | None:
        """Gives from a contract's executions the signed units to close of what is held; None where that is all."""
        return None


@dataclass(frozen=True)
class WholeAccount(Scope):
    """Every position and every order of the account; only a person asks for it."""

    tag = "account"

    def covers(self, con_id: int) -> bool:
        """Whether positions in a contract are to be closed: always."""
        return True


@dataclass(frozen=True)
class OneContract(Scope):
    """Every position and every order of the account in one contract.

    Attributes
    ----------
    con_id : int
        The broker's number of it.
    """

    con_id: int
    tag = "account"

    def covers(self, con_id: int) -> bool:
        """Whether it is this contract."""
        return con_id == self.con_id


@dataclass(frozen=True)
class OwnTrades(Scope):
    """What one session bought, sold and ordered itself; everything else on the account is foreign.

    Attributes
    ----------
    tag : str
        Names the session; a later flatten of it knows by this what an earlier one has closed.
    client_id : int
        Under which the session trades.
    con_ids : frozenset of int
        Contracts that it trades.
    order_refs : frozenset of str
        Client order ids in its journal.
    ref_prefix : str
        Set where its journal is damaged: orders of its client id whose reference begins so count as its own too.
    fills : tuple of Executed
        Executions in its journal, also of earlier days.
    told : tuple of Executed
        Fills in its journal that a status told and no execution yet, by a number of the journal.
    closed_by_others : tuple of Executed
        The part of others' executions that closed the session's position, by its journal.
    keeper : callable, optional
        Receives every execution of its closing orders.
    """

    tag: str
    client_id: int
    con_ids: frozenset[int]
    order_refs: frozenset[str]
    ref_prefix: str = ""
    fills: tuple[Executed, ...] = ()
    told: tuple[Executed, ...] = ()
    closed_by_others: tuple[Executed, ...] = ()
    keeper: Callable[[Executed], None] | None = None

    def covers(self, con_id: int) -> bool:
        """Whether the session trades the contract."""
        return con_id in self.con_ids

    def owns(self, order: RestingOrder) -> bool:
        """Whether the session, or a flatten of it, sent the order."""
        return self.covers(order.con_id) and self._is_own(order.client_id, order.order_ref)

    def carried(self) -> tuple[Executed, ...]:
        """Executions of the journal."""
        return self.fills

    def keep(self, closing: Executed) -> None:
        """Hand it to the keeper."""
        if self.keeper is not None:
            self.keeper(closing)

    def claims(self, con_id: int) -> Callable[[Executions], Decimal]:
        """What the session's executions sum to, less what others have closed of it.

        Others are a flatten of the account or the contract, and whoever the journal knows of.
        """
        return partial(self._claimed, con_id)

    def _claimed(self, con_id: int, executions: Executions) -> Decimal:
        by_others = {each.exec_id: each.units for each in self.closed_by_others if each.con_id == con_id}
        own = executions.total(lambda each: self._is_own(each.client_id, each.order_ref))
        own += self._only_told([each for each in self.told if each.con_id == con_id], executions)
        own += sum(by_others.values(), Decimal(0))
        wide = executions.total(
            lambda each: each.order_ref.startswith(f"{CLOSING_REF}-account-") and each.exec_id not in by_others
        )
        if own * wide >= 0:
            return own
        return own + (max(wide, -own) if own > 0 else min(wide, -own))

    def _only_told(self, fills: Sequence[Executed], executions: Executions) -> Decimal:
        rest = Decimal(0)
        for name in {each.order_ref for each in fills}:
            told = sum(each.units for each in fills if each.order_ref == name)
            journaled = sum(each.units for each in self.fills if each.order_ref == name)
            executed = executions.total(partial(self._is_of, name))
            # What was executed beyond the journal is what had been told.
            left = told - (executed - journaled)
            rest += left if left * told > 0 else 0
        return rest

    def _is_of(self, name: str, execution: Executed) -> bool:
        return execution.client_id == self.client_id and _name(execution.order_ref) == name

    def _is_own(self, client_id: int, order_ref: str) -> bool:
        if order_ref.startswith(f"{CLOSING_REF}-{self.tag}-"):
            return True
        if client_id != self.client_id:
            return False
        return _name(order_ref) in self.order_refs or bool(self.ref_prefix and order_ref.startswith(self.ref_prefix))


def _name(order_ref: str) -> str:
    # NautilusTrader's adapter puts ":" and its order number behind the client order id.
    return order_ref.rsplit(":", 1)[0]

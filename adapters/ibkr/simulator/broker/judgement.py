"""Whether an order may be accepted as things stand at the broker, and what is answered on demand instead."""

from collections.abc import Mapping
from typing import Protocol

from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest

from adapters.ibkr.simulator.broker import acceptance, groups
from adapters.ibkr.simulator.broker.acceptance import Refusal
from adapters.ibkr.simulator.broker.account import Account
from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.broker.order_answers import OrderAnswers, OrderFacts
from adapters.ibkr.simulator.broker.orders import WorkingOrder
from adapters.ibkr.simulator.broker.rules import Answer, BrokerRules

BY_HAND = 0  # client id of orders made in TWS


class Books(Protocol):
    """What is looked at; see `adapters.ibkr.simulator.broker.broker.Broker`."""

    orders: dict[tuple[int, int], WorkingOrder]
    rules: BrokerRules
    answers: OrderAnswers
    expired: set[int]

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Accounts of the login by name."""

    @property
    def shown_ids(self) -> Mapping[int, int]:
        """Greatest order number shown to each client."""

    def account_of(self, name: str) -> Account:
        """Account of a name."""


def refusal_here(books: Books, client_id: int, request: PlaceOrderRequest, terms: ContractTerms) -> Refusal | None:
    """Why a well-formed order is refused as things stand, None where it is not."""
    wanted, known = request.order, books.orders.get((client_id, request.orderId))
    if terms.con_id in books.expired:
        return acceptance.expired(books.rules.expired_code)
    if len(books.accounts) > 1 and wanted.account not in books.accounts:
        return acceptance.WRONG_ACCOUNT if wanted.account else acceptance.NO_ACCOUNT
    if known is not None:
        changed = known.is_working and known.request.ocaGroup != wanted.ocaGroup
        return acceptance.GROUP_CHANGE if changed and books.rules.group_change_refused else None
    if groups.lacks_parent(client_id, wanted.parentId, books.orders):
        return acceptance.MISSING_PARENT
    shown = books.shown_ids.get(client_id, 0) if books.rules.ids_above_all_shown else 0
    return acceptance.DUPLICATE_ID if 0 < request.orderId <= shown else None


def answer_to_request(
    books: Books, client_id: int, request: PlaceOrderRequest, terms: ContractTerms | None
) -> Answer | None:
    """Answer on demand to a new or changed order."""
    if request.order.whatIf:
        return None
    wanted = request.order
    about = "modify" if (client_id, request.orderId) in books.orders else "place"
    side, con_id = 1 if wanted.action == "BUY" else -1, terms.con_id if terms is not None else 0
    closing = side * books.account_of(wanted.account).units(con_id) < 0
    return books.answers.take(OrderFacts(about, wanted.orderType, client_id, closing))


def answer_to_order(books: Books, about: str, order: WorkingOrder) -> Answer | None:
    """Answer on demand to a cancel, or to the moment in which a child begins to work."""
    if not books.answers or order.client_id == BY_HAND:
        return None
    closing = order.side * books.account_of(order.request.account).units(order.terms.con_id) < 0
    return books.answers.take(OrderFacts(about, order.request.orderType, order.client_id, closing))

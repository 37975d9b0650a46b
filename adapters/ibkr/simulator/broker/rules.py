"""What a broker may do with orders where its documentation is silent, as settings; the defaults are friendly."""

from typing import Literal

import msgspec

Answer = int | Literal["inactive", "pending_cancel", "dropped"]


class BrokerRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Semantics of brackets, groups, ids and corrections.

    Attributes
    ----------
    children : {"filled", "first_fill", "complete"}
        When the children of a parent work: for the units that it has filled; for their whole size from its first fill
        on; only once it is over.
    partly_filled_parent : {"keep", "cancel"}
        What happens to the children of a parent that is cancelled after a partial fill.
    groups : {"as_asked", "block", "reduce", "cancel"}
        One-cancels-all groups: type 1 cancels, types 2 and 3 reduce; as that, but type 2 holds an order that joins a
        group with a routed limit order until that one is gone; every type reduces; every fill cancels all others.
    global_cancel : {"all", "api", "own", "ignored"}
        What a global cancel reaches: every order, those of API clients, those of the client that asks, none.
    next_id : {"own", "above_all", "stuck"}
        Next valid order number: above the client's own, above those of all clients, always 1.
    ids_above_all_shown : bool
        An order number that is not above every number shown to the client is refused with error 103.
    group_change_refused : bool
        A modification that changes the one-cancels-all group is refused with error 10326.
    corrections_in_requests : {"last", "both"}
        Whether a request for executions names a corrected execution alone or its predecessor too.
    pieces : int
        A fill at one price is split into up to so many executions.
    expired_code : int
        Error of an order in an expired contract.
    """

    children: Literal["filled", "first_fill", "complete"] = "filled"
    partly_filled_parent: Literal["keep", "cancel"] = "keep"
    groups: Literal["as_asked", "block", "reduce", "cancel"] = "as_asked"
    global_cancel: Literal["all", "api", "own", "ignored"] = "all"
    next_id: Literal["own", "above_all", "stuck"] = "own"
    ids_above_all_shown: bool = False
    group_change_refused: bool = False
    corrections_in_requests: Literal["last", "both"] = "last"
    pieces: int = 1
    expired_code: int = 201


class OrderRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer to orders of a kind that they do not deserve.

    Attributes
    ----------
    answer : int, "inactive", "pending_cancel" or "dropped"
        Error code of TWS. 202 cancels the order after it was accepted, 404 holds it, 399 and 10349 are notices and
        let it pass, every other code refuses. ``"inactive"``: accepted, then inactive, still listed, not cancellable.
        ``"pending_cancel"``: a cancel that never ends, the order may fill. ``"dropped"``: no answer at all.
    request : {"place", "modify", "cancel", "activate"}
        What is answered; ``"activate"`` is the moment in which a parent's fill makes its child work.
    kinds : tuple of str
        Order types, for example ``("STP",)``; empty means any.
    effect : {"any", "opening", "closing"}
        By the position at the broker.
    client_id : int or None
        None means any.
    skip : int
        So many requests pass first.
    times : int or None
        So many are answered, None for ever.
    """

    answer: Answer
    request: Literal["place", "modify", "cancel", "activate"] = "place"
    kinds: tuple[str, ...] = ()
    effect: Literal["any", "opening", "closing"] = "any"
    client_id: int | None = None
    skip: int = 0
    times: int | None = 1

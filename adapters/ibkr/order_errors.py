"""What TWS's error codes say about an order: one table, because NautilusTrader's client only logs most of them.

Source: https://interactivebrokers.github.io/tws-api/message_codes.html
"""

from typing import Literal

Meaning = Literal[
    "refused",
    "cancelled",
    "held",
    "notice",
    "unknown",
    "not_cancellable",
    "not_changed",
    "filled",
    "never_sent",
    "unclear",
]

# refused           the order does not work; of an order that works already, only the change is refused
# cancelled         the order does not work any more
# held              accepted, but it waits at the broker and protects nothing
# notice            changes nothing
# unknown           the broker has no such order
# not_cancellable   the cancel is refused: filled, over or about to be; executions and open orders decide
# not_changed       the change is refused, the order works as it was
# filled            the order is filled; the execution says for how much
# never_sent        nothing left this process; no refusal of the broker
# unclear           any other code: executions and open orders decide
MEANINGS: dict[int, Meaning] = {
    103: "refused",  # duplicate order id
    104: "filled",  # cannot modify a filled order
    105: "not_changed",  # order being modified does not match the original
    110: "refused",  # price off the tick
    135: "unknown",  # can't find order with this id
    161: "not_cancellable",  # cancel attempted when order is not in a cancellable state
    200: "refused",  # no security definition
    201: "refused",  # order rejected
    202: "cancelled",
    203: "refused",  # security not available or allowed for this account
    321: "refused",  # error validating request
    387: "refused",  # order type not supported
    399: "notice",  # for example: will not be placed at the exchange until the session opens
    404: "held",  # held while securities are located
    434: "refused",  # order size
    435: "refused",  # account missing
    460: "refused",  # no trading permissions
    502: "never_sent",  # cannot connect
    503: "never_sent",  # the gateway is too old
    504: "never_sent",  # not connected
    10006: "refused",  # missing parent order
    10147: "unknown",  # order to be cancelled is not found
    10148: "not_cancellable",  # order to be cancelled cannot be cancelled
    10289: "refused",  # cash quantity missing
    10293: "refused",  # not allowed for this account
    10326: "not_changed",  # OCA group revision is not allowed
    10349: "notice",  # TIF was set to DAY by a preset
}
NOTICES = range(2100, 2200)


def meaning_of(code: int) -> Meaning:
    """What an error code says about the order that it names.

    Examples
    --------
    >>> meaning_of(201), meaning_of(10349), meaning_of(2109), meaning_of(99999)
    ('refused', 'notice', 'notice', 'unclear')
    """
    return "notice" if code in NOTICES else MEANINGS.get(code, "unclear")

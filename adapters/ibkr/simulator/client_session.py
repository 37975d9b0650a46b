"""One client at the gateway: id, subscriptions, messages to send."""

from dataclasses import dataclass, field

from google.protobuf.message import Message

from adapters.ibkr.simulator.feeds import Feed

REALTIME, DELAYED = 1, 3


@dataclass(eq=False)
class ClientSession:
    """State of one connection after its handshake.

    Attributes
    ----------
    version : int
        Server version agreed upon.
    client_id : int or None
        None until the client has started the API.
    feeds : dict of (str, int) to Feed
        Subscriptions by kind and request number.
    summaries : dict of int to list of str
        Account summary subscriptions: tags by request number.
    wants_account, wants_positions : bool
        Whether account values and positions are sent as they change.
    account : str
        Account whose values are sent; empty means the first.
    market_data_type : int
        1 real time, 3 delayed.
    outbox : list of Message
        Waiting to be sent; whoever owns the connection empties it.
    """

    version: int
    client_id: int | None = None
    feeds: dict[tuple[str, int], Feed] = field(default_factory=dict)
    summaries: dict[int, list[str]] = field(default_factory=dict)
    wants_account: bool = False
    wants_positions: bool = False
    account: str = ""
    market_data_type: int = REALTIME
    outbox: list[Message] = field(default_factory=list)

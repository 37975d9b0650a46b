"""The simulated gateway without its sockets: client sessions, steps of the market, who hears of what."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from google.protobuf.message import Message
from ibapi.protobuf.ErrorMessage_pb2 import ErrorMessage
from ibapi.protobuf.ExecutionDetails_pb2 import ExecutionDetails
from ibapi.protobuf.ManagedAccounts_pb2 import ManagedAccounts
from ibapi.protobuf.NextValidId_pb2 import NextValidId

from adapters.ibkr.simulator.adversary.corrections import correct
from adapters.ibkr.simulator.adversary.delivery import Delivery
from adapters.ibkr.simulator.adversary.foreign import add_account
from adapters.ibkr.simulator.adversary.policies import FRIENDLY, Adversary, CorrectionPolicy
from adapters.ibkr.simulator.adversary.snapshots import Snapshots
from adapters.ibkr.simulator.broker.acceptance import Refusal
from adapters.ibkr.simulator.broker.account import Account
from adapters.ibkr.simulator.broker.broker import Broker, Event, Trade
from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.broker.matching import Quote, Slippage
from adapters.ibkr.simulator.client_session import ClientSession
from adapters.ibkr.simulator.feeds import Feed
from adapters.ibkr.simulator.market import Market, Step

ID_IN_USE = Refusal(326, "Unable to connect as the client id is already in use. Retry with a unique client id.")
NOT_SUPPORTED = Refusal(321, "Error validating request: the simulated gateway does not know this request")
FARMS_OK = (
    Refusal(2104, "Market data farm connection is OK:usfuture"),
    Refusal(2106, "HMDS data farm connection is OK:ushmds"),
    Refusal(2158, "Sec-def data farm connection is OK:secdefnj"),
)
SERVERS_BROKEN = Refusal(
    2110, "Connectivity between Trader Workstation and server is broken. It will be restored automatically."
)
NOTHING = -1


class Gateway:
    """Broker and market with the clients that are connected.

    Parameters
    ----------
    contracts : sequence of ContractTerms
    market : Market
    account : str
        Account number; paper accounts begin with ``DU``.
    cash_cents : int
        Starting balance.
    slippage : Slippage, optional
        Of the broker's fills.

    Attributes
    ----------
    broker : Broker
        The truth that tests and fault campaigns assert on.
    market : Market
    sessions : list of ClientSession
        Started clients.
    data_stops : bool
        Fault: market data is not delivered (a data farm is down).
    servers_lost : bool
        Fault: orders do not reach the broker and nothing of the broker reaches clients (error 1100).
    reports_held : bool
        Fault: fills happen and are told late.
    taken_ids : set of int
        Fault: client ids that are refused with error 326, as a gateway does that has not noticed a client's death.
    history_refusal, market_data_refusal : Refusal or None
        Fault: answer to requests for historical bars and for quotes.
    unreported : set of str
        Executions that no client has been told of yet.
    adversary : Adversary
        What is done to clients; `behave` sets it.
    delivery : Delivery or None
        The way to the outboxes; None while it is friendly.
    before_fills : callable or None
        Fault: called once, with the events, before the next fills are told; what it returns is told.
    clock_s : callable
        Wall clock of delays, seconds.
    """

    def __init__(
        self,
        contracts: Sequence[ContractTerms],
        market: Market,
        account: str,
        cash_cents: int,
        slippage: Slippage | None = None,
    ) -> None:
        self.market = market
        self.broker = Broker(Account(account, cash_cents), contracts, self.now_ns)
        if slippage is not None:
            self.broker.slippage = slippage
        for con_id, ticks in market.opening_ticks.items():
            self.broker.quotes[con_id] = Quote(ticks, 1_000_000, opens=False)
        self.sessions: list[ClientSession] = []
        self.data_stops = False
        self.servers_lost = False
        self.reports_held = False
        self.taken_ids: set[int] = set()
        self.history_refusal: Refusal | None = None
        self.market_data_refusal: Refusal | None = None
        self.unreported: set[str] = set()
        self.adversary = FRIENDLY
        self.delivery: Delivery | None = None
        self.before_fills: Callable[[list[Event]], list[Event]] | None = None
        self.clock_s: Callable[[], float] = time.monotonic
        self._snapshots = Snapshots()
        self._fills_seen = 0
        self._held: list[Event] = []
        self._to_broker_later: list[Callable[[], None]] = []

    def now_ns(self) -> int:
        """Simulated time, UTC nanoseconds."""
        return self.market.now_ns

    def broker_ns(self) -> int:
        """Time by the broker's clock, UTC nanoseconds."""
        return self.now_ns() + round(self.adversary.clock_offset_s * 1e9)

    def behave(self, adversary: Adversary) -> None:
        """Treat clients as an adversary from now on; `FRIENDLY` ends it, what is on its way still arrives."""
        before, self.adversary = self.adversary, adversary
        self.broker.rules = adversary.rules
        if adversary.orders != before.orders:
            self.broker.answers.replace(adversary.orders)
        for account in self.broker.accounts.values():
            account.usd_per["EUR"] = Decimal(str(adversary.usd_per_euro))
            account.base_currency = adversary.base_currency
        for other in adversary.other_accounts:
            add_account(self.broker, other.name, round(other.cash_usd * 100), other.units)
        if self.delivery is None and adversary != FRIENDLY:
            self.delivery = Delivery(
                adversary,
                lambda: self.clock_s(),
                lambda: self.market.steps_done,
                lambda client: client in self.sessions,
            )
            self._fills_seen = len(self.broker.trades)
            self._note_positions()
        if self.delivery is not None:
            self.delivery.adversary = adversary

    def send(self, session: ClientSession, messages: Sequence[Message], is_answer: bool = False) -> None:
        """Bring messages that belong together on their way to a client."""
        if self.delivery is None:
            session.outbox += messages
        else:
            self.delivery.put(session, messages, is_answer)

    def release(self) -> None:
        """Bring what was late and is due into the outboxes."""
        if self.delivery is not None:
            self.delivery.release()
            if self.broker.events:
                self.deliver()

    def positions(self) -> list[Message]:
        """Answer to a request for positions, without its end."""
        stale = self._snapshots.answer(self.adversary.stale_positions, self.clock_s())
        return self._positions() if stale is None else stale

    def accounts_list(self) -> str:
        """Accounts of the login, as clients are told them."""
        return ",".join(self.broker.accounts)

    def time_of_day(self) -> str:
        """Simulated time as ``HH:MM``."""
        return datetime.fromtimestamp(self.now_ns() // 1_000_000_000, UTC).strftime("%H:%M")

    def error(self, request_id: int, refusal: Refusal) -> ErrorMessage:
        """Error message about a request, or about nothing in particular (-1)."""
        return ErrorMessage(
            id=request_id, errorTime=self.now_ns() // 1_000_000, errorCode=refusal.code, errorMsg=refusal.text
        )

    def start(self, session: ClientSession, client_id: int) -> bool:
        """Begin a client's session; False where its id is in use, and the connection must be closed."""
        if client_id in self.taken_ids or any(other.client_id == client_id for other in self.sessions):
            session.outbox.append(self.error(NOTHING, ID_IN_USE))
            return False
        session.client_id = client_id
        self.sessions.append(session)
        greeting = [
            NextValidId(orderId=self.broker.next_order_id(client_id)),
            ManagedAccounts(accountsList=self.accounts_list()),
            *(self.error(NOTHING, notice) for notice in ([SERVERS_BROKEN] if self.servers_lost else FARMS_OK)),
        ]
        for message in greeting:
            self.send(session, [message], is_answer=True)
        return True

    def leave(self, session: ClientSession) -> None:
        """Forget a client whose connection ended; its orders stay."""
        if session in self.sessions:
            self.sessions.remove(session)

    def step(self) -> None:
        """Move the market one step: fills first, then prices to those who subscribe."""
        step, quote = self.market.step()
        # A price that repeats the last one is no new tick to the matching, though clients see it.
        if quote is not None and quote.ticks != self.broker.quotes[step.con_id].ticks:
            self.broker.quote(step.con_id, quote)
        self.broker.expire(step.ts_ns)
        self.deliver()
        if not self.data_stops and not self.servers_lost and not self.broker.halted:
            self._feed(step, quote)

    def to_broker(self, act: Callable[[], None]) -> None:
        """Pass an instruction to the broker, or keep it until the gateway's own connection is back."""
        if self.servers_lost:
            self._to_broker_later.append(act)
        else:
            act()

    def announce(self, refusal: Refusal) -> None:
        """Send a notice to every client."""
        for session in self.sessions:
            self.send(session, [self.error(NOTHING, refusal)])

    def restore_servers(self) -> None:
        """End `servers_lost`: waiting instructions reach the broker, waiting reports the clients."""
        self.servers_lost = False
        waiting, self._to_broker_later = self._to_broker_later, []
        for act in waiting:
            act()
        self.deliver()

    def deliver(self) -> None:
        """Bring the broker's events to their owners' outboxes."""
        events = [*self._held, *self.broker.events]
        self.broker.events.clear()
        self._held = events if self.reports_held or self.servers_lost else []
        if self._held:
            self.unreported = {
                event.message.execution.execId for event in events if isinstance(event.message, ExecutionDetails)
            }
            return
        self.unreported = set()
        if self.before_fills is not None and any(isinstance(event.message, ExecutionDetails) for event in events):
            act, self.before_fills = self.before_fills, None
            events = act(events)
        for session in self.sessions:
            mine = [event.message for event in events if self._is_told(session, event)]
            if mine:
                self.send(session, mine)
        if self.delivery is not None:
            self._after_fills(self.delivery)
        if self.broker.account_changed:
            self.broker.account_changed = False
            self._tell_account()

    def feeds(self) -> list[tuple[ClientSession, Feed]]:
        """Every subscription with its owner."""
        return [(session, feed) for session in self.sessions for feed in session.feeds.values()]

    def _feed(self, step: Step, quote: Quote | None) -> None:
        for session, feed in self.feeds():
            if feed.con_id == step.con_id:
                self.send(session, feed.messages(self.market, step, quote))

    def _is_told(self, session: ClientSession, event: Event) -> bool:
        foreign = self.adversary.tells_foreign and not isinstance(event.message, ErrorMessage)
        return session.client_id == event.client_id or foreign

    def _after_fills(self, delivery: Delivery) -> None:
        new, self._fills_seen = self.broker.trades[self._fills_seen :], len(self.broker.trades)
        if new or self.broker.account_changed:
            self._note_positions()
        policy = self.adversary.corrections
        for trade in new:
            if policy.probability and delivery.draw("corrections").random() < policy.probability:
                delivery.later(policy.after_s, partial(self._correct, trade, policy))

    def _correct(self, trade: Trade, policy: CorrectionPolicy) -> None:
        units, ticks = abs(trade.units) + policy.units, trade.ticks + policy.ticks
        correct(self.broker, trade.details.execution.execId, units, ticks, policy.told)

    def _note_positions(self) -> None:
        self._snapshots.note(len(self.broker.trades), self.clock_s(), self._positions())

    def _positions(self) -> list[Message]:
        return [row for account in self.broker.accounts.values() for row in account.positions()]

    def _tell_positions(self, session: ClientSession) -> None:
        stale = self.adversary.stale_positions
        if self.delivery is not None and stale.fills:
            self.delivery.later(stale.seconds, lambda: self.send(session, self._positions()))
        else:
            self.send(session, self._positions())

    def _tell_account(self) -> None:
        broker = self.broker
        for session in self.sessions:
            if session.wants_positions:
                self._tell_positions(session)
            if session.wants_account:
                account = broker.account_of(session.account)
                self.send(session, account.values(broker.marks, self.time_of_day()))
            for req_id, tags in session.summaries.items():
                for account in broker.accounts.values():
                    self.send(session, account.summary_rows(broker.marks, req_id, tags))

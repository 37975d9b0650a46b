"""Faults by name that make the gateway an adversary: one knob each, set while it runs.

`FAULTS` of `adapters.ibkr.simulator.faults` holds them too. Those that set a state end with value 0.
"""

import asyncio
import itertools
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from adapters.ibkr.simulator.adversary import foreign
from adapters.ibkr.simulator.adversary.corrections import correct
from adapters.ibkr.simulator.adversary.draw import random_adversary
from adapters.ibkr.simulator.adversary.policies import (
    FRIENDLY,
    ORDER_CHANNELS,
    Adversary,
    Channel,
    ChannelPolicy,
    CommissionPolicy,
    OtherAccount,
    StalePositions,
)
from adapters.ibkr.simulator.broker.broker import Broker
from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.broker.judgement import BY_HAND
from adapters.ibkr.simulator.broker.reports import Event, Trade
from adapters.ibkr.simulator.broker.rules import OrderRule
from adapters.ibkr.simulator.server import GatewayServer

Named = Callable[[GatewayServer, int], Any]
CHILDREN = ("filled", "first_fill", "complete")
GROUPS = ("as_asked", "block", "reduce", "cancel")
GLOBAL_CANCELS = ("all", "api", "own", "ignored")
NEXT_IDS = ("own", "above_all", "stuck")
KINDS = {"order": (), "market": ("MKT",), "limit": ("LMT",), "stop": ("STP", "STP LMT")}


def behave(server: GatewayServer, adversary: Adversary) -> None:
    """Treat clients as an adversary from now on, its acts included."""
    server.gateway.behave(adversary)
    begin = server.gateway.market.steps_done
    acts = [msgspec.structs.replace(act, step=begin + act.step) for act in adversary.acts]

    def play(server: GatewayServer) -> None:
        for act in acts:
            if act.step == server.gateway.market.steps_done:
                ADVERSITIES[act.name](server, act.value)

    if acts:
        server.after_step.append(play)


def change(server: GatewayServer, **settings: Any) -> None:
    """Change some settings of the present adversary."""
    server.gateway.behave(msgspec.structs.replace(server.gateway.adversary, **settings))


def change_channel(server: GatewayServer, channel: Channel, **settings: Any) -> None:
    """Change some settings of one channel's policy; see `ChannelPolicy`."""
    channels = server.gateway.adversary.channels
    policy = msgspec.structs.replace(channels.get(channel, ChannelPolicy()), **settings)
    change(server, channels={**channels, channel: policy})


def change_rules(server: GatewayServer, **settings: Any) -> None:
    """Change some of the broker's rules; see `BrokerRules`."""
    change(server, rules=msgspec.structs.replace(server.gateway.adversary.rules, **settings))


def adversary(server: GatewayServer, value: int = 1) -> None:
    """`random_adversary` of this seed, its acts included."""
    behave(server, random_adversary(value))


def friendly(server: GatewayServer, value: int = 1) -> None:
    """End everything; what is late still arrives."""
    server.gateway.broker.answers.clear()
    server.gateway.before_fills = None
    server.gateway.behave(FRIENDLY)


def late_answers(server: GatewayServer, value: int = 200) -> None:
    """All that concerns orders and positions comes so many milliseconds late; 0 ends it."""
    for channel in ORDER_CHANNELS:
        change_channel(server, channel, delay_s=(value / 1000, value / 1000))


def stale_positions(server: GatewayServer, value: int = 300) -> None:
    """For so many milliseconds after a fill, positions are answered as they were before it; 0 ends it."""
    change(server, stale_positions=StalePositions(1 if value else 0, value / 1000))


def status_first(server: GatewayServer, value: int = 1) -> None:
    """1: the status of an order comes before its execution, the commission before both; 0: TWS's own order."""
    change(server, burst_order=("commission", "order_status", "execution") if value else ())


def commission_pending(server: GatewayServer, value: int = 1000) -> None:
    """Commissions are told as -1 and so many milliseconds later as they are; 0 ends it."""
    change(server, commissions=CommissionPolicy("pending" if value else "true", 1.0, value / 1000))


def commission_unset(server: GatewayServer, value: int = 1000) -> None:
    """Commissions are told as the largest double and so many milliseconds later as they are; 0 ends it."""
    change(server, commissions=CommissionPolicy("unset" if value else "true", 1.0, value / 1000))


def correct_units(server: GatewayServer, value: int = 1) -> None:
    """The newest execution is corrected by so many units, and told."""
    _correct(server, value, 0, told=True)


def correct_price(server: GatewayServer, value: int = 1) -> None:
    """The newest execution is corrected by so many ticks, and told."""
    _correct(server, 0, value, told=True)


def correct_unseen(server: GatewayServer, value: int = 1) -> None:
    """The newest execution is corrected by so many units; only a later request for executions shows it."""
    _correct(server, value, 0, told=False)


def inactive_order(server: GatewayServer, value: int = 1) -> None:
    """The next so many orders become inactive, stay in the list and cannot be cancelled."""
    server.gateway.broker.answers.add(OrderRule("inactive", times=value))


def inactive_stop(server: GatewayServer, value: int = 1) -> None:
    """The same for the next so many stops."""
    server.gateway.broker.answers.add(OrderRule("inactive", kinds=KINDS["stop"], times=value))


def dropped_order(server: GatewayServer, value: int = 1) -> None:
    """The next so many orders vanish without an answer."""
    server.gateway.broker.answers.add(OrderRule("dropped", times=value))


def dropped_cancel(server: GatewayServer, value: int = 1) -> None:
    """The next so many cancels are not answered."""
    server.gateway.broker.answers.add(OrderRule("dropped", "cancel", times=value))


def pending_cancel(server: GatewayServer, value: int = 1) -> None:
    """The next so many cancels never end; their orders may fill."""
    server.gateway.broker.answers.add(OrderRule("pending_cancel", "cancel", times=value))


def modify_error(server: GatewayServer, value: int = 201) -> None:
    """The next modification is refused with this code."""
    server.gateway.broker.answers.add(OrderRule(value, "modify"))


def cancel_error(server: GatewayServer, value: int = 10148) -> None:
    """The next cancel is refused with this code."""
    server.gateway.broker.answers.add(OrderRule(value, "cancel"))


def child_error(server: GatewayServer, value: int = 201) -> None:
    """The next child is refused with this code in the moment in which its parent's fill makes it work."""
    server.gateway.broker.answers.add(OrderRule(value, "activate"))


def exit_errors(server: GatewayServer, value: int = 201) -> None:
    """Every order that closes is refused with this code; 0 ends all answers on demand."""
    _lasting(server, value, OrderRule(value, effect="closing", times=None))


def all_errors(server: GatewayServer, value: int = 201) -> None:
    """Every new order is refused with this code; 0 ends all answers on demand."""
    _lasting(server, value, OrderRule(value, times=None))


def children(server: GatewayServer, value: int = 0) -> None:
    """When children work: 0 for what their parent has filled, 1 whole from its first fill, 2 once it is over."""
    change_rules(server, children=CHILDREN[value])


def groups(server: GatewayServer, value: int = 0) -> None:
    """One-cancels-all: 0 as asked, 1 type 2 blocks, 2 all reduce, 3 all cancel."""
    change_rules(server, groups=GROUPS[value])


def group_change(server: GatewayServer, value: int = 1) -> None:
    """1: error 10326 where a modification changes the group; 0: allowed."""
    change_rules(server, group_change_refused=bool(value))


def global_cancel(server: GatewayServer, value: int = 0) -> None:
    """A global cancel reaches 0 all, 1 those of API clients, 2 the client's own, 3 none."""
    change_rules(server, global_cancel=GLOBAL_CANCELS[value])


def next_ids(server: GatewayServer, value: int = 0) -> None:
    """Next valid number: 0 above the client's own, 1 above all, 2 always 1."""
    change_rules(server, next_id=NEXT_IDS[value])


def ids_above_shown(server: GatewayServer, value: int = 1) -> None:
    """1: error 103 for numbers that are not above every number shown to the client; 0: allowed."""
    change_rules(server, ids_above_all_shown=bool(value))


def fill_pieces(server: GatewayServer, value: int = 3) -> None:
    """Every fill comes in so many executions at once; 1 ends it."""
    change_rules(server, pieces=max(1, value))


def drop_on_fill(server: GatewayServer, value: int = 1) -> None:
    """The next fills are told (1) or not (0), then every connection ends."""

    def end(events: list[Event]) -> list[Event]:
        asyncio.get_running_loop().call_soon(_drop, server)
        return events if value else []

    server.gateway.before_fills = end


def hand_order(server: GatewayServer, value: int = 1) -> None:
    """A limit order made by hand rests in the traded contract, far away; the value is signed units."""
    _rest_by_hand(server, _traded(server), value)


def hand_trade(server: GatewayServer, value: int = 1) -> None:
    """The owner trades so many units of the traded contract by hand."""
    foreign.by_hand(server.gateway.broker, _traded(server), value)
    server.gateway.deliver()


def hand_order_elsewhere(server: GatewayServer, value: int = 1) -> None:
    """A limit order made by hand rests in another contract."""
    _rest_by_hand(server, foreign.list_share(server.gateway.broker), value)


def hand_trade_elsewhere(server: GatewayServer, value: int = 100) -> None:
    """The owner trades so many shares of another contract by hand."""
    foreign.by_hand(server.gateway.broker, foreign.list_share(server.gateway.broker), value)
    server.gateway.deliver()


def client_order(server: GatewayServer, value: int = 1) -> None:
    """Another client's limit order rests in the traded contract under the number of a session's newest order."""
    broker, terms = server.gateway.broker, _traded(server)
    foreign.by_client(broker, terms, value, "LMT", foreign.resting_ticks(broker, terms, value))
    server.gateway.deliver()


def client_trade(server: GatewayServer, value: int = 1) -> None:
    """Another client trades so many units of the traded contract under the number of a session's newest order."""
    foreign.by_client(server.gateway.broker, _traded(server), value)
    server.gateway.deliver()


def fraction(server: GatewayServer, value: int = 105) -> None:
    """So many tenths of a share of another contract are held, without an execution."""
    _hold(server, foreign.FOREIGN_SHARE, value)


def euro_position(server: GatewayServer, value: int = 100) -> None:
    """So many tenths of a share in euro are held, without an execution."""
    _hold(server, foreign.EURO_SHARE, value)


def foreign_told(server: GatewayServer, value: int = 1) -> None:
    """1: every client is told of the orders and executions of all, as a master client; 0: of its own."""
    change(server, tells_foreign=bool(value))


def euro_base(server: GatewayServer, value: int = 1) -> None:
    """1: account values are in euro; 0: in dollars."""
    change(server, base_currency="EUR" if value else "USD")


def second_account(server: GatewayServer, value: int = 0) -> None:
    """The login has a second account that holds so many units of the traded contract."""
    name = server.gateway.broker.account.name
    change(server, other_accounts=(OtherAccount(f"{name[:2]}{int(name[2:] or 0) + 1:0{len(name) - 2}d}", value),))
    server.gateway.deliver()


def clock_offset(server: GatewayServer, value: int = 1200) -> None:
    """The broker's clock is so many milliseconds ahead; negative: behind."""
    change(server, clock_offset_s=value / 1000)


def expire(server: GatewayServer, value: int = 1) -> None:
    """The last trade of the traded contract is over: orders end, positions are settled in cash."""
    server.gateway.broker.end_contract(_traded(server).con_id)
    server.gateway.deliver()


def _late(server: GatewayServer, value: int = 500, *, channel: Channel) -> None:
    """Messages of a channel come so many milliseconds late; 0 ends it."""
    change_channel(server, channel, delay_s=(value / 1000, value / 1000))


def _lost(server: GatewayServer, value: int = 100, *, channel: Channel) -> None:
    """So many percent of what nobody asked for are never told; 0 ends it."""
    change_channel(server, channel, loss=value / 100)


def _unanswered(server: GatewayServer, value: int = 100, *, channel: Channel) -> None:
    """So many percent of the requests get no answer; 0 ends it."""
    change_channel(server, channel, unanswered=value / 100)


def _repeated(server: GatewayServer, value: int = 1, *, channel: Channel) -> None:
    """Messages of a channel are told so many times more; 0 ends it."""
    change_channel(server, channel, repeats=value)


def _next_error(server: GatewayServer, value: int = 201, *, kinds: tuple[str, ...]) -> None:
    """The next order of a kind is answered with this code."""
    server.gateway.broker.answers.add(OrderRule(value, kinds=kinds))


def _lasting(server: GatewayServer, value: int, rule: OrderRule) -> None:
    if value:
        server.gateway.broker.answers.add(rule)
    else:
        server.gateway.broker.answers.clear()


def _correct(server: GatewayServer, units: int, ticks: int, told: bool) -> None:
    trade = _newest(server.gateway.broker)
    if trade is not None:
        name = trade.details.execution.execId
        correct(server.gateway.broker, name, abs(trade.units) + units, trade.ticks + ticks, told)
        server.gateway.deliver()


def _newest(broker: Broker) -> Trade | None:
    others = (BY_HAND, foreign.OTHER_CLIENT)
    return next((trade for trade in reversed(broker.trades) if trade.client_id not in others), None)


def _rest_by_hand(server: GatewayServer, terms: ContractTerms, units: int) -> None:
    broker = server.gateway.broker
    foreign.by_hand(broker, terms, units, "LMT", foreign.resting_ticks(broker, terms, units))
    server.gateway.deliver()


def _hold(server: GatewayServer, terms: ContractTerms, tenths: int) -> None:
    broker = server.gateway.broker
    foreign.list_share(broker, terms)
    broker.account.hold(terms, Decimal(tenths) / 10, foreign.FOREIGN_TICKS)
    broker.account_changed = True
    server.gateway.deliver()


def _traded(server: GatewayServer) -> ContractTerms:
    return next(iter(server.gateway.broker.contracts.values()))


def _drop(server: GatewayServer) -> None:
    for connection in list(server.connections):
        connection.close()


_ALONE: tuple[Named, ...] = (
    adversary, friendly, late_answers, stale_positions, status_first, commission_pending, commission_unset,
    correct_units, correct_price, correct_unseen, inactive_order, inactive_stop, dropped_order, dropped_cancel,
    pending_cancel, modify_error, cancel_error, child_error, exit_errors, all_errors, children, groups, group_change,
    global_cancel, next_ids, ids_above_shown, fill_pieces, drop_on_fill, hand_order, hand_trade, hand_order_elsewhere,
    hand_trade_elsewhere, client_order, client_trade, fraction, euro_position, foreign_told, euro_base,
    second_account, clock_offset, expire,
)  # fmt: skip
_OF_CHANNELS = {"late": _late, "lost": _lost, "unanswered": _unanswered, "repeated": _repeated}

ADVERSITIES: dict[str, Named] = {
    **{named.__name__: named for named in _ALONE},
    **{f"{kind}_error": partial(_next_error, kinds=types) for kind, types in KINDS.items()},
    **{
        f"{how}_{channel}": partial(_OF_CHANNELS[how], channel=channel)
        for how, channel in itertools.product(_OF_CHANNELS, ORDER_CHANNELS)
    },
}

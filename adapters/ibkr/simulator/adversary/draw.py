"""Adversaries drawn at random: combinations of everything, the same for the same seed."""

import random
from typing import Literal

from adapters.ibkr.simulator.adversary.policies import (
    ORDER_CHANNELS,
    Act,
    Adversary,
    Channel,
    ChannelPolicy,
    CommissionPolicy,
    CorrectionPolicy,
    OtherAccount,
    StalePositions,
)
from adapters.ibkr.simulator.broker.rules import Answer, BrokerRules, OrderRule

DELAYS_S = (0.0, 0.05, 0.2, 0.5, 1.0, 5.0)
ORDER_CODES = (103, 110, 200, 201, 202, 203, 321, 399, 404, 460, 10289, 10293, 10349)
CANCEL_CODES = (161, 10147, 10148)
LONGEST_STEPS = 400
SHARE_OF_CHANNELS = 0.4
# Signed units or tenths of a share, by name of the act.
FOREIGN_ACTS: dict[str, tuple[int, ...]] = {
    "hand_order": (-2, 1, 3),
    "hand_trade": (-10, -1, 1, 10),
    "hand_order_elsewhere": (-5, 5),
    "hand_trade_elsewhere": (100,),
    "client_order": (-1, 1),
    "client_trade": (-2, 2),
    "fraction": (3, 105),
    "euro_position": (100,),
    "correct_units": (-1, 1),
    "correct_price": (-3, 2),
    "correct_unseen": (-1, 1),
    "drop_on_fill": (0, 1),
}


def random_adversary(seed: int, *, expires: bool = False) -> Adversary:
    """Adversary that does a random part of everything an adversary can do.

    Parameters
    ----------
    seed : int
    expires : bool
        Whether it may end the traded contract in the session, after which nothing can be traded any more.

    Returns
    -------
    Adversary

    Examples
    --------
    >>> random_adversary(7) == random_adversary(7)
    True
    """
    draw = random.Random(f"adversary {seed}")
    return Adversary(
        seed=seed,
        channels={channel: _channel(draw, channel) for channel in _some(draw, ORDER_CHANNELS)},
        burst_order=_burst_order(draw),
        stale_positions=StalePositions(draw.choice((0, 1, 1, 2)), draw.choice((0.2, 0.5, 1.0, 5.0))),
        commissions=CommissionPolicy(
            draw.choice(("true", "pending", "unset")), draw.choice((0.5, 1.0)), draw.choice((0.5, 3.0, None))
        ),
        corrections=CorrectionPolicy(
            draw.choice((0.0, 0.0, 0.2)), draw.choice((-1, 0, 1)), draw.choice((-2, 0, 1)),
            draw.choice((0.0, 0.5, 2.0)), draw.random() < 0.5,
        ),
        rules=_rules(draw),
        orders=tuple(_order_rule(draw) for _ in range(draw.randint(0, 5))),
        tells_foreign=draw.random() < 0.3,
        base_currency=draw.choice(("USD", "EUR")),
        other_accounts=(OtherAccount("DU9999999", draw.choice((0, 3))),) if draw.random() < 0.3 else (),
        clock_offset_s=draw.choice((0.0, 0.0, -3.0, -1.2, 1.2, 3.0)),
        acts=_acts(draw, expires),
    )  # fmt: skip


def _some(draw: random.Random, channels: tuple[Channel, ...]) -> list[Channel]:
    return [channel for channel in channels if draw.random() < SHARE_OF_CHANNELS]


def _channel(draw: random.Random, channel: Channel) -> ChannelPolicy:
    longest = draw.choice(DELAYS_S)
    # A connection that never learns its first number or account is no connection: these come late and twice only.
    may_be_lost = channel not in ("next_id", "accounts")
    return ChannelPolicy(
        delay_s=(draw.choice((0.0, longest)), longest),
        delay_steps=draw.choice(((0, 0), (0, 0), (0, 3))),
        overtakes=draw.random() < 0.3,
        repeats=draw.choice((0, 0, 1, 2)),
        loss=draw.choice((0.0, 0.1, 1.0)) if may_be_lost else 0.0,
        loss_in_answers=draw.choice((0.0, 0.0, 0.1)) if may_be_lost else 0.0,
        unanswered=draw.choice((0.0, 0.0, 0.2)) if may_be_lost else 0.0,
    )


def _burst_order(draw: random.Random) -> tuple[Channel, ...]:
    channels: list[Channel] = ["execution", "order_status", "open_order", "commission", "error"]
    draw.shuffle(channels)
    return tuple(channels) if draw.random() < 0.5 else ()


def _rules(draw: random.Random) -> BrokerRules:
    return BrokerRules(
        children=draw.choice(("filled", "first_fill", "complete")),
        partly_filled_parent=draw.choice(("keep", "cancel")),
        groups=draw.choice(("as_asked", "block", "reduce", "cancel")),
        global_cancel=draw.choice(("all", "all", "api", "own", "ignored")),
        next_id=draw.choice(("own", "own", "above_all", "stuck")),
        ids_above_all_shown=draw.random() < 0.3,
        group_change_refused=draw.random() < 0.5,
        corrections_in_requests=draw.choice(("last", "both")),
        pieces=draw.choice((1, 1, 2, 3)),
        expired_code=draw.choice((200, 201)),
    )


def _order_rule(draw: random.Random) -> OrderRule:
    request: Literal["place", "modify", "cancel", "activate"] = draw.choice(
        ("place", "place", "place", "modify", "cancel", "activate")
    )
    answers: dict[str, tuple[Answer, ...]] = {
        "place": (*ORDER_CODES, "inactive", "dropped"),
        "modify": (201, 110, "inactive", "dropped"),
        "cancel": (*CANCEL_CODES, "pending_cancel", "dropped"),
        "activate": (201, 202, "inactive"),
    }
    return OrderRule(
        answer=draw.choice(answers[request]),
        request=request,
        kinds=draw.choice(((), ("MKT",), ("LMT",), ("STP",))),
        effect=draw.choice(("any", "any", "opening", "closing")),
        skip=draw.randint(0, 4),
        times=draw.choice((1, 1, 3)),
    )


def _acts(draw: random.Random, expires: bool) -> tuple[Act, ...]:
    names = [draw.choice(sorted(FOREIGN_ACTS)) for _ in range(draw.randint(0, 4))]
    acts = [Act(draw.randint(1, LONGEST_STEPS), name, draw.choice(FOREIGN_ACTS[name])) for name in names]
    if expires and draw.random() < 0.2:
        acts.append(Act(draw.randint(LONGEST_STEPS // 2, LONGEST_STEPS), "expire"))
    return tuple(sorted(acts, key=lambda act: act.step))

"""What an adversarial gateway does, as settings; the defaults do nothing.

Everything is drawn from `Adversary.seed`, so that the same requests in the same order meet the same answers.
"""

from typing import Literal

import msgspec

from adapters.ibkr.simulator.broker.rules import BrokerRules, OrderRule

Channel = Literal[
    "position", "open_order", "order_status", "execution", "commission", "next_id", "accounts", "error", "account",
    "time", "contract", "history", "bars",
]  # fmt: skip
ORDER_CHANNELS: tuple[Channel, ...] = (
    "position", "open_order", "order_status", "execution", "commission", "next_id", "accounts", "error",
)  # fmt: skip


class ChannelPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the messages of a channel reach clients.

    Attributes
    ----------
    delay_s : (float, float)
        Seconds of the wall clock, from and to; each message draws its own.
    delay_steps : (int, int)
        Steps of the market, from and to.
    overtakes : bool
        Whether messages of the channel may overtake one another; else a late one holds those behind it.
    repeats : int
        Every message is told so many times more.
    loss : float
        Probability that a message which nobody asked for is never told; a later request still shows it.
    loss_in_answers : float
        Probability that a row of an answer is missing.
    unanswered : float
        Probability that a request gets no answer at all, not even its end.
    """

    delay_s: tuple[float, float] = (0.0, 0.0)
    delay_steps: tuple[int, int] = (0, 0)
    overtakes: bool = False
    repeats: int = 0
    loss: float = 0.0
    loss_in_answers: float = 0.0
    unanswered: float = 0.0


class StalePositions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests for positions are answered with an older state.

    Attributes
    ----------
    fills : int
        The state before the last so many fills; 0 means the present one.
    seconds : float
        So long after the last fill, by the wall clock.
    """

    fills: int = 0
    seconds: float = 1e9


class CommissionPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Amounts in commission reports; late and missing reports are those of the channel ``"commission"``.

    Attributes
    ----------
    amount : {"true", "pending", "unset"}
        What is told first: the amount, -1, or the largest double.
    probability : float
        Share of executions that this happens to.
    corrected_after_s : float or None
        Seconds until the true amount is told and shows in requests; None means only `Delivery.correct_commissions`.
    """

    amount: Literal["true", "pending", "unset"] = "true"
    probability: float = 1.0
    corrected_after_s: float | None = 1.0


class CorrectionPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Executions that are corrected afterwards; the broker's books follow.

    Attributes
    ----------
    probability : float
        Share of executions.
    units : int
        Added to the quantity, which stays at least one.
    ticks : int
        Added to the price.
    after_s : float
        Seconds after the execution.
    told : bool
        Told at once; else it shows only in later requests for executions.
    """

    probability: float = 0.0
    units: int = 0
    ticks: int = 0
    after_s: float = 1.0
    told: bool = True


class OtherAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A further account of the same login.

    Attributes
    ----------
    name : str
    units : int
        Position in the first contract.
    cash_usd : float
    """

    name: str
    units: int = 0
    cash_usd: float = 100_000.0


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that happens once: a fault by name, so many steps after the adversary was set.

    Attributes
    ----------
    step : int
    name : str
        One of `adapters.ibkr.simulator.faults.FAULTS`.
    value : int
    """

    step: int
    name: str
    value: int = 1


class Adversary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a gateway does to its clients.

    Attributes
    ----------
    seed : int
    channels : dict of str to ChannelPolicy
    burst_order : tuple of str
        Messages of these channels that are sent at once are sent in this order, for example the status before the
        execution; empty leaves TWS's own.
    stale_positions : StalePositions
    commissions : CommissionPolicy
    corrections : CorrectionPolicy
    rules : BrokerRules
    orders : tuple of OrderRule
    tells_foreign : bool
        Orders and executions of every client are told to every client, as to a master client.
    base_currency : str
        ``"USD"`` or ``"EUR"``; account values are told in it.
    usd_per_euro : float
    other_accounts : tuple of OtherAccount
    clock_offset_s : float
        The broker's clock less the market's: what `reqCurrentTime` answers, and how much earlier a replay sends bars.
    acts : tuple of Act
    """

    seed: int = 0
    channels: dict[Channel, ChannelPolicy] = {}
    burst_order: tuple[Channel, ...] = ()
    stale_positions: StalePositions = StalePositions()
    commissions: CommissionPolicy = CommissionPolicy()
    corrections: CorrectionPolicy = CorrectionPolicy()
    rules: BrokerRules = BrokerRules()
    orders: tuple[OrderRule, ...] = ()
    tells_foreign: bool = False
    base_currency: str = "USD"
    usd_per_euro: float = 1.1
    other_accounts: tuple[OtherAccount, ...] = ()
    clock_offset_s: float = 0.0
    acts: tuple[Act, ...] = ()


FRIENDLY = Adversary()

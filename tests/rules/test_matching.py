"""How a bar meets resting orders, and what market orders get. Numbered as in docs/risk.md.

Prices are in ticks. A bar quotes a quarter of its volume at its open, high and low, and the rest at its close.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from rl_strategies.accounting.position import LEG
from rl_strategies.accounting.record import FILL_REASONS, ORDER_KINDS
from rl_strategies.decision.barriers import Distance, unit_code
from rl_strategies.decision.rules import RULES
from training.simulator import matching
from training.simulator.arrays import BAR, FILL, LANE

TS_NS = 1_700_000_000_000_000_000
ALWAYS = np.ones(1, bool)


class Market:
    """One lane with a position in one share, and the venue that holds its barriers.

    Parameters
    ----------
    units : int
        Held, entered at 1,000 ticks.
    stop, target : int
        Resting barriers in ticks; 0 for none.
    slippage : int
    slips : sequence of bool
        Draws where slippage is a matter of chance.
    adaptive : bool
    minimum_cents : int
        Commission of an order at least; one cent a share beyond.
    kept : int
        Fills that are written down.
    """

    def __init__(
        self,
        units: int = 0,
        stop: int = 0,
        target: int = 0,
        *,
        slippage: int = 0,
        slips: Sequence[bool] = (),
        adaptive: bool = True,
        minimum_cents: int = 0,
        rate_micros: int = 0,
        kept: int = 9,
    ) -> None:
        self.lane, self.leg = np.zeros(1, LANE)[0], np.zeros(1, LEG)[0]
        self.rules, self.fills = np.zeros(1, RULES)[0], np.zeros(kept, FILL)
        self.slips = np.array(slips) if slips else ALWAYS
        self.leg.units, self.leg.average_price, self.leg.atr = units, 10.0, 0.10
        self.leg.stop_ticks, self.leg.take_profit_ticks = stop, target
        for name, value in {
            "tick_raw": 1e14, "tick_size": 0.01, "multiplier": 1.0, "adaptive": adaptive, "stop_unit": -1,
            "take_profit_unit": -1, "slippage_ticks": slippage, "minimum_cents": minimum_cents,
            "rate_micros": rate_micros,
        }.items():  # fmt: skip
            self.rules[name] = value

    def with_barriers(self, stop: Distance, target: Distance) -> "Market":
        """Entries get these barriers."""
        self.rules.stop_unit, self.rules.stop_value = unit_code(stop), stop.value
        self.rules.take_profit_unit, self.rules.take_profit_value = unit_code(target), target.value
        return self

    def bar(self, prices: Sequence[int], last: int = 1_000, volume: int = 4_000) -> list[str]:
        """Let a bar of open, high, low, close happen after a close at ``last``; what was filled."""
        matching.match_bar(self.lane, self.leg, self.rules, self.fills, self.slips, _bar(prices, volume), last)
        return self.filled

    def order(self, side: int, units: int, price: int = 1_000, size: int = 1_000, reason: int = matching.SIGNAL) -> Any:
        """Change to a side at a price with so many units quoted; what was filled."""
        matching.change_side(
            self.lane, self.leg, self.rules, self.fills, self.slips, price, size, TS_NS, side, units, reason
        )
        return self.filled

    def open_trade(self, prices: Sequence[int], volume: int = 4_000) -> bool:
        """The opening trade of a bar; whether an order was sent."""
        bar = _bar(prices, volume)
        return bool(matching.trade_at_open(self.lane, self.leg, self.rules, self.fills, self.slips, bar, TS_NS))

    @property
    def filled(self) -> list[str]:
        """Every fill so far: signed units and price, kind and trigger, reason."""
        rows = self.fills[: min(int(self.leg.fill_count), len(self.fills))]
        return [
            f"{row['units']:+d}@{row['price_ticks']} {ORDER_KINDS[row['kind']]} {row['trigger_ticks']} "
            f"{FILL_REASONS[row['reason']]}"
            for row in rows
        ]  # fmt: skip

    @property
    def resting(self) -> tuple[int, int]:
        """Stop and target that still rest."""
        return int(self.leg.stop_ticks), int(self.leg.take_profit_ticks)


def _bar(prices: Sequence[int], volume: int) -> Any:
    bar = np.zeros(1, BAR)[0]
    bar.ts_ns, bar.volume = TS_NS, volume
    bar.open, bar.high, bar.low, bar.close = prices
    return bar


@dataclass(frozen=True)
class Barrier:
    """A held position with barriers, one bar, and what it fills."""

    units: int
    stop: int
    target: int
    prices: tuple[int, int, int, int]
    expected: Sequence[str]
    volume: int = 4_000
    slippage: int = 0
    adaptive: bool = True
    last: int = 1_000


BARRIERS = {
    # Stop loss of a long position at 990, of a short one at 1,010: touched, and a tick beside.
    "F1": Barrier(5, 990, 0, (1000, 1002, 990, 995), ["-5@990 stop 990 stop_loss"]),
    "F2": Barrier(5, 990, 0, (1000, 1002, 991, 995), []),
    "F3": Barrier(-5, 1010, 0, (1000, 1010, 999, 1005), ["+5@1010 stop 1010 stop_loss"]),
    "F4": Barrier(-5, 1010, 0, (1000, 1009, 999, 1005), []),
    # A bar that opens beyond the stop fills at its open; one that opens at it fills there.
    "F5": Barrier(5, 990, 0, (985, 986, 980, 984), ["-5@985 stop 990 stop_loss"]),
    "F6": Barrier(-5, 1010, 0, (1013, 1014, 1012, 1014), ["+5@1013 stop 1010 stop_loss"]),
    "F7": Barrier(5, 990, 0, (990, 992, 980, 984), ["-5@990 stop 990 stop_loss"]),
    # Passed within the bar it still fills at its trigger.
    "F59": Barrier(5, 990, 0, (1000, 1002, 985, 995), ["-5@990 stop 990 stop_loss"]),
    "F60": Barrier(-5, 1010, 0, (1000, 1015, 999, 1005), ["+5@1010 stop 1010 stop_loss"]),
    "F61": Barrier(5, 990, 0, (1000, 1000, 1000, 985), ["-5@990 stop 990 stop_loss"]),
    # Slippage is one tick against the position.
    "F8": Barrier(5, 990, 0, (1000, 1002, 990, 995), ["-5@989 stop 990 stop_loss"], slippage=1),
    "F9": Barrier(-5, 1010, 0, (1000, 1010, 999, 1005), ["+5@1011 stop 1010 stop_loss"], slippage=1),
    # Beyond the quoted size a stop fills one tick worse: a quarter of 12 are 3. At the close the rest is quoted.
    "F10": Barrier(5, 990, 0, (1000, 1002, 990, 995), ["-3@990 stop 990 stop_loss", "-2@989 stop 990 stop_loss"], 12),
    "F11": Barrier(5, 990, 0, (1000, 1000, 1000, 990), ["-5@990 stop 990 stop_loss"], 17),
    "F12": Barrier(5, 990, 0, (1000, 1000, 1000, 990), ["-4@990 stop 990 stop_loss", "-1@989 stop 990 stop_loss"], 16),
    "F13": Barrier(2, 990, 0, (1000, 1002, 990, 995), ["-1@990 stop 990 stop_loss", "-1@989 stop 990 stop_loss"], 0),
    # Take profit of a long position at 1,010, of a short one at 990: its own price, touched or traded through.
    "F14": Barrier(5, 0, 1010, (1000, 1010, 999, 1005), ["-5@1010 limit 1010 take_profit"]),
    "F15": Barrier(5, 0, 1010, (1000, 1009, 999, 1005), []),
    "F16": Barrier(-5, 0, 990, (1000, 1001, 990, 995), ["+5@990 limit 990 take_profit"]),
    "F17": Barrier(-5, 0, 990, (1000, 1001, 991, 995), []),
    "F18": Barrier(5, 0, 1010, (1020, 1021, 1015, 1016), ["-5@1010 limit 1010 take_profit"]),
    "F19": Barrier(5, 0, 1010, (1000, 1010, 999, 1005), ["-5@1009 limit 1010 take_profit"], slippage=1),
    # Touched, no more than the quoted 3 are filled, and the rest waits; traded through, all of it fills.
    "F20": Barrier(5, 0, 1010, (1000, 1010, 999, 1005), ["-3@1010 limit 1010 take_profit"], 12),
    "F21": Barrier(
        5, 0, 1010, (1000, 1011, 999, 1005), ["-3@1010 limit 1010 take_profit", "-2@1010 limit 1010 take_profit"], 12
    ),
    "F63": Barrier(
        4, 0, 1010, (1000, 1011, 999, 1005), ["-3@1010 limit 1010 take_profit", "-1@1010 limit 1010 take_profit"], 12
    ),
    # Twice in one bar: at the high 3 of 5, at the close 2 more.
    "F22": Barrier(
        5, 0, 1010, (1000, 1010, 980, 1010), ["-3@1010 limit 1010 take_profit", "-2@1010 limit 1010 take_profit"], 12
    ),
    # Both within one bar: the end that is nearer to the open comes first; at a tie the low.
    "F23": Barrier(5, 990, 1010, (1001, 1010, 990, 1000), ["-5@1010 limit 1010 take_profit"]),
    "F24": Barrier(5, 990, 1010, (999, 1010, 990, 1000), ["-5@990 stop 990 stop_loss"]),
    "F25": Barrier(5, 990, 1010, (1000, 1010, 990, 1000), ["-5@990 stop 990 stop_loss"]),
    "F26": Barrier(5, 990, 1010, (999, 1010, 990, 1000), ["-5@1010 limit 1010 take_profit"], adaptive=False),
    # A price that does not change does not happen: the last close was 990 already.
    "F27": Barrier(5, 990, 0, (990, 990, 990, 990), [], last=990),
    # A flat bar above: nothing.
    "F28": Barrier(5, 990, 1010, (1000, 1000, 1000, 1000), []),
    "F29": Barrier(0, 990, 1010, (1000, 1020, 980, 1000), []),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=number) for number, case in BARRIERS.items()])
def test_barrier(case: Barrier) -> None:
    market = Market(case.units, case.stop, case.target, slippage=case.slippage, adaptive=case.adaptive)
    assert market.bar(case.prices, case.last, case.volume) == list(case.expected)


def f30() -> Any:
    # Once filled, a barrier takes the other one from the venue.
    market = Market(5, 990, 1010)
    market.bar((1000, 1001, 990, 1000))
    return market.resting, int(market.leg.units), len(market.bar((1000, 1010, 980, 1000)))


def f31() -> Any:
    # A target filled in part leaves the stop, which then closes the rest: a quarter of 12 is 3.
    market = Market(5, 990, 1010)
    market.bar((1000, 1010, 1000, 1005), volume=12)
    rests = market.resting
    return rests, market.bar((1005, 1006, 990, 992), 1005)[1:], market.resting


def f32() -> Any:
    # Slippage by chance: the first draw slips, the second does not, and the stream begins again.
    market = Market(slippage=1, slips=(True, False))
    for side, units in ((1, 5), (0, 0), (1, 5)):
        market.order(side, units)
    return market.filled, int(market.lane.draws)


def f33() -> Any:
    # Certain slippage draws nothing.
    market = Market(slippage=1)
    return market.order(-1, 5), int(market.lane.draws)


def f34() -> Any:
    # A market order beyond the quoted size: the rest one tick worse, and slippage for both.
    return Market(slippage=1).order(1, 5, size=3)


def f35() -> Any:
    return Market().order(-1, 3, size=3)


def f36() -> Any:
    # Barriers are laid from the last fill's price, 1,002: 8 ticks, and 0.6 average true ranges of 10 ticks.
    market = Market(slippage=1).with_barriers(Distance(8, "ticks"), Distance(0.6, "atr"))
    market.order(1, 5, size=3)
    return market.resting


def f37() -> Any:
    market = Market(slippage=1).with_barriers(Distance(8, "ticks"), Distance(0.6, "atr"))
    market.order(-1, 5)
    return market.resting


def f38() -> Any:
    # A reversal is a close and an entry; old barriers go, new ones are laid.
    market = Market(5, 990, 1010).with_barriers(Distance(8, "ticks"), Distance(9, "ticks"))
    return market.order(-1, 4, reason=matching.REVERSE), market.resting


def f39() -> Any:
    # The side that is held already: nothing happens.
    market = Market(5, 990, 1010)
    return market.order(1, 9), market.resting


def f40() -> Any:
    # Leaving takes the barriers along.
    market = Market(-5, 1010, 990)
    return market.order(0, 0), market.resting


def f41() -> Any:
    # The minimum of 1.00 USD is paid once an order, however many parts fill: 150 and 150 shares at a cent.
    market = Market(minimum_cents=100, rate_micros=10_000)
    market.order(1, 300, size=150)
    return market.fills["commission_cents"][:2].tolist()


def f42() -> Any:
    # Also of a target that is filled on two bars: 30 and 90 shares are 1.00 and 0.20 USD.
    market = Market(120, 0, 1010, minimum_cents=100, rate_micros=10_000)
    market.bar((1000, 1010, 1000, 1005), volume=120)
    market.bar((1005, 1011, 1000, 1005), 1005)
    return market.fills["units"][:2].tolist(), market.fills["commission_cents"][:2].tolist()


def f43() -> Any:
    # Fills beyond those that are kept are counted.
    market = Market(kept=1)
    market.order(1, 5)
    market.order(-1, 5)
    return len(market.filled), int(market.leg.fill_count), int(market.leg.units)


def f44() -> Any:
    # At the open a resting stop meets the trade first; what waited finds the position gone.
    market = Market(5, 990, 0)
    market.leg.waiting, market.leg.waiting_side = 1, 0
    return market.open_trade((985, 990, 980, 985)), market.filled, int(market.leg.waiting)


def f45() -> Any:
    # What waited trades at the open, against a quarter of the volume.
    market = Market(slippage=1)
    market.leg.waiting, market.leg.waiting_side, market.leg.waiting_units = 1, -1, 5
    return market.open_trade((1003, 1004, 990, 1000), volume=12), market.filled


def f46() -> Any:
    # Nothing waits: no order, however the position stands.
    market = Market(5)
    market.leg.waiting_side = -1
    return market.open_trade((1003, 1004, 990, 1000)), market.filled


def f47() -> Any:
    # An entry that waited for a side held by now is dropped.
    market = Market(5)
    market.leg.waiting, market.leg.waiting_side, market.leg.waiting_units = 1, 1, 5
    return market.open_trade((1003, 1004, 990, 1000)), market.filled


def f56() -> Any:
    # A single unit, bought and sold, slips as well.
    market = Market(slippage=1)
    market.order(1, 1)
    return market.order(0, 0)


def f57() -> Any:
    # A target filled in part, then left: the next target is an order of its own and pays the minimum again.
    market = Market(9, 0, 1010, minimum_cents=100, rate_micros=10_000).with_barriers(
        Distance(8, "ticks"), Distance(9, "ticks")
    )
    market.bar((1000, 1010, 1000, 1005), volume=12)
    market.order(1, 9)
    market.order(0, 0)
    market.order(1, 9)
    market.bar((1000, 1010, 1000, 1005))
    return market.filled[-1], int(market.fills["commission_cents"][market.leg.fill_count - 1])


def f62() -> Any:
    # Without slippage nothing is drawn, though there are draws.
    market = Market(slips=(True, False))
    return market.order(1, 5), int(market.lane.draws)


def f64() -> Any:
    # A target that is filled takes the stop from the venue.
    market = Market(5, 990, 1010)
    market.bar((1000, 1010, 999, 1005))
    return market.resting


def f65() -> Any:
    # One unit left is still protected, long and short.
    long, short = Market(4, 990, 1010), Market(-4, 1010, 990)
    long.bar((1000, 1010, 1000, 1005), volume=12)
    short.bar((1000, 1000, 990, 995), volume=12)
    return int(long.leg.units), long.resting, int(short.leg.units), short.resting


def f66() -> Any:
    market = Market(slippage=1)
    market.order(-1, 1)
    return market.order(0, 0)


STORIES = {
    f30: ((0, 0), 0, 1),
    f31: ((990, 1010), ["-2@990 stop 990 stop_loss"], (0, 0)),
    f32: (["+5@1001 market 0 entry", "-5@1000 market 0 signal", "+5@1001 market 0 entry"], 3),
    f33: (["-5@999 market 0 entry"], 0),
    f34: ["+3@1001 market 0 entry", "+2@1002 market 0 entry"],
    f35: ["-3@1000 market 0 entry"],
    f36: (994, 1008),
    f37: (1007, 993),
    f38: (["-5@1000 market 0 reverse", "-4@1000 market 0 entry"], (1008, 991)),
    f39: ([], (990, 1010)),
    f40: (["+5@1000 market 0 signal"], (0, 0)),
    f41: [150, 150],
    f42: ([-30, -90], [100, 20]),
    f43: (1, 3, -5),
    f44: (False, ["-5@985 stop 990 stop_loss"], 0),
    f45: (True, ["-3@1002 market 0 entry", "-2@1001 market 0 entry"]),
    f46: (False, []),
    f47: (False, []),
    f56: ["+1@1001 market 0 entry", "-1@999 market 0 signal"],
    f62: (["+5@1000 market 0 entry"], 0),
    f64: (0, 0),
    f65: (1, (990, 1010), -1, (1010, 990)),
    f66: ["-1@999 market 0 entry", "+1@1001 market 0 signal"],
    f57: ("-9@1009 limit 1009 take_profit", 100),
}


@pytest.mark.parametrize(
    ("story", "expected"),
    [pytest.param(story, expected, id=story.__name__.upper()) for story, expected in STORIES.items()],
)
def test_orders(story: Any, expected: Any) -> None:
    assert story() == expected


@pytest.mark.parametrize(
    ("rows", "volume", "at_open", "sizes"),
    [
        # The last tick that moved the price quotes: the close the rest, 12 - 9 = 3 of 12, 5 of 14; high or low 3.
        pytest.param([(1000, 1002, 999, 1001)], [14], False, [5], id="F48"),
        pytest.param([(1000, 1002, 999, 1002)], [14], False, [3], id="F49"),  # low, then high, which is the close
        # A bar that does not move quotes what the one before left; its opening trade quotes anew where there is one.
        pytest.param([(1000, 1002, 999, 1001), (1001, 1001, 1001, 1001)], [14, 400], False, [5, 5], id="F50"),
        pytest.param([(1000, 1002, 999, 1001), (1001, 1001, 1001, 1001)], [14, 400], True, [5, 100], id="F51"),
        pytest.param([(1000, 1000, 1000, 1000)], [3], False, [1], id="F52"),
        pytest.param([(1000, 1000, 1000, 1001)], [3], False, [1], id="F53"),
        # The first bar's open moves the price whatever comes later.
        pytest.param([(1000, 1000, 1000, 1000), (1001, 1001, 1001, 1001)], [14, 40], False, [3, 10], id="F54"),
    ],
)
def test_quoted_size(rows: list[tuple[int, ...]], volume: list[int], at_open: bool, sizes: list[int]) -> None:
    open_, high, low, close = np.array(rows).T
    found = np.zeros(len(rows), np.int64)
    matching.book_sizes(np.array(volume), open_, high, low, close, 1, at_open, found)
    assert found.tolist() == sizes


@pytest.mark.parametrize(
    ("rows", "volume", "sizes"),
    [
        # The second bar opens where the first closed: its high and low quote anew, 10 of 40.
        pytest.param([(1000, 1002, 999, 1000), (1000, 1002, 1000, 1000)], [14, 40], [5, 10], id="F55"),
        pytest.param([(1000, 1002, 999, 1002)], [14], [5], id="F58"),  # after the low the close moved the price
    ],
)
def test_quoted_size_where_the_high_comes_first(
    rows: list[tuple[int, ...]], volume: list[int], sizes: list[int]
) -> None:
    open_, high, low, close = np.array(rows).T
    found = np.zeros(len(rows), np.int64)
    matching.book_sizes(np.array(volume), open_, high, low, close, 0, False, found)
    assert found.tolist() == sizes

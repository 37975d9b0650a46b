"""Limits of the account as a whole. Numbered as in docs/risk.md.

Unless a case says otherwise equity is 100,000 USD, a unit costs 100 USD and an entry wants 100 units: 10,000 USD, a
tenth of the equity.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from msgspec.structs import replace

from rl_strategies.accounting.position import ACCOUNT, LEG
from rl_strategies.decision.rules import RULES
from rl_strategies.risk.config import RiskConfig, pack_limits
from rl_strategies.risk.overlay import REASONS, review_all
from tests.rules.day import NO_LIMIT


@dataclass(frozen=True)
class Book:
    """Held units, wanted sides, and the side, units and reason that must come of each.

    Attributes
    ----------
    risk : RiskConfig
    held, targets : sequence of int
    expected : str
        Signed units of the entry that is granted, ``hold`` or ``flat``; after it the reason of a refusal.
    units, price, multiplier, equity : float
    """

    risk: RiskConfig
    held: Sequence[int]
    targets: Sequence[int]
    expected: str
    units: int = 100
    price: float = 100.0
    multiplier: float = 1.0
    equity: float = 100_000.0

    def outcome(self, risk: RiskConfig | None = None) -> str:
        """What the overlay answers, under these limits or under others."""
        count = len(self.held)
        legs, rules, account = np.zeros(count, LEG), np.zeros(count, RULES), np.zeros(1, ACCOUNT)
        legs["units"], legs["price"] = self.held, self.price
        legs["is_open"], legs["volume"], legs["since_open"], legs["to_close"] = 1, 10**9, 60.0, 60.0
        rules["units"], rules["multiplier"], rules["tick_size"] = self.units, self.multiplier, 0.01
        account["equity"] = account["session_equity"] = account["peak_equity"] = self.equity
        review_all(legs, np.array(self.targets), rules, pack_limits(risk or self.risk)[0], account[0])
        return ", ".join(_answer(leg) for leg in legs)


def _answer(leg: np.record) -> str:
    if leg.order_units:
        done = f"{leg.side * leg.order_units:+d}"
    else:
        done = "hold" if leg.side * leg.units > 0 else "flat"
        assert leg.side == 0 or done == "hold"
    return done if REASONS[leg.reason] == "approved" else f"{done} {REASONS[leg.reason]}"


def gross(share: float, **others: float) -> RiskConfig:
    return replace(NO_LIMIT, max_gross_exposure=share, **others)


def net(share: float) -> RiskConfig:
    return replace(NO_LIMIT, max_net_exposure=share)


def concentration(share: float) -> RiskConfig:
    return replace(NO_LIMIT, max_concentration=share)


def leverage(share: float, **others: float) -> RiskConfig:
    return replace(NO_LIMIT, max_leverage=share, **others)


BOOKS = {
    # Gross exposure: 20,000 wanted, 20,000 and 10,000 allowed.
    "P1": Book(gross(0.20), [0, 0], [1, -1], "+100, -100"),
    "P2": Book(gross(0.10), [0, 0], [1, -1], "+50, -50"),
    # Rounded down: 0.199 leaves 19,900 of 20,000, that is 99.5 units each.
    "P3": Book(gross(0.199), [0, 0], [1, 1], "+99, +99"),
    # Beyond by 50 cents is beyond.
    "P41": Book(gross(0.199995), [0, 0], [1, 1], "+99, +99"),
    # What is held counts, long or short: 10,000 held leave 10,000 of 20,000, 5,000 of 15,000, nothing of 10,000.
    "P4": Book(gross(0.20), [100, 0], [1, 1], "hold, +100"),
    "P5": Book(gross(0.15), [100, 0], [1, 1], "hold, +50"),
    "P6": Book(gross(0.15), [-100, 0], [-1, 1], "hold, +50"),
    "P7": Book(gross(0.10), [100, 0], [1, 1], "hold, flat gross_exposure"),
    # Less than a unit is none: 10,099 leave 99 USD, 10,100 leave 100 USD.
    "P8": Book(gross(0.10099), [100, 0], [1, 1], "hold, flat gross_exposure"),
    "P9": Book(gross(0.10100), [100, 0], [1, 1], "hold, +1"),
    # No room is none, however cheap a unit: 20,000 held at 0.50 USD.
    "P42": Book(gross(0.10), [20_000, 0], [1, 1], "hold, flat gross_exposure", price=0.5),
    # What is left or turned round makes room.
    "P10": Book(gross(0.10), [100, 0], [0, 1], "flat, +100"),
    "P11": Book(gross(0.10), [100, 0], [-1, 0], "-100, flat"),
    # Beyond the limit nothing is closed, and exits are free.
    "P12": Book(gross(0.05), [100, -100], [1, 0], "hold, flat"),
    # The multiplier counts: 100 contracts of 5 USD a point are 50,000; 20,000 buy 40.
    "P13": Book(gross(0.20), [0], [1], "+40", multiplier=5.0),
    # Net exposure: longs less shorts. 20,000 are allowed, 19,999 are not 20,000.
    "P14": Book(net(0.20), [100, 0], [1, 1], "hold, +100"),
    "P15": Book(net(0.19999), [100, 0], [1, 1], "hold, flat net_exposure"),
    "P16": Book(net(0.10), [100, 0], [1, -1], "hold, -100"),
    "P17": Book(net(0.19999), [-100, 0], [-1, -1], "hold, flat net_exposure"),
    # An entry that brings the net nearer to zero is granted though it stays beyond the limit: 30,000 to 20,000.
    "P18": Book(net(0.10), [300, 0], [1, -1], "hold, -100"),
    "P19": Book(net(0.10), [300, 0], [1, 1], "hold, flat net_exposure"),
    # Through zero and beyond on the other side: +10,000 less 30,000 are -20,000.
    "P20": Book(net(0.10), [100, 0], [1, -1], "hold, flat net_exposure", units=300),
    # One after another, in the order of the instruments: the first is granted, the second would be too much.
    "P21": Book(net(0.10), [0, 0], [1, 1], "+100, flat net_exposure"),
    "P22": Book(net(0.10), [0, 0, 0], [1, 1, -1], "+100, flat net_exposure, -100"),
    # What goes flat is no part of the net any more.
    "P23": Book(net(0.10), [100, 0], [0, 1], "flat, +100"),
    # Concentration: one instrument. 10,000 are wanted, 10,000, 5,000 and 9,990 allowed.
    "P24": Book(concentration(0.10), [0], [1], "+100"),
    "P25": Book(concentration(0.05), [0, 0], [1, -1], "+50, -50"),
    "P26": Book(concentration(0.0999), [0], [-1], "-99"),
    # A unit costs 100 USD: 100 buy one, 99 none. What is held elsewhere does not count.
    "P27": Book(concentration(0.001), [500, 0], [1, 1], "hold, +1"),
    "P28": Book(concentration(0.00099), [500, 0], [1, 1], "hold, flat concentration"),
    "P29": Book(concentration(0.10), [0], [1], "+20", multiplier=5.0),
    # Scaled by concentration first, then together by gross: 50 each are 10,000, 25 each are 5,000.
    "P30": Book(gross(0.05, max_concentration=0.05), [0, 0], [1, 1], "+25, +25"),
    # Held beyond the gross limit while nothing fits the concentration limit: each is refused for its own reason.
    "P44": Book(gross(0.05, max_concentration=0.0001), [100, 0], [1, 1], "hold, flat concentration"),
    # Leverage: as gross, but refused instead of scaled. 10,000 held and 10,000 wanted: 20,000, 19,999.
    "P31": Book(leverage(0.20), [100, 0], [1, 1], "hold, +100"),
    "P32": Book(leverage(0.19999), [100, 0], [1, 1], "hold, flat leverage"),
    "P33": Book(leverage(0.19999), [-100, 0], [-1, 1], "hold, flat leverage"),
    "P34": Book(leverage(0.10), [0, 0], [1, -1], "+100, flat leverage"),
    "P35": Book(leverage(0.10), [100, 0], [0, -1], "flat, -100"),
    # Scaled to the gross limit first: then it fits.
    "P36": Book(leverage(0.10, max_gross_exposure=0.10), [0, 0], [1, 1], "+50, +50"),
    "P37": Book(leverage(0.10), [0], [1], "flat leverage", multiplier=5.0),
    # Nothing is entered on an equity of zero or less; exits are free.
    "P38": Book(gross(4.0), [0, -5], [1, 0], "flat gross_exposure, flat", equity=0.0),
    "P43": Book(gross(4.0), [0], [1], "flat gross_exposure", price=1.0, equity=0.0),
    "P39": Book(leverage(4.0), [0, 0], [1, 0], "flat leverage, flat", equity=-5_000.0),
    # Without limits everything is granted.
    "P40": Book(NO_LIMIT, [1000, 0], [1, 1], "hold, +100", equity=1.0),
}


@pytest.mark.parametrize("book", [pytest.param(book, id=number) for number, book in BOOKS.items()])
def test_portfolio(book: Book) -> None:
    assert book.outcome() == book.expected

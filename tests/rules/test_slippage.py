"""How much worse market orders and stops fill. Numbered as in docs/risk.md.

Prices are in ticks. The session opened an hour before the fill unless told otherwise.
"""

from typing import Any

import numpy as np
import pytest

from catalogs.errors import InputError
from rl_strategies.accounting.record import Fill
from rl_strategies.analysis.cost_sensitivity import cost_sensitivity
from rl_strategies.decision.barriers import Distance
from rl_strategies.decision.rules import ExecutionConfig
from rl_strategies.decision.slippage import SlippageConfig, adverse_ticks, pack_slippage
from tests.rl_strategies.test_trades import at, record_of
from tests.rl_strategies.test_trades import market as market_fill
from tests.rules.day import share
from tests.rules.test_matching import TS_NS, Market

MINUTE_NS = 60 * 10**9
OPENING = {"AAA.EQUS": [(0, 8.0), (30, 2.0), (60, 1.0), (65, 6.0)]}


def market(slippage: SlippageConfig, *args: Any, after_open_ns: int = 60 * MINUTE_NS, **more: Any) -> Market:
    """A market whose fills slip like that."""
    made = Market(*args, **more)
    for name, value in pack_slippage(slippage, share("AAA"), 0).items():
        made.rules[name] = value
    made.leg.session_open_ns = TS_NS - after_open_ns
    return made


def bought_and_sold(price: int = 1_000, after_open_ns: int = 60 * MINUTE_NS, **slippage: Any) -> tuple[int, int]:
    """Prices of a purchase and a sale at a price."""
    prices = []
    for side in (1, -1):
        made = market(SlippageConfig(**slippage), after_open_ns=after_open_ns)
        made.order(side, 5, price)
        prices.append(int(made.fills["price_ticks"][0]))
    return prices[0], prices[1]


@pytest.mark.parametrize(
    ("slippage", "price", "bought", "sold"),
    [
        pytest.param({"ticks": 2}, 1000, 1002, 998, id="D1"),
        pytest.param({"ticks": 1.2}, 1000, 1002, 998, id="D2"),
        pytest.param({"ticks": 0}, 1000, 1000, 1000, id="D3"),
        pytest.param({"bps": 10}, 1000, 1001, 999, id="D4"),  # 1,000 / 10,000 * 10 is one tick
        pytest.param({"bps": 10}, 1001, 1003, 999, id="D5"),  # 1.001 ticks
        pytest.param({"bps": 5}, 1000, 1001, 999, id="D6"),
        pytest.param({"bps": 1}, 60_000, 60_006, 59_994, id="D7"),
        pytest.param({"bps": 0.01}, 100, 101, 99, id="D8"),
        pytest.param({"spreads": {"AAA.EQUS": [(0, 2.0)]}}, 1000, 1001, 999, id="D9"),
        pytest.param({"spreads": {"AAA.EQUS": [(0, 1.0)]}}, 1000, 1001, 999, id="D10"),
        pytest.param({"spreads": {"AAA.EQUS": [(0, 2.2)]}}, 1000, 1002, 998, id="D11"),
        pytest.param({"ticks": 5}, 3, 8, 1, id="D12"),
        pytest.param({"ticks": 5}, 5, 10, 1, id="D13"),
        pytest.param({"ticks": 5}, 6, 11, 1, id="D14"),
        pytest.param({"ticks": 5}, 1, 6, 1, id="D15"),
        pytest.param({"bps": 100}, -1000, -990, -1010, id="D16"),
        pytest.param({"ticks": 1, "rounding": "drawn"}, 1000, 1001, 999, id="D17"),
        pytest.param({"ticks": 3, "probability": 0.0}, 1000, 1000, 1000, id="D18"),
    ],
)
def test_amount(slippage: dict[str, Any], price: int, bought: int, sold: int) -> None:
    assert bought_and_sold(price, **slippage) == (bought, sold)


@pytest.mark.parametrize(
    ("after_open_ns", "ticks"),
    [
        pytest.param(1, 4, id="D19"),
        pytest.param(30 * MINUTE_NS - 1, 4, id="D20"),
        pytest.param(30 * MINUTE_NS, 1, id="D21"),
        pytest.param(60 * MINUTE_NS, 1, id="D22"),  # half a tick is a whole one
        pytest.param(65 * MINUTE_NS, 3, id="D23"),
        pytest.param(23 * 60 * MINUTE_NS, 3, id="D24"),
        pytest.param(25 * 60 * MINUTE_NS, 3, id="D25"),
    ],
)
def test_time_of_day(after_open_ns: int, ticks: int) -> None:
    assert bought_and_sold(after_open_ns=after_open_ns, spreads=OPENING) == (1_000 + ticks, 1_000 - ticks)


def d26() -> Any:
    # A limit fills at its limit.
    return market(SlippageConfig(ticks=3), 5, 0, 1010).bar((1000, 1012, 999, 1005))


def d27() -> Any:
    return market(SlippageConfig(ticks=3), 5, 990, 0).bar((1000, 1002, 980, 985))


def d28() -> Any:
    # A stop that the open jumped over is worse than the open.
    return market(SlippageConfig(ticks=3), -5, 1010, 0).bar((1013, 1014, 1012, 1014))


def d29() -> Any:
    # What is not quoted costs one tick more than the slipped price.
    return market(SlippageConfig(ticks=3)).order(1, 5, size=3)


def d30() -> Any:
    # Barriers are measured from the slipped fill, and lie beyond the market.
    made = market(SlippageConfig(ticks=3)).with_barriers(Distance(8, "ticks"), Distance(6, "ticks"))
    made.order(1, 5)
    return made.resting


def d31() -> Any:
    made = market(SlippageConfig(ticks=20)).with_barriers(Distance(8, "ticks"), Distance(6, "ticks"))
    made.order(1, 5)
    return made.resting


def d32() -> Any:
    # Both fills of a reversal are worse, by the same draw.
    made = market(SlippageConfig(ticks=0.5, rounding="drawn", seed=1), 5)
    made.order(-1, 4)
    prices = made.fills["price_ticks"][:2]
    return int(prices[0] - prices[1])


def d33() -> Any:
    # An opening trade: against a quarter of the volume, then a tick worse.
    made = market(SlippageConfig(bps=20))
    made.leg.waiting, made.leg.waiting_side, made.leg.waiting_units = 1, -1, 5
    return made.open_trade((1003, 1004, 990, 1000), volume=12), made.filled


STORIES = {
    d26: ["-5@1010 limit 1010 take_profit"],
    d27: ["-5@987 stop 990 stop_loss"],
    d28: ["+5@1016 stop 1010 stop_loss"],
    d29: ["+3@1003 market 0 entry", "+2@1004 market 0 entry"],
    d30: (995, 1009),
    d31: (999, 1026),
    d32: 0,
    d33: (True, ["-3@1000 market 0 entry", "-2@999 market 0 entry"]),  # 2.006 ticks are three
}


@pytest.mark.parametrize(
    ("story", "expected"),
    [pytest.param(story, expected, id=story.__name__.upper()) for story, expected in STORIES.items()],
)
def test_orders(story: Any, expected: Any) -> None:
    assert story() == expected


@pytest.mark.parametrize(
    ("slippage", "mean"),
    [
        pytest.param({"ticks": 0.25, "rounding": "drawn"}, 0.25, id="D34"),
        pytest.param({"ticks": 2.7, "rounding": "drawn", "seed": 5}, 2.7, id="D35"),
        pytest.param({"ticks": 2, "probability": 0.3}, 0.6, id="D36"),
        pytest.param({"ticks": 1.5, "rounding": "drawn", "probability": 0.5, "seed": 2**40}, 0.75, id="D37"),
        pytest.param({"spreads": {"AAA.EQUS": [(0, 1.0)]}, "rounding": "drawn"}, 0.5, id="D38"),
    ],
)
def test_draws_are_right_on_average(slippage: dict[str, Any], mean: float) -> None:
    ticks = drawn_ticks(slippage, 0, 4_000)
    spread = np.std(ticks) / np.sqrt(len(ticks))
    assert abs(np.mean(ticks) - mean) < 4 * spread
    assert np.corrcoef(ticks[1:], ticks[:-1])[0, 1] == pytest.approx(0, abs=0.07)


def drawn_ticks(slippage: dict[str, Any], place: int, seconds: int) -> np.ndarray:
    """Ticks of a purchase in each of so many minutes."""
    made = Market()
    for name, value in pack_slippage(SlippageConfig(**slippage), share("AAA"), place).items():
        made.rules[name] = value
    times = [TS_NS + number * MINUTE_NS for number in range(seconds)]
    return np.array([adverse_ticks(made.rules, TS_NS, ts_ns, 1_000, 1) for ts_ns in times])


@pytest.mark.parametrize(
    ("other", "place"),
    [
        pytest.param({"seed": 1}, 0, id="D39"),
        pytest.param({}, 1, id="D40"),
    ],
)
def test_seeds_and_instruments_draw_apart(other: dict[str, Any], place: int) -> None:
    half = {"ticks": 0.5, "rounding": "drawn"}
    one, two = drawn_ticks(half, 0, 2_000), drawn_ticks(half | other, place, 2_000)
    assert np.corrcoef(one, two)[0, 1] == pytest.approx(0, abs=0.09)
    assert one.tolist() == drawn_ticks(half, 0, 2_000).tolist()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param({}, "must have one of ticks, bps and spreads, had none", id="D41"),
        pytest.param({"ticks": 1, "bps": 1}, "must have one of ticks, bps and spreads, had ticks and bps", id="D42"),
        pytest.param({"ticks": -0.1}, "slippage.ticks must be from 0 to 1000, was -0.1", id="D43"),
        pytest.param({"ticks": float("nan")}, "slippage.ticks must be from 0 to 1000, was nan", id="D44"),
        pytest.param({"bps": 1000.1}, "slippage.bps must be from 0 to 1000, was 1000.1", id="D45"),
        pytest.param({"ticks": 1, "probability": 1.1}, r"slippage.probability must be in \[0, 1\], was 1.1", id="D46"),
        pytest.param({"ticks": 1, "seed": -1}, "slippage.seed must not be negative, was -1", id="D47"),
        pytest.param({"spreads": {}}, "must name an instrument, was empty", id="D48"),
        pytest.param({"spreads": {"A.EQUS": [(5, 1.0)]}}, "of A.EQUS must begin at minute 0, began at 5", id="D49"),
        pytest.param({"spreads": {"A.EQUS": [(0, 1.0), (0, 2.0)]}}, "must ascend by minute", id="D50"),
        pytest.param({"spreads": {"A.EQUS": [(0, 1.0), (7, 2.0)]}}, "a multiple of 5 below 1440, was 7", id="D51"),
        pytest.param({"spreads": {"A.EQUS": [(0, -1.0)]}}, "must be from 0 to 10000 ticks, was -1.0", id="D52"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SlippageConfig(**settings)


@pytest.mark.parametrize(
    "older",
    [
        pytest.param({"slippage_ticks": 0}, id="D53"),
        pytest.param({"slippage_probability": 0.5}, id="D54"),
        pytest.param({"slippage_seed": 1}, id="D55"),
    ],
)
def test_two_slippages_are_refused(older: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="slippage takes the place of slippage_ticks"):
        ExecutionConfig(slippage=SlippageConfig(ticks=1), **older)


@pytest.mark.parametrize(
    ("spreads", "said"),
    [
        pytest.param({"BBB.EQUS": [(0, 1.0)]}, "must have rows for AAA.EQUS, has BBB.EQUS", id="D56"),
        pytest.param("spreads.csv", "must be read before use, was the file spreads.csv", id="D57"),
    ],
)
def test_tables_that_do_not_serve(spreads: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        pack_slippage(SlippageConfig(spreads=spreads), share("AAA"), 0)


LONG = (market_fill(0, 2, 20001), Fill(at(3), -2, 20032, 420, "limit", 20032, "take_profit"))
SHORT = (market_fill(1, -1, 20002), market_fill(3, 1, 20030, "time_limit"))


@pytest.mark.parametrize(
    ("fills", "net", "figure", "expected"),
    [
        # A tick is 12.50 USD a contract; the close of the entry was 20,000.
        pytest.param(LONG, 766.6, "one_more_tick_usd", 25.0, id="D58"),  # two contracts; the limit keeps its price
        pytest.param(LONG, 766.6, "one_more_bps_usd", 50.0025, id="D59"),  # of 5,000.25 x 50 x 2
        pytest.param(LONG, 766.6, "slippage_again_usd", 25.0, id="D60"),
        pytest.param(LONG, 766.6, "pnl_one_more_tick_usd", 741.6, id="D61"),
        pytest.param(LONG, 766.6, "break_even_ticks", 30.664, id="D62"),
        pytest.param(SHORT, -354.2, "one_more_tick_usd", 25.0, id="D63"),
        pytest.param(SHORT, -354.2, "pnl_one_more_bps_usd", -404.24, id="D64"),  # of 5,000.50 and 5,007.50, times 50
        pytest.param(SHORT, -354.2, "break_even_ticks", None, id="D65"),  # there is no gain to lose
        pytest.param((), 0.0, "one_more_tick_usd", 0.0, id="D66"),
        pytest.param((), 0.0, "break_even_bps", None, id="D67"),
    ],
)
def test_higher_costs(fills: tuple[Fill, ...], net: float, figure: str, expected: float | None) -> None:
    found = getattr(cost_sensitivity(record_of(*fills), net), figure)
    assert found == (expected if expected is None else pytest.approx(expected))

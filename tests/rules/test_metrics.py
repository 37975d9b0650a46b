"""The figures of a run. Numbered as in docs/risk.md.

Expected values are worked out on paper; roots and powers with a calculator of thirty digits.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from catalogs.errors import InputError
from rl_strategies.accounting.record import RunRecord
from rl_strategies.analysis.equity_path import (
    Drawdown,
    annualised_return,
    annualised_volatility,
    daily_pnl,
    daily_returns,
    max_drawdown,
    sharpe_ratio,
    sortino_ratio,
    tail_risk,
)
from rl_strategies.analysis.mean_interval import Interval, mean_interval
from rl_strategies.analysis.metrics import Metrics, compute_metrics
from rl_strategies.analysis.trades import build_trades
from tests.rl_strategies.test_metrics import fill, record_of


def figures(record: RunRecord) -> Metrics:
    return compute_metrics(record, build_trades(record))


def equity_run(*sessions: list[float]) -> RunRecord:
    """10,000 USD at first and these equities, minute by minute, session by session."""
    record = record_of([[50_000] * len(day) for day in sessions], (), starting=10_000.0)
    return replace(record, equity_usd=np.array([usd for day in sessions for usd in day]))


# Ten shares from 500.00 to 503.00; ten sold short at 501.99, a tick below the close, and bought back at 501.01, a tick
# above it; twenty bought three ticks above the close and sold a tick below; ten held at the end. Every fill costs 1.00.
TRADES = record_of(
    [[50_000, 50_100, 50_300, 50_300], [50_200, 50_100, 50_000, 49_900], [49_900, 49_950]],
    (
        fill(0, 0, 10, 50_000), fill(0, 2, -10, 50_300, "signal"),
        fill(1, 0, -10, 50_199), fill(1, 1, 10, 50_101, "signal"),
        fill(1, 2, 20, 50_003), fill(1, 3, -20, 49_899, "stop_loss"),
        fill(2, 0, 10, 49_900),
    ),
)  # fmt: skip
# PnL of the trades: 30.00 - 2 = 28.00, 9.80 - 2 = 7.80, -20.80 - 2 = -22.80, and 5.00 - 1 = 4.00 still open.
# Equity: 9999.00 10009.00 10028.00 10028.00 | 10026.90 10035.80 10034.20 10013.00 | 10012.00 10017.00

# 21 sessions: up 200, down 153, up 53, down 50, up 50, up 50, down 50, and then nothing.
WEEKS = equity_run(
    [10_100.0, 10_200.0], [9_996.0, 10_047.0], [10_060.0, 10_100.0], [10_080.0, 10_050.0], [10_070.0, 10_100.0],
    [10_200.0, 10_150.0], *[[10_100.0, 10_100.0]] * 15,
)  # fmt: skip
# Five sessions of +1, -1, +2, -2 and +1 %.
FIVE = equity_run([10_100.0], [9_999.0], [10_198.98], [9_995.0004], [10_094.950404])
TEN_EQUAL = equity_run(*[[10_000.0 + 5.0 * day] for day in range(1, 11)])
NO_DRAWDOWN = equity_run(*[[10_000.0 + 5.0 * day] for day in range(1, 21)])

# Three trades of 0.00, +0.50 and -0.50 USD after two commissions of 1.00: 100 × 0.02, 50 × 0.05, 50 × 0.03.
SMALL = record_of(
    [[50_000, 50_002, 50_000, 50_005, 50_000, 50_003]],
    (
        fill(0, 0, 100, 50_000), fill(0, 1, -100, 50_002, "signal"),
        fill(0, 2, 50, 50_000), fill(0, 3, -50, 50_005, "signal"),
        fill(0, 4, 50, 50_000), fill(0, 5, -50, 50_003, "signal"),
    ),
)  # fmt: skip
# An equity with a fraction of a cent; a fall that is made good on the last bar of the next session.
FRACTION, NEXT_DAY = equity_run([10_000.126]), equity_run([9_990.0], [10_000.0], [10_000.0])

CONSTANT_LOSS = equity_run(*[[10_000.0 - 10.0 * day] for day in range(1, 21)])
FIGURES: list[tuple[str, RunRecord, str, Any]] = [
    ("M1", TRADES, "sessions", 3),
    ("M2", TRADES, "bars", 10),
    ("M3", TRADES, "starting_balance_usd", 10_000.0),
    ("M4", TRADES, "final_equity_usd", 10_017.0),
    ("M5", TRADES, "net_pnl_usd", 17.0),
    ("M6", TRADES, "unreconciled_usd", 0.0),
    ("M7", TRADES, "total_return_pct", 0.17),
    ("M8", TRADES, "trades", 3),
    ("M9", TRADES, "open_trades", 1),
    ("M10", TRADES, "trades_per_session", 1.0),
    ("M11", TRADES, "win_rate_pct", 200 / 3),
    ("M12", TRADES, "profit_factor", 1.57017543859649),  # 35.80 / 22.80
    ("M13", TRADES, "average_win_usd", 17.9),
    ("M14", TRADES, "average_loss_usd", -22.8),
    ("M15", TRADES, "expectancy_usd", 13 / 3),
    ("M16", TRADES, "average_duration_bars", 4 / 3),  # 2, 1 and 1
    ("M17", TRADES, "average_duration_minutes", 4 / 3),
    ("M18", TRADES, "long_trades", 2),
    ("M19", TRADES, "short_trades", 1),
    ("M20", TRADES, "long_pnl_usd", 5.2),
    ("M21", TRADES, "short_pnl_usd", 7.8),
    ("M22", TRADES, "exposure_pct", 60.0),  # six closes of ten: 2 + 1 + 1 + 2
    # 5,000 + 5,030 + 5,019.90 + 5,010.10 + 10,000.60 + 9,979.80 + 4,990
    ("M23", TRADES, "traded_notional_usd", 45_030.4),
    ("M24", TRADES, "turnover", 4.49392183260165),  # over an average equity of 10,020.29
    ("M25", TRADES, "turnover_per_session", 1.49797394420055),
    ("M26", TRADES, "commission_usd", 7.0),
    # Half a tick of a cent: 0.05 for each of two fills of ten shares, 0.10 for each of two of twenty; as much slippage.
    ("M27", TRADES, "spread_cost_usd", 0.30),
    ("M28", TRADES, "slippage_cost_usd", 0.30),
    ("M29", TRADES, "impact_cost_usd", 0.40),  # two ticks beyond the first, twenty shares
    ("M30", TRADES, "total_cost_usd", 8.0),
    ("M31", TRADES, "max_drawdown_usd", 23.8),  # 10,035.80 to 10,012.00
    ("M32", TRADES, "max_drawdown_pct", 0.23715099942207),
    ("M33", TRADES, "recovery_bars", None),
    ("M34", WEEKS, "annualised_return_pct", 12.6825030131970),  # 1.01 to the power of 252 / 21
    ("M35", WEEKS, "max_drawdown_usd", 204.0),  # 10,200 to 9,996 within the second session
    ("M36", WEEKS, "max_drawdown_pct", 2.0),
    ("M37", WEEKS, "calmar", 6.34125150659849),
    ("M38", WEEKS, "recovery_bars", 8),  # the third bar to the eleventh
    ("M39", WEEKS, "recovery_sessions", 4),  # the second session to the sixth
    ("M40", WEEKS, "recovery_minutes", 5_760.0),  # the first minute of both
    ("M41", WEEKS, "mean_daily_pnl_usd", 100 / 21),
    ("M42", WEEKS, "var_95_usd", 50.0),  # ceil(5 % of 21) are two: the second worst day
    ("M43", WEEKS, "cvar_95_usd", 101.5),  # the mean of -153 and -50
    ("M44", FIVE, "volatility_pct", 26.0844781431410),
    ("M45", FIVE, "sharpe", 1.93218356615859),
    ("M46", FIVE, "sortino", 3.17490157327751),
    ("M47", FIVE, "annualised_return_pct", None),  # fewer than twenty sessions
    ("M48", FIVE, "calmar", None),
    ("M49", FIVE, "var_95_usd", None),
    ("M50", FIVE, "cvar_95_usd", None),
    ("M51", FIVE, "mean_daily_pnl_interval", None),  # fewer than ten
    ("M52", TEN_EQUAL, "mean_daily_pnl_interval", Interval(5.0, 5.0, 0.95, 0.0, 9, 2)),
    ("M53", NO_DRAWDOWN, "calmar", None),
    ("M54", NO_DRAWDOWN, "recovery_bars", 0),
    ("M55", NO_DRAWDOWN, "recovery_minutes", 0.0),
    ("M56", NO_DRAWDOWN, "sortino", None),  # no losing day
    ("M57", NO_DRAWDOWN, "profit_factor", None),  # no trade
    ("M58", NO_DRAWDOWN, "basis",
     "daily returns, 252 sessions a year, risk-free rate 0, ddof 1; downside divided by all days"),
    ("M59", equity_run([5_000.0], [-1.0]), "turnover", 0.0),  # the average is above zero still
    ("M60", equity_run([-5_000.0]), "turnover", None),
    ("M61", equity_run([-5_000.0]), "turnover_per_session", None),
    ("M92", SMALL, "win_rate_pct", 100 / 3),
    ("M93", SMALL, "average_win_usd", 0.5),
    ("M94", SMALL, "average_loss_usd", -0.5),
    ("M95", SMALL, "profit_factor", 1.0),
    ("M96", equity_run([-5_000.0], [5_000.0]), "turnover", None),
    ("M97", equity_run([0.5]), "turnover", 0.0),
    ("M98", equity_run([-0.5]), "turnover", None),
    ("M99", FRACTION, "net_pnl_usd", 0.13),
    ("M100", FRACTION, "unreconciled_usd", 0.13),
    ("M106", CONSTANT_LOSS, "sharpe", None),  # compounding alone would give a ratio of thousands
    ("M107", CONSTANT_LOSS, "undefined", {
        "sharpe": "the results of the sessions hardly vary",
        "recovery_bars": "the drawdown was not recovered",
        "recovery_minutes": "the drawdown was not recovered",
        "recovery_sessions": "the drawdown was not recovered",
        **dict.fromkeys(
            ("win_rate_pct", "profit_factor", "average_win_usd", "average_loss_usd", "expectancy_usd",
             "average_duration_minutes", "average_duration_bars"), "no closed trade"),
    }),
    ("M101", NEXT_DAY, "recovery_sessions", 1),
    ("M62", equity_run(*[[10_000.0 - 500.0 * day] for day in range(1, 21)]), "annualised_return_pct", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("record", "figure", "expected"), [pytest.param(*case, id=number) for number, *case in FIGURES]
)
def test_figure(record: RunRecord, figure: str, expected: Any) -> None:
    found = getattr(figures(record), figure)
    assert found == (pytest.approx(expected, rel=1e-12, abs=1e-12) if isinstance(expected, float) else expected)


def test_every_figure_has_a_case() -> None:
    assert {figure for _, _, figure, _ in FIGURES} == set(Metrics.__struct_fields__)


RETURNS = np.array([0.01, -0.01, 0.02, -0.02, 0.01])  # mean 0.002; squares of the differences 0.00108
DAYS = np.array(["2024-03-01", "2024-03-01", "2024-03-04", "2024-03-05"], "datetime64[D]")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(lambda: annualised_volatility(RETURNS), 0.260844781431410, id="M63"),
        pytest.param(lambda: annualised_volatility(RETURNS[:4]), None, id="M64"),
        pytest.param(lambda: sharpe_ratio(RETURNS), 1.93218356615859, id="M65"),
        pytest.param(lambda: sharpe_ratio(RETURNS[:4]), None, id="M66"),
        pytest.param(lambda: sharpe_ratio(np.full(9, 0.01)), None, id="M67"),  # no variation
        pytest.param(lambda: sharpe_ratio(-RETURNS), -1.93218356615859, id="M68"),
        # Losing days of 1 and 2 %: 0.0005 over five days, a deviation of 1 %.
        pytest.param(lambda: sortino_ratio(RETURNS), 3.17490157327751, id="M69"),
        pytest.param(lambda: sortino_ratio(RETURNS[:4]), None, id="M70"),
        pytest.param(lambda: sortino_ratio(np.abs(RETURNS)), None, id="M71"),
        pytest.param(lambda: annualised_return(0.01, 21), 0.126825030131970, id="M72"),
        pytest.param(lambda: annualised_return(0.10, 252), 0.10, id="M73"),
        pytest.param(lambda: annualised_return(0.10, 19), None, id="M74"),
        pytest.param(lambda: annualised_return(0.0, 20), 0.0, id="M75"),
        pytest.param(lambda: annualised_return(-1.0, 252), None, id="M76"),  # all is lost
        pytest.param(lambda: annualised_return(-0.5, 252), -0.5, id="M77"),
        # Sessions end with 110, 105 and 120; a move overnight counts with the session it leads into.
        pytest.param(lambda: daily_pnl(np.array([90.0, 110.0, 105.0, 120.0]), DAYS, 100.0).tolist(),
                     [10.0, -5.0, 15.0], id="M78"),
        pytest.param(lambda: daily_returns(np.array([10.0, -5.5]), 100.0).tolist(), [0.1, -0.05], id="M79"),
        pytest.param(lambda: daily_returns(np.array([-100.0, 5.0]), 100.0), None, id="M80"),  # all is lost
        pytest.param(lambda: daily_returns(np.array([-99.0, 1.0]), 100.0).tolist(), [-0.99, 1.0], id="M81"),
        # The deepest fall in USD is 20 from 110 (18.2 %), in percent 15 from 60 (25 %).
        pytest.param(lambda: max_drawdown(np.array([60.0, 45.0, 110.0, 90.0, 109.0, 110.0, 95.0]), 50.0),
                     Drawdown(20.0, 25.0, 3, 5), id="M82"),
        pytest.param(lambda: max_drawdown(np.array([95.0, 80.0, 99.99]), 100.0),
                     Drawdown(20.0, 20.0, 1, None), id="M83"),
        pytest.param(lambda: max_drawdown(np.array([101.0, 102.0]), 100.0), Drawdown(0.0, 0.0, 0, 0), id="M84"),
        # 20 days: the worst; 21 days: the second worst, and the mean of two.
        pytest.param(lambda: tail_risk(np.array([-9.0, -4.0] + [1.0] * 18)), (9.0, 9.0), id="M85"),
        pytest.param(lambda: tail_risk(np.array([-9.0, -4.0] + [1.0] * 19)), (4.0, 6.5), id="M86"),
        pytest.param(lambda: tail_risk(np.array([-9.0] * 19)), None, id="M87"),
        pytest.param(lambda: tail_risk(np.zeros(20)), None, id="M108"),
        pytest.param(lambda: sharpe_ratio(np.tile([0.01005, 0.00995], 10)), None, id="M109"),
    ],
)  # fmt: skip
def test_path(found: Any, expected: Any) -> None:
    value = found()
    assert value == (pytest.approx(expected, rel=1e-12) if isinstance(expected, float | list) else expected)


def error_by_the_book(values: list[float], mean_length: int) -> float:
    """Standard error of the mean of resampled blocks, place by place.

    Two places k apart are in one block with probability (1 - 1/length)^k, else they are drawn by themselves. Values
    without memory would have on average what the second sum says, of a variance of one.
    """
    days, mean = len(values), sum(values) / len(values)
    variance, without_memory = 0.0, 0.0
    for one in range(days):
        for other in range(days):
            together = (1 - 1 / mean_length) ** abs(one - other)
            for begin in range(days):
                first, second = values[(begin + one) % days], values[(begin + other) % days]
                variance += together * (first - mean) * (second - mean) / days
            without_memory += together * ((one == other) - 1 / days)
    return float((variance / days**2 / (without_memory / days)) ** 0.5)


UNEVEN = [3.0, -1.0, 4.0, -1.0, 5.0, -9.0, 2.0, 6.0, -5.0, 3.0, 5.0]  # 11 ** (1/3) is 2.2: blocks of 2
IN_RUNS = [-4.0, -3.0, -5.0, -1.0, -2.0, 0.0, 1.0, 3.0, 2.0, 5.0, 4.0]  # as long, each like the one before


def test_days_that_alternate_have_the_error_of_days_without_memory() -> None:
    interval = mean_interval(np.array(UNEVEN))
    squares = sum((value - sum(UNEVEN) / 11) ** 2 for value in UNEVEN)
    error = (squares / 10 / 11) ** 0.5
    assert error > error_by_the_book(UNEVEN, 2)
    half = 2.228138851964939 * error  # t of 10 degrees of freedom, two-sided 95 %, from printed tables
    assert (interval.low, interval.high) == pytest.approx((12 / 11 - half, 12 / 11 + half), rel=1e-9)


def test_days_in_runs_have_the_error_of_their_blocks() -> None:
    interval = mean_interval(np.array(IN_RUNS))
    assert interval.standard_error == pytest.approx(error_by_the_book(IN_RUNS, 2), rel=1e-9)
    half = 2.228138851964939 * interval.standard_error
    assert (interval.low, interval.high) == pytest.approx((-half, half), rel=1e-9)


@pytest.mark.parametrize(
    ("days", "length"),
    [pytest.param(10, 2, id="M102"), pytest.param(27, 3, id="M103"), pytest.param(64, 4, id="M104")],
)
def test_mean_length_of_a_block(days: int, length: int) -> None:
    interval = mean_interval(np.arange(float(days)))
    assert (interval.block_length, interval.degrees_of_freedom) == (length, days - 1)


@pytest.mark.parametrize("days", [pytest.param(9, id="M105")])
def test_too_few_days_have_no_interval(days: int) -> None:
    assert mean_interval(np.arange(float(days))) is None


@pytest.mark.parametrize(
    ("value", "inside"),
    [
        pytest.param(1.0, True, id="M88"),
        pytest.param(2.0, True, id="M89"),
        pytest.param(0.99, False, id="M90"),
        pytest.param(2.01, False, id="M91"),
    ],
)
def test_an_interval_contains_its_ends(value: float, inside: bool) -> None:
    assert Interval(1.0, 2.0, 0.95, 0.2, 10, 2).contains(value) is inside


def test_an_account_that_the_trades_do_not_explain_says_so() -> None:
    assert compute_metrics(TRADES, build_trades(TRADES)[1:]).unreconciled_usd == 28.0


@pytest.mark.parametrize("column", ["session_date", "equity_usd"])
def test_a_record_with_columns_of_two_lengths_is_refused(column: str) -> None:
    short = replace(TRADES, **{column: getattr(TRADES, column)[:9]})
    with pytest.raises(InputError, match=f"record column {column} must have one value per time, had 9 for 10 times"):
        compute_metrics(short, [])
    leg = replace(TRADES.legs[0], position_units=np.zeros(9, np.int64))
    with pytest.raises(InputError, match="position_units must have one value per bar, had 9 for 10 bars"):
        compute_metrics(replace(TRADES, legs=(leg,)), [])


def test_a_record_without_bars_is_refused() -> None:
    with pytest.raises(InputError, match="a record must have at least one bar of every instrument, had none"):
        compute_metrics(replace(TRADES, ts_ns=TRADES.ts_ns[:0]), [])
    leg = replace(TRADES.legs[0], bars=TRADES.legs[0].bars.slice(0, 0), position_units=np.zeros(0, np.int64))
    with pytest.raises(InputError, match="a record must have at least one bar of every instrument, had none"):
        compute_metrics(replace(TRADES, legs=(leg,)), [])

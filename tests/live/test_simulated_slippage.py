"""The simulated broker's slippage is the engine's: what fills inside a bar counts at the bar's close."""

from types import SimpleNamespace

import numpy as np

from adapters.ibkr.simulator.market import CLOSE, FIRST, Market, tape_of
from catalogs.instruments.specification import resolve
from configs import instruments_path
from rl_strategies.backtest.fill_models import InstrumentSlippage
from rl_strategies.decision.rules import ExecutionConfig
from rl_strategies.decision.slippage import SlippageConfig
from run.trade.gateway import CON_ID, broker_slippage, contract_terms

MINUTE = 60 * 10**9
OPEN = 1_736_260_200 * 10**9  # Tuesday, 7 January 2025, 09:30 in New York


def test_stops_slip_by_the_bars_close_and_market_orders_by_the_clock() -> None:
    spec = resolve("SPY", instruments_path())
    terms = contract_terms(spec, CON_ID)
    closes = OPEN + np.arange(1, 200) * MINUTE
    columns = [np.full(len(closes), ticks) for ticks in (50_000, 50_010, 49_990, 50_000)]
    market = Market([terms], {CON_ID: tape_of(closes, *columns, np.full(len(closes), 100), MINUTE)}, MINUTE)
    # Wider by the minute of the bucket, and drawn, so that another second gives other ticks.
    execution = ExecutionConfig(
        slippage=SlippageConfig(spreads={"SPY.EQUS": [(0, 9.0), (100, 41.0)]}, rounding="drawn")
    )
    by_time, slippage = InstrumentSlippage([spec], execution), broker_slippage([spec], execution, market)
    stop, limit, at_market = (
        SimpleNamespace(terms=terms, side=side, stop_ticks=trigger, limit_ticks=price)
        for side, trigger, price in ((-1, 49_995, None), (-1, None, 50_005), (1, None, None))
    )
    seen = set()
    while not market.is_over:
        step, _ = market.step()
        if step.phase == FIRST:
            close_ns = market.now_ns // MINUTE * MINUTE + MINUTE
            assert slippage(stop, 49_995) == by_time.ticks(0, close_ns, 49_995, -1)  # type: ignore[arg-type]
        if step.phase == CLOSE:
            found = slippage(at_market, 50_000)  # type: ignore[arg-type]
            assert found == by_time.ticks(0, market.now_ns, 50_000, 1)
            assert slippage(limit, 50_005) == 0  # type: ignore[arg-type]
            seen.add(found)
    assert seen == {4, 5, 20, 21}


def test_the_older_slippage_is_drawn_for_every_fill() -> None:
    spec = resolve("SPY", instruments_path())
    execution = ExecutionConfig(slippage_probability=0.5, slippage_seed=1)
    slippage = broker_slippage([spec], execution, None)  # type: ignore[arg-type]
    # The stream of numpy's default generator with that seed, below a half.
    expected = (np.random.default_rng(1).random(65_537) < 0.5)[:20].astype(int).tolist()
    assert [slippage(None, 50_000) for _ in range(20)] == expected  # type: ignore[arg-type]

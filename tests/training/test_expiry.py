"""On the day on which a contract month expires, simulator and engine close by its last moment of trading alike."""

from contextlib import closing

import msgspec
import numpy as np
import pytest

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.synthetic import synthetic_sessions
from configs import instruments_path
from rl_strategies.decision.barriers import BarrierConfig
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.risk.config import RiskConfig
from tests.training.conftest import market_of
from training.envs.engine_env import EngineEnv
from training.envs.session_env import SessionEnv
from training.parity.certify import certify
from training.parity.compare import compare_tape
from training.simulator.lanes import rollout
from training.simulator.market import TrainingMarket

FIRST, EXPIRY, AFTER = (np.datetime64(day) for day in ("2025-03-12", "2025-03-21", "2025-03-24"))
LAST_TRADE = np.datetime64("2025-03-21T13:30", "ns")  # 08:30 in Chicago
LONG, FLAT = 2, 1
MINUTE = np.timedelta64(1, "m")


@pytest.fixture(scope="module")
def mes() -> InstrumentSpec:
    """The future that expires on 2025-03-21."""
    return resolve("MESH5", instruments_path(), EXPIRY.item())


@pytest.fixture(scope="module")
def strays(mes: InstrumentSpec) -> BarSeries:
    """Bars that go on after the expiry, as vendors may send them."""
    endless = msgspec.structs.replace(mes, expiration_ns=0)
    return synthetic_sessions(endless, FIRST, AFTER, seed=4, start_price=500.0).bars


def market(
    mes: InstrumentSpec, bars: BarSeries, execution: ExecutionConfig | None = None, **risk: int
) -> TrainingMarket:
    """Market without barriers, so that only limits and hours close a position."""
    trading = TradingConfig(barriers=BarrierConfig(None, None, 0), risk=RiskConfig(**risk))
    return market_of(mes, bars, trading, execution)


def test_the_last_session_is_the_one_of_the_last_trade(mes: InstrumentSpec, strays: BarSeries) -> None:
    assert mes.expiration_ns == LAST_TRADE.astype(np.int64)
    made = market(mes, strays)
    assert made.session_dates[-1] == EXPIRY
    assert made.bars.ts_ns[-1] == made.close_ns(len(made) - 1) == mes.expiration_ns


@pytest.mark.parametrize("fill", ["same_close", "next_open"])
def test_it_is_flat_before_the_last_trade(mes: InstrumentSpec, strays: BarSeries, fill: str) -> None:
    made = market(mes, strays, ExecutionConfig(fill=fill), flatten_before_close_minutes=7)  # type: ignore[arg-type]
    last = len(made) - 1
    lanes = rollout(made, lambda seen, begun, at: np.full(len(seen), LONG), [last])
    entry, closing_fill = lanes.fills_of(0)
    assert (entry.reason, closing_fill.reason) == ("entry", "end_of_session")
    assert closing_fill.ts_ns == (LAST_TRADE - 7 * MINUTE).astype(np.int64)
    with closing(EngineEnv(made)) as engine:
        found = compare_tape(made, engine, last, np.full((1, 1), LONG))
    assert (found.divergence, found.fills) == (None, 2)


def test_no_entry_within_the_configured_time_of_the_last_trade(mes: InstrumentSpec, strays: BarSeries) -> None:
    made = market(mes, strays, max_entries_per_session=0, no_entry_before_expiry_minutes=90)
    last = len(made) - 1
    alternating = np.array([[LONG], [FLAT]])
    env = SessionEnv(made)
    env.reset(options={"episode": last})
    over, step = False, 0
    while not over:
        _, _, over, _, told = env.step(alternating[step % 2])
        step += 1
    entries = [fill.ts_ns for fill in told["fills"][0] if fill.reason == "entry"]
    too_late = (LAST_TRADE - 90 * MINUTE).astype(np.int64)
    assert too_late - 2 * 60 * 10**9 < entries[-1] <= too_late
    assert told["refusals"]["expiry"] > 30
    with closing(EngineEnv(made)) as engine:
        assert compare_tape(made, engine, last, alternating).divergence is None


def test_other_days_are_seen_as_before(mes: InstrumentSpec, strays: BarSeries) -> None:
    endless = market(msgspec.structs.replace(mes, expiration_ns=0), strays)
    expiring = market(mes, strays)
    days = len(expiring)
    assert endless.session_dates[: days - 1].tolist() == expiring.session_dates[:-1].tolist()
    for episode in range(days - 1):
        (first, over), (other, also_over) = (walk(one, episode) for one in (endless, expiring))
        assert first.tobytes() == other.tobytes()
        assert over == also_over


def test_the_time_left_counts_to_the_last_trade(mes: InstrumentSpec, strays: BarSeries) -> None:
    made = market(mes, strays)
    seen, _ = walk(made, len(made) - 1)
    left = seen[:, made.observation_names.index("time_left")]
    assert left[0] > 0.99
    # The last decision is six minutes before the last trade, one before the closing time.
    length = (LAST_TRADE - np.datetime64("2025-03-20T22:00", "ns")) / MINUTE
    assert left[-2] == pytest.approx(1 / (length - 5))


def test_a_contract_without_a_bar_before_its_expiry_is_refused(mes: InstrumentSpec, strays: BarSeries) -> None:
    late = strays.slice(int(np.searchsorted(strays.ts_ns, mes.expiration_ns, side="right")), len(strays))
    with pytest.raises(InputError, match=r"MESH5\.XCME must have bars before it expires on 2025-03-21, had none"):
        market(mes, late)


def test_certify_plays_expiry_days_of_one_and_of_many() -> None:
    specs = [resolve(name, instruments_path(), EXPIRY.item()) for name in ("SPY", "MESH5", "NQH5")]
    found = certify(specs, episodes=12, most_instruments=2, seed=1)
    assert (found.divergences, found.first_divergence) == (0, None)
    assert found.expiry_configurations == 3


def walk(made: TrainingMarket, episode: int) -> tuple[np.ndarray, int]:
    """Observations of an episode held long throughout, and the balance at its end in cents."""
    env = SessionEnv(made)
    seen, over = [env.reset(options={"episode": episode})[0]], False
    while not over:
        observation, _, over, _, told = env.step(LONG)
        seen.append(observation)
    return np.array(seen), told["balance_cents"]

"""The real NautilusTrader ``BacktestEngine`` behind Gymnasium, driving the very Strategy class that trades.

The engine's run loop lives in a greenlet: when the strategy asks its policy for an action, the greenlet switches
back to ``env.step``. Slower than the simulator by two orders of magnitude and the measure that it is held against.
"""

from contextlib import suppress
from typing import Any

import gymnasium as gym
import numpy as np
from greenlet import getcurrent, greenlet
from gymnasium import spaces
from nautilus_trader.backtest.config import FeeModelFactory, FillModelFactory
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import CacheConfig, LoggingConfig, RiskEngineConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import TraderId, Venue
from nautilus_trader.model.objects import Money
from numpy.typing import NDArray

from catalogs.bars import BarSeries, price_from_ticks
from catalogs.instruments import to_nautilus
from rl_strategies.actions import ACTIONS
from rl_strategies.decision import DecisionCore
from rl_strategies.features import input_rows
from rl_strategies.strategy import RLStrategy, RLStrategyConfig
from rl_strategies.venue import venue_config
from training.env import chosen_episode, observation_space
from training.market import TrainingMarket
from training.reward import reward_named

ORDER_RATE = "1000000/00:00:01"  # the engine's default limit would throttle a simulated year


class _Abort(BaseException):
    """Unwinds the engine's run loop; not an Exception, so that nothing on the way swallows it."""


class _Bridge:
    """The policy that asks `EngineEnv.step`."""

    def __init__(self) -> None:
        self.caller = getcurrent()

    def reset(self) -> None:
        """Nothing is carried between sessions."""

    def act(self, observation: NDArray[np.float32]) -> int:
        """Switch to the caller and wait for its action."""
        return int(self.caller.switch())


class EngineEnv(gym.Env):
    """One engine as a Gymnasium environment; spaces, episodes, rewards and infos are `SessionEnv`'s.

    Parameters
    ----------
    built : TrainingMarket
    reward : str

    Notes
    -----
    Must be stepped from the thread that reset it. Call ``close``: an engine that is not disposed leaks.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (gymnasium's own form)

    def __init__(self, built: TrainingMarket, *, reward: str = "pnl") -> None:
        self.built = built
        self._reward = reward_named(reward)
        self.observation_space = observation_space(built)
        self.action_space = spaces.Discrete(ACTIONS)
        self._instrument = to_nautilus(built.instrument)
        self._rows = input_rows(built.bars, built.calendar)
        self._bridge = _Bridge()
        self._core = DecisionCore(built.instrument, built.calendar, built.plan, built.trading, built.execution)
        self._engine = self._make_engine()
        self._loop: greenlet | None = None
        self._has_run = False

    def _make_engine(self) -> BacktestEngine:
        built = self.built
        engine = BacktestEngine(
            BacktestEngineConfig(
                trader_id=TraderId("TRAIN-001"),
                logging=LoggingConfig(bypass_logging=True),
                risk_engine=RiskEngineConfig(max_order_submit_rate=ORDER_RATE, max_order_modify_rate=ORDER_RATE),
                cache=CacheConfig(drop_instruments_on_reset=False),
                run_analysis=False,
            )
        )
        venue = venue_config(built.instrument, built.execution)
        engine.add_venue(
            venue=Venue(venue.name),
            oms_type=OmsType.NETTING,
            account_type=AccountType.MARGIN,
            base_currency=USD,
            starting_balances=[Money.from_str(balance) for balance in venue.starting_balances],
            fill_model=FillModelFactory.create(venue.fill_model),
            fee_model=FeeModelFactory.create(venue.fee_model),
            bar_adaptive_high_low_ordering=venue.bar_adaptive_high_low_ordering,
        )
        engine.add_instrument(self._instrument)
        # One pandas concat per closed position doubles the cost of a run; balances do not depend on it.
        engine.portfolio.analyzer.record_trade = lambda *args, **kwargs: None
        config = RLStrategyConfig(
            instrument_id=self._instrument.id,
            bar_type=BarType.from_str(built.bars.bar_type),
            volume_known=built.bars.volume_known,
        )
        self._strategy = RLStrategy(config, core=self._core, policy=self._bridge)
        engine.add_strategy(self._strategy)
        return engine

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode and run the engine to its first decision."""
        super().reset(seed=seed)
        self._abort()
        episode = chosen_episode(self, len(self.built), options)
        self._session = str(self.built.session_dates[episode])
        if self._has_run:
            self._engine.reset()
            self._engine.clear_data()
        self._has_run = True
        self._load(episode)
        end_ns = int(self.built.calendar.close_ns[self.built.session[episode]])
        self._loop = greenlet(lambda _: self._run_until(end_ns))
        observation = self._switch(None)
        self._equity = self._mark()
        return observation, self._info()

    def step(self, action: int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One decision: observation, reward, terminated, truncated (always False), info."""
        observation = self._switch(int(action))
        equity = self._mark()
        reward = float(self._reward(self._equity, equity)[0])
        self._equity = equity
        over = bool(self._loop is None or self._loop.dead)
        info = self._info()
        if over:
            info |= {"fills": list(self._strategy.fills), "refusals": dict(self._strategy.refusals)}
        return observation, reward, over, False, info

    def close(self) -> None:
        """Dispose of the engine."""
        self._abort()
        self._engine.dispose()

    def _load(self, episode: int) -> None:
        # Bars before the session fill the venue's book as a continuous run would have: the nearest bar that moved.
        built, episodes = self.built, self.built.episodes
        first = int(episodes.first[episode])
        stop = max(int(episodes.last[episode]), int(episodes.flat_row[episode])) + 1
        moved = np.flatnonzero(built.bars.high[:first] > built.bars.low[:first])
        begin = int(moved[-1]) if len(moved) else 0
        self._core.resume(self._feature_state(begin), begin)
        self._strategy.trade_from_ns = int(built.bars.ts_ns[first])
        self._engine.add_data(bar_objects(built.bars.slice(begin, stop), self._instrument))

    def _run_until(self, end_ns: int) -> None:
        with suppress(_Abort):
            self._engine.run(end=end_ns)

    def _feature_state(self, rows: int) -> NDArray[np.float64]:
        state = np.zeros(self.built.plan.state_size)
        self.built.plan.batch(self._rows[:rows], state)
        return state

    def _switch(self, action: int | None) -> NDArray[np.float32]:
        if self._loop is None or self._loop.dead:
            raise RuntimeError("the episode is over: call reset() before step()")
        self._bridge.caller = self._loop.parent = getcurrent()
        self._loop.switch(action)
        return self._core.observe().copy()

    def _abort(self) -> None:
        if self._loop is not None and not self._loop.dead:
            self._loop.throw(_Abort)
        self._loop = None

    def _mark(self) -> NDArray[np.float64]:
        balance = self._engine.portfolio.account(self._instrument.id.venue).balance_total(USD)
        cents = int(balance.as_decimal() * 100)  # the simulator's cash; as_double() may differ in the last bit
        return np.array([cents / 100.0 + self._core.unrealized_usd])

    def _info(self) -> dict[str, Any]:
        return {"equity_usd": float(self._equity[0]), "session": self._session}


def bar_objects(bars: BarSeries, instrument: Any) -> list[Bar]:
    """NautilusTrader ``Bar`` objects of a series."""
    prices = (price_from_ticks(column, bars.tick_raw) for column in (bars.open, bars.high, bars.low, bars.close))
    stamps = bars.ts_ns.astype(np.uint64)
    return Bar.from_raw_arrays_to_list(
        BarType.from_str(bars.bar_type),
        instrument.price_precision,
        instrument.size_precision,
        *prices,
        bars.volume.astype(np.float64),
        stamps,
        stamps,
    )

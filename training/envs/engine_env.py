"""The real NautilusTrader ``BacktestEngine`` behind Gymnasium, driving the very Strategy class that trades.

The engine's run loop lives in a greenlet: when the strategy asks its policy for an action, the greenlet switches
back to ``env.step``. Slower than the simulator by two orders of magnitude and the measure that it is held against.
"""

from contextlib import suppress
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from greenlet import getcurrent, greenlet
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.core.data import Data
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BarType
from numpy.typing import NDArray

from catalogs.instruments.specification import to_nautilus
from catalogs.sessions import session_calendar
from rl_strategies.backtest.engine import backtest_engine, bar_objects
from rl_strategies.backtest.opening_trades import opening_trades
from rl_strategies.backtest.venue import stream_fill_model
from rl_strategies.decision.context_feed import ContextFeed
from rl_strategies.decision.core import DecisionCore
from rl_strategies.decision.instrument import named_state
from rl_strategies.features import JoinedPlan, input_rows
from rl_strategies.strategy import RLStrategy, RLStrategyConfig
from training.envs.reward import RewardConfig
from training.envs.session_env import RewardMeter, action_space, chosen_episode, observation_space
from training.simulator.lanes import DRAWS_PER_EPISODE
from training.simulator.market import TrainingMarket


class _Abort(BaseException):
    """Unwinds the engine's run loop; not an Exception, so that nothing on the way swallows it."""


class _Bridge:
    """The policy that asks `EngineEnv.step`."""

    def __init__(self) -> None:
        self.caller = getcurrent()

    def reset(self) -> None:
        """Nothing is carried between sessions."""

    def act(self, observation: NDArray[np.float32]) -> list[int]:
        """Switch to the caller and wait for its actions, one per instrument."""
        actions: list[int] = self.caller.switch()
        return actions


class EngineEnv(gym.Env):
    """One engine as a Gymnasium environment; spaces, episodes, options, rewards and infos are `SessionEnv`'s.

    Parameters
    ----------
    built : TrainingMarket
    reward : str or RewardConfig

    Raises
    ------
    RuntimeError
        From ``step``, if the engine's account does not end at the core's balance.

    Notes
    -----
    Must be stepped from the thread that reset it. Call ``close``: an engine that is not disposed leaks.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (gymnasium's own form)

    def __init__(self, built: TrainingMarket, *, reward: str | RewardConfig = "pnl") -> None:
        self.built = built
        self.observation_space = observation_space(built)
        self.action_space = action_space(built)
        self._instruments = [to_nautilus(instrument) for instrument in built.instruments]
        self._rows = [
            input_rows(bars, session_calendar(spec.calendar), built.plan.columns)
            for spec, bars in zip(built.instruments, built.series, strict=True)
        ]
        self._bridge = _Bridge()
        self._core = DecisionCore(built.instruments, built.plan, built.trading, built.execution)
        self._feed = ContextFeed(
            self._core, stored={name: partial(built.context.__getitem__, name) for name in built.context}
        )
        self._meter = RewardMeter(
            reward, self._core.accounts, self._core.legs.reshape(1, -1), built.world.rules["multiplier"]
        )
        self._fill_model = stream_fill_model(built.execution)
        self._engine = self._make_engine()
        self._loop: greenlet | None = None
        self._has_run = False

    def _make_engine(self) -> BacktestEngine:
        built = self.built
        engine = backtest_engine(built.instruments, built.execution, self._fill_model)
        config = RLStrategyConfig(
            bar_types=tuple(BarType.from_str(bars.bar_type) for bars in built.series),
            volume_known=built.volume_known,
            wait_for_open=built.execution.fill == "next_open",
        )
        self._strategy = RLStrategy(config, core=self._core, policy=self._bridge, context=self._feed)
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
        self._core.reset()
        self._load(episode)
        chosen = options or {}
        self._fill_model.draws = int(chosen.get("draws", episode * DRAWS_PER_EPISODE))
        starting = self.built.execution.starting_cents
        self._ahead_cents = int(chosen.get("balance_cents", starting)) - starting
        self._core.account.balance_cents += self._ahead_cents
        end_ns = self.built.close_ns(episode)
        self._loop = greenlet(lambda _: self._run_until(end_ns))
        observation = self._switch(None)
        self._meter.begin(np.ones(1, bool))
        return observation, self._info()

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One decision: observation, reward, terminated, truncated (always False), info."""
        observation = self._switch(np.atleast_1d(np.asarray(action)).tolist())
        reward = float(self._meter.measure()[0])
        over = bool(self._loop is None or self._loop.dead)
        info = self._info()
        if over:
            self._check_balance()
            info |= {
                "fills": [list(fills) for fills in self._strategy.fills],
                "refusals": dict(self._strategy.refusals),
                "ruined": self._core.is_ruined,
                "balance_cents": int(self._core.accounts["balance_cents"][0]),
                "draws": self._fill_model.draws,
            }
        return observation, reward, over, False, info

    def close(self) -> None:
        """Dispose of the engine."""
        self._abort()
        self._engine.dispose()

    def _load(self, episode: int) -> None:
        # Bars before the session fill the venue's book as a continuous run would have: the nearest bar that moved.
        place = self.built.world.episodes[episode]
        time_ns = self.built.world.time_ns
        start_ns, stop_ns = time_ns[place["first"]], time_ns[max(place["last"], place["closing"])]
        data: list[Data] = []
        lead_ns = int(self.built.world.settings["open_lead_ns"][0])
        for k, series in enumerate(self.built.series):
            begin, stop = np.searchsorted(series.ts_ns, [start_ns, stop_ns + 1])
            moved = np.flatnonzero(series.high[:begin] > series.low[:begin])
            warm = int(moved[-1]) if len(moved) else 0
            self._core.instruments[k].resume(self._features_after(k, warm), warm)
            fed = series.slice(warm, int(stop))
            data += bar_objects(fed, self._instruments[k])
            data += opening_trades(fed, self._instruments[k], lead_ns) if lead_ns else []
        self._strategy.trade_from_ns = int(start_ns)
        self._engine.add_data(data)

    def _features_after(self, k: int, bars: int) -> dict[str, NDArray[Any]]:
        plan, rows = self.built.plan, self._rows[k][:bars]
        if not isinstance(plan, JoinedPlan):
            state = np.zeros(plan.state_size)
            plan.batch(rows, state)
            return named_state(state)
        live = plan.live()
        live.forward(rows, self.built.series[k].ts_ns[:bars], self.built.context)
        return named_state(live.snapshot())

    def _run_until(self, end_ns: int) -> None:
        with suppress(_Abort):
            self._engine.run(end=end_ns)

    def _switch(self, actions: list[int] | None) -> NDArray[np.float32]:
        if self._loop is None or self._loop.dead:
            raise RuntimeError("the episode is over: call reset() before step()")
        self._bridge.caller = self._loop.parent = getcurrent()
        self._loop.switch(actions)
        if self._loop.dead:
            core = self._core
            core.look(max(instrument.last_ns for instrument in core.instruments))
        return self._core.observe().copy()

    def _abort(self) -> None:
        if self._loop is not None and not self._loop.dead:
            self._loop.throw(_Abort)
        self._loop = None

    def _check_balance(self) -> None:
        venues = {instrument.id.venue for instrument in self._instruments}
        balances = [self._engine.portfolio.account(venue).balance_total(USD).as_decimal() for venue in venues]
        starting = self.built.execution.starting_cents
        earned = sum(int(balance * 100) - starting for balance in balances)
        if starting + earned + self._ahead_cents != self._core.account.balance_cents:
            raise RuntimeError(
                f"the core's balance of {self._core.account.balance_cents} cents must be the engine's, "
                f"was {starting + earned + self._ahead_cents}"
            )

    def _info(self) -> dict[str, Any]:
        return {"equity_usd": float(self._meter.equity[0]), "session": self._session}

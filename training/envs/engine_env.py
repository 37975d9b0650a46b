"""The real NautilusTrader ``BacktestEngine`` as a Gymnasium environment, with the Strategy class that trades live.

The engine's run loop is in a greenlet: when the strategy asks its policy for an action, the greenlet switches back to
``env.step``. Two orders of magnitude slower than the simulator, which is tested against it.
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
from rl_strategies.backtest.engine import backtest_engine, bar_objects
from rl_strategies.backtest.fill_models import fill_model
from rl_strategies.backtest.opening_trades import opening_trades
from rl_strategies.decision.context_feed import ContextFeed
from rl_strategies.decision.core import DecisionCore
from rl_strategies.decision.instrument import named_state
from rl_strategies.features import JoinedPlan, input_rows
from rl_strategies.strategy import RLStrategy, RLStrategyConfig
from training.envs.reward import RewardConfig
from training.envs.reward_meter import RewardMeter
from training.envs.spaces import action_space, known_action, observation_space, pick_episode, require_episode
from training.simulator.lanes import DRAWS_PER_EPISODE
from training.simulator.market import TrainingMarket


class _Abort(BaseException):
    """Ends the engine's run loop; not an Exception, so that nothing on the way catches it."""


class _StepPolicy:
    """Policy whose actions come from the caller of `EngineEnv.step`."""

    def __init__(self) -> None:
        self.caller = getcurrent()

    def reset(self) -> None:
        """Nothing is carried between sessions."""

    def act(self, observation: NDArray[np.float32]) -> list[int]:
        """Switch to the caller and wait for its actions, one per instrument."""
        actions: list[int] = self.caller.switch()
        return actions


class EngineEnv(gym.Env):
    """One engine as a Gymnasium environment; spaces, episodes, options, rewards and infos are those of `SessionEnv`.

    Parameters
    ----------
    market : TrainingMarket
    reward : str or RewardConfig

    Raises
    ------
    RuntimeError
        From ``step``, if the engine's account and the decision core end with different balances.

    Notes
    -----
    Step it from the thread that reset it. Call ``close``: an engine that is not disposed leaks memory.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (gymnasium's own form)

    def __init__(self, market: TrainingMarket, *, reward: str | RewardConfig = "pnl") -> None:
        self.market = market
        self.observation_space = observation_space(market)
        self.action_space = action_space(market)
        self._instruments = [to_nautilus(instrument) for instrument in market.instruments]
        self._rows = [
            input_rows(bars, spec.sessions, market.plan.columns)
            for spec, bars in zip(market.instruments, market.series, strict=True)
        ]
        self._policy = _StepPolicy()
        self._core = DecisionCore(market.instruments, market.plan, market.trading, market.execution)
        self._feed = ContextFeed(
            self._core, stored={name: partial(market.context.__getitem__, name) for name in market.context}
        )
        self._meter = RewardMeter(
            reward, self._core.accounts, self._core.legs.reshape(1, -1), market.arrays.rules["multiplier"]
        )
        self._fill_model = fill_model(market.instruments, market.execution)
        self._engine = self._make_engine()
        self._loop: greenlet | None = None
        self._has_run = False

    def _make_engine(self) -> BacktestEngine:
        market = self.market
        engine = backtest_engine(market.instruments, market.execution, self._fill_model)
        config = RLStrategyConfig(
            bar_types=tuple(BarType.from_str(bars.bar_type) for bars in market.series),
            volume_known=market.volume_known,
            wait_for_open=market.execution.fill == "next_open",
        )
        self._strategy = RLStrategy(config, core=self._core, policy=self._policy, context=self._feed)
        engine.add_strategy(self._strategy)
        return engine

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode and run the engine to its first decision."""
        super().reset(seed=seed)
        self._abort()
        episode = pick_episode(self, len(self.market), options)
        self._session = str(self.market.session_dates[episode])
        if self._has_run:
            self._engine.reset()
            self._engine.clear_data()
        self._has_run = True
        self._core.reset()
        self._load(episode)
        chosen = options or {}
        self._fill_model.draws = int(chosen.get("draws", episode * DRAWS_PER_EPISODE))
        starting = self.market.execution.starting_cents
        self._ahead_cents = int(chosen.get("balance_cents", starting)) - starting
        self._core.account.balance_cents += self._ahead_cents
        end_ns = self.market.close_ns(episode)
        self._loop = greenlet(lambda _: self._run_until(end_ns))
        observation = self._switch(None)
        self._meter.begin(np.ones(1, bool))
        return observation, self._info()

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One decision: observation, reward, terminated, truncated (always False), info."""
        require_episode(self._loop is not None and not self._loop.dead)
        observation = self._switch(known_action(action, len(self._instruments)).tolist())
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
        # From the last bar that moved on: the venue's book is then what it would be in a continuous run.
        place = self.market.arrays.episodes[episode]
        time_ns = self.market.arrays.time_ns
        start_ns, stop_ns = time_ns[place["first"]], time_ns[max(place["last"], place["closing"])]
        data: list[Data] = []
        lead_ns = int(self.market.arrays.settings["open_lead_ns"][0])
        for k, series in enumerate(self.market.series):
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
        plan, rows = self.market.plan, self._rows[k][:bars]
        if not isinstance(plan, JoinedPlan):
            state = np.zeros(plan.state_size)
            plan.batch(rows, state)
            return named_state(state)
        live = plan.live()
        live.forward(rows, self.market.series[k].ts_ns[:bars], self.market.context)
        return named_state(live.snapshot())

    def _run_until(self, end_ns: int) -> None:
        with suppress(_Abort):
            self._engine.run(end=end_ns)

    def _switch(self, actions: list[int] | None) -> NDArray[np.float32]:
        assert self._loop is not None
        self._policy.caller = self._loop.parent = getcurrent()
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
        starting = self.market.execution.starting_cents
        earned = sum(int(balance * 100) - starting for balance in balances)
        if starting + earned + self._ahead_cents != self._core.account.balance_cents:
            raise RuntimeError(
                f"balances must be equal: {self._core.account.balance_cents} cents by the decision core, "
                f"{starting + earned + self._ahead_cents} by the engine"
            )

    def _info(self) -> dict[str, Any]:
        return {"equity_usd": float(self._meter.equity[0]), "session": self._session}

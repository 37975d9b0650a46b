"""Evaluates a policy on unseen sessions, by window, with its likeliest actions and with sampled ones.

Runs in the training simulator, every session from the starting balance.
"""

from dataclasses import dataclass
from datetime import date

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.instruments.identifiers import symbol_of
from rl_strategies.accounting.record import Fill, RunRecord
from rl_strategies.analysis.baselines import buy_and_hold
from rl_strategies.analysis.mean_interval import Interval, mean_interval
from rl_strategies.analysis.trades import Trade, build_trades
from rl_strategies.bundle.bundle import Bundle
from rl_strategies.policy.policies import BatchPolicy, OnnxBatchPolicy
from run.backtest.market_record import market_record
from run.backtest.random_policies import random_policies
from training.simulator.lanes import Lanes, rollout
from training.simulator.market import TrainingMarket


class EvaluationRow(msgspec.Struct, frozen=True, kw_only=True):
    """One ticker or portfolio over one window, or over all of them.

    Attributes
    ----------
    ticker : str
        Symbols joined by ``+`` for a portfolio.
    start, end : date
        First and last session.
    sessions, trades : int
        Trades of the likeliest actions.
    net_pnl_usd : float
        Net PnL of the likeliest actions, USD after all costs.
    cost_usd : float
        Commission, spread, slippage and impact, included in ``net_pnl_usd``.
    pnl_interval : Interval or None
        95 % interval of the mean daily PnL; None below ten sessions.
    sampled_pnl_usd, sampled_deviation_usd : float
        Mean and standard deviation over runs with sampled actions, as in training.
    buy_and_hold_usd : float
        PnL of one entry of the same size held over the window.
    random_mean_usd : float or None
        Mean PnL of random policies with the same turnover; None without a trade.
    beats_random_pct : float or None
        Percent of these policies that earned less.
    """

    ticker: str
    start: date
    end: date
    sessions: int
    trades: int
    net_pnl_usd: float
    cost_usd: float
    pnl_interval: Interval | None
    sampled_pnl_usd: float
    sampled_deviation_usd: float
    buy_and_hold_usd: float
    random_mean_usd: float | None
    beats_random_pct: float | None


class SampledPolicy:
    """Samples every action with the policy's probability.

    Parameters
    ----------
    policy : OnnxBatchPolicy
    seed : int
    """

    def __init__(self, policy: OnnxBatchPolicy, seed: int) -> None:
        self._policy = policy
        self._random = np.random.default_rng(seed)

    def act_batch(self, observations: NDArray[np.float32], episode_start: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Sampled actions; see `BatchPolicy.act_batch`."""
        self._policy.act_batch(observations, episode_start)
        logits = self._policy.logits.astype(np.float64)
        # The largest logit plus Gumbel noise is a draw from the softmax; what is masked stays impossible.
        return (logits + self._random.gumbel(size=logits.shape)).argmax(axis=-1)


@dataclass(frozen=True)
class MarketEvaluation:
    """One ticker or portfolio over a whole range of dates.

    Attributes
    ----------
    rows : tuple of EvaluationRow
        One per window.
    whole : EvaluationRow
        Over all windows.
    trades : tuple of Trade
    """

    rows: tuple[EvaluationRow, ...]
    whole: EvaluationRow
    trades: tuple[Trade, ...]


def evaluate_market(
    bundle: Bundle, market: TrainingMarket, window_sessions: int, *, samples: int, seed: int
) -> MarketEvaluation:
    """Run all sessions of a market and sum up every ``window_sessions`` of them.

    Parameters
    ----------
    bundle : Bundle
    market : TrainingMarket
        Unseen sessions.
    window_sessions : int
        The last window may be shorter.
    samples : int
        Number of runs with sampled actions.
    seed : int
        Seed of sampled actions and random policies.
    """
    policy = bundle.policy()
    likeliest = _walk(market, policy.batch(len(market)))
    drawn = np.array(
        [
            _walk(market, SampledPolicy(policy.batch(len(market)), seed + k)).equity - market.starting_usd
            for k in range(samples)
        ]
    )
    sessions = np.arange(len(market))
    windows = [sessions[i : i + window_sessions] for i in range(0, len(sessions), window_sessions)]
    rows = tuple(_row(market, likeliest, drawn, window, seed) for window in windows)
    record = _record(market, likeliest, sessions)
    return MarketEvaluation(rows, _row(market, likeliest, drawn, sessions, seed), tuple(build_trades(record)))


def _walk(market: TrainingMarket, policy: BatchPolicy) -> Lanes:
    return rollout(market, lambda observed, begun, at: policy.act_batch(observed, begun), range(len(market)))


def _row(
    market: TrainingMarket, likeliest: Lanes, drawn: NDArray[np.float64], sessions: NDArray[np.int64], seed: int
) -> EvaluationRow:
    record = _record(market, likeliest, sessions)
    trades = build_trades(record)
    daily = (likeliest.equity - market.starting_usd)[sessions]
    totals = drawn[:, sessions].sum(axis=1)
    chance = _random_pnl(market, sessions, record.fill_count, seed)
    return EvaluationRow(
        ticker=market_name(market),
        start=market.session_dates[sessions[0]].item(),
        end=market.session_dates[sessions[-1]].item(),
        sessions=len(sessions),
        trades=len(trades),
        net_pnl_usd=float(daily.sum()),
        cost_usd=sum(trade.total_cost_est for trade in trades),
        pnl_interval=mean_interval(daily),
        sampled_pnl_usd=float(totals.mean()),
        sampled_deviation_usd=float(totals.std()),
        buy_and_hold_usd=buy_and_hold(record).pnl_usd,
        random_mean_usd=None if chance is None else float(chance.mean()),
        beats_random_pct=None if chance is None else 100.0 * float((chance < daily.sum()).mean()),
    )


def _random_pnl(
    market: TrainingMarket, sessions: NDArray[np.int64], fills: int, seed: int
) -> NDArray[np.float64] | None:
    if fills == 0 or len(sessions) < len(market):
        return None  # chance is asked of the whole range only: it costs more than everything else
    return random_policies(market, fills, seed=seed)


def market_name(market: TrainingMarket) -> str:
    """Instrument of a market; of a portfolio the symbols joined by ``+``."""
    names = [spec.instrument_id for spec in market.instruments]
    return names[0] if len(names) == 1 else "+".join(map(symbol_of, names))


def _record(market: TrainingMarket, lanes: Lanes, sessions: NDArray[np.int64]) -> RunRecord:
    fills: list[list[Fill]] = [[] for _ in market.instruments]
    refusals: dict[str, int] = {}
    for lane in sessions.tolist():
        for k, own in enumerate(fills):
            own += lanes.fills_of(lane, k)
        for reason, count in lanes.refusals_of(lane).items():
            refusals[reason] = refusals.get(reason, 0) + count
    first_day, last_day = market.session_dates[sessions[0]], market.session_dates[sessions[-1]]
    return market_record(market, first_day, last_day, fills, refusals)

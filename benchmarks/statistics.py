"""How often the statistics are right where the truth is known: coverage of the intervals, false promises, overfitting.

Returns are drawn with a true mean of zero: normal, heavy-tailed (Student's t of four degrees of freedom) or with memory
(each day keeps a fifth of the day before). Figures are percent unless their name says otherwise.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rl_strategies.analysis.mean_interval import mean_block_length, mean_interval
from training.validation.bootstrap import deepest_fall, drawdown_interval, sharpe_interval, stationary_samples
from training.validation.overfitting import backtest_overfitting
from training.validation.sharpe import deflated_sharpe, probabilistic_sharpe, return_moments

TRACKS, RESAMPLED_TRACKS, SAMPLES = 4_000, 400, 300
SESSIONS = (10, 20, 60, 250)
MEMORY, WARM_UP = 0.2, 50
SETS, TRIALS, YEAR = 200, 20, 250
LEVEL = 0.95
Draw = Callable[[np.random.Generator, int, int], NDArray[np.float64]]


def measure(seed: int) -> dict[str, float]:
    """Percent of cases in which an interval of 95 % holds the truth, and in which chance passes for skill."""
    figures: dict[str, float] = {}
    for name, draw in KINDS.items():
        for sessions in SESSIONS:
            rng = np.random.default_rng([seed, sessions])
            figures[f"mean_covers_{name}_{sessions}"] = _mean_coverage(draw(rng, TRACKS, sessions))
    for sessions in SESSIONS[1:]:
        rng = np.random.default_rng([seed, sessions])
        seen, after = (_normal(rng, RESAMPLED_TRACKS, sessions) for _ in range(2))
        figures[f"mean_percentile_covers_normal_{sessions}"] = _percentile_coverage(seen, seed)
        figures[f"sharpe_covers_normal_{sessions}"] = _sharpe_coverage(seen, seed)
        figures[f"drawdown_covers_normal_{sessions}"] = _drawdown_coverage(seen, after, seed)
    return figures | _false_promises(np.random.default_rng(seed))


def _normal(rng: np.random.Generator, tracks: int, sessions: int) -> NDArray[np.float64]:
    return rng.normal(0.0, 0.01, (tracks, sessions))


def _heavy(rng: np.random.Generator, tracks: int, sessions: int) -> NDArray[np.float64]:
    return 0.01 * rng.standard_t(4, (tracks, sessions))


def _remembering(rng: np.random.Generator, tracks: int, sessions: int) -> NDArray[np.float64]:
    days = _normal(rng, tracks, WARM_UP + sessions)
    for day in range(1, days.shape[1]):
        days[:, day] += MEMORY * days[:, day - 1]
    return days[:, WARM_UP:]


KINDS: dict[str, Draw] = {"normal": _normal, "heavy": _heavy, "memory": _remembering}


def _mean_coverage(tracks: NDArray[np.float64]) -> float:
    found = [mean_interval(track) for track in tracks]
    return 100 * float(np.mean([each is not None and each.contains(0.0) for each in found]))


def _percentile_coverage(tracks: NDArray[np.float64], seed: int) -> float:
    # What reports used until December 2026, for comparison.
    sessions = tracks.shape[1]
    drawn = stationary_samples(sessions, mean_block_length(sessions), SAMPLES, seed)
    edges = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    ends = np.array([np.quantile(track[drawn].mean(axis=1), edges) for track in tracks])
    return 100 * float(np.mean((ends[:, 0] <= 0) & (ends[:, 1] >= 0)))


def _sharpe_coverage(tracks: NDArray[np.float64], seed: int) -> float:
    found = [sharpe_interval(track, seed=seed + number, samples=SAMPLES) for number, track in enumerate(tracks)]
    return 100 * float(np.mean([each is not None and each.low <= 0 <= each.high for each in found]))


def _drawdown_coverage(seen: NDArray[np.float64], after: NDArray[np.float64], seed: int) -> float:
    covered = []
    for number, (track, fall) in enumerate(zip(seen, deepest_fall(after), strict=True)):
        interval = drawdown_interval(track, seed=seed + number, samples=SAMPLES)
        covered.append(interval is not None and interval.low <= fall <= interval.high)
    return 100 * float(np.mean(covered))


def _false_promises(rng: np.random.Generator) -> dict[str, float]:
    probabilistic, deflated, overfit = [], [], []
    for _ in range(SETS):
        trials = list(_normal(rng, TRIALS, YEAR))
        found = [moments for moments in map(return_moments, trials) if moments is not None]
        best = max(found, key=lambda moments: moments.sharpe)
        variance = float(np.var([moments.sharpe for moments in found], ddof=1))
        probabilistic.append(probabilistic_sharpe(best) > LEVEL)
        deflated.append(deflated_sharpe(best, TRIALS, variance) > LEVEL)
        overfit.append(backtest_overfitting(np.column_stack(trials), range(YEAR), slices=8).probability)
    return {
        f"best_of_{TRIALS}_above_95_probabilistic": 100 * float(np.mean(probabilistic)),
        f"best_of_{TRIALS}_above_95_deflated": 100 * float(np.mean(deflated)),
        "overfitting_of_noise": 100 * float(np.mean(overfit)),
    }

"""The summary file of a finished run."""

import msgspec

from training.learning.findings import Finding


class TrainingSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a whole run, written as ``metrics/training_summary.json``.

    Attributes
    ----------
    algorithm : str
    steps : int
        Environment steps taken.
    seconds, samples_per_s : float
    episodes : int
    mean_episode_reward_first, mean_episode_reward_last : float or None
        Mean reward, before normalisation, of the first and the last rollout in which an episode ended.
    approx_kl, clip_fraction, explained_variance : float or None
        Values of the last update; None if the algorithm has no such figure.
    best_validation, best_step : float and int, or None
        Best validation result and the step of that state; None without validation.
    best_error : float or None
        Standard error of ``best_validation``; None with too few validation sessions.
    beats_flat : bool or None
        Whether the kept state beats doing nothing on the validation sessions by ``learner.beat_flat_by`` standard
        errors. If not, the bundle abstains. None if it was not asked for or cannot be said.
    findings : list of Finding
        Figures out of their healthy range.
    seed : int
    interrupted : bool
        Whether Ctrl-C ended it.
    versions : dict of str to str
    """

    algorithm: str
    steps: int
    seconds: float
    samples_per_s: float
    episodes: int
    mean_episode_reward_first: float | None
    mean_episode_reward_last: float | None
    approx_kl: float | None
    clip_fraction: float | None
    explained_variance: float | None
    best_validation: float | None
    best_step: int | None
    best_error: float | None = None
    beats_flat: bool | None = None
    findings: list[Finding]
    seed: int
    interrupted: bool
    versions: dict[str, str]

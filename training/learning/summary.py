"""A finished run in a few figures."""

import msgspec

from training.learning.findings import Finding


class TrainingSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The run in a few figures, written as ``metrics/training_summary.json``.

    Attributes
    ----------
    algorithm : str
    steps : int
        Environment steps taken.
    seconds, samples_per_s : float
    episodes : int
    mean_episode_reward_first, mean_episode_reward_last : float or None
        Over the episodes of the first and the last rollout in which one ended, reward before normalisation.
    approx_kl, clip_fraction, explained_variance : float or None
        Of the last update; None where there was none.
    best_validation, best_step : float and int, or None
        Best result on the validation sessions and the step that the model was taken from; None without them.
    findings : list of Finding
        What was out of its healthy range.
    seed : int
    interrupted : bool
        Ended by Ctrl-C.
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
    findings: list[Finding]
    seed: int
    interrupted: bool
    versions: dict[str, str]

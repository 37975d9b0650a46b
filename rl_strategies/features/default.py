"""The features that an experiment gets unless it names its own, and the check that the data can give them."""

from collections.abc import Sequence

from catalogs.errors import InputError
from rl_strategies.features.plan import FeaturePlan
from rl_strategies.features.spec import FeatureSpec

DEFAULT_SPECS = (
    *(FeatureSpec("log_return", f"return_{n}", {"n": n}) for n in (1, 5, 15, 60)),
    FeatureSpec("sma_distance", "sma_20_distance", {"n": 20}),
    FeatureSpec("ema_distance", "ema_12_distance", {"n": 12}),
    FeatureSpec("ema_distance", "ema_50_distance", {"n": 50}),
    FeatureSpec("rsi", "rsi_14", {"n": 14}),
    FeatureSpec("atr", "atr_14", {"n": 14}, observe=False),
    FeatureSpec("ratio", "atr_14_over_close", inputs={"numerator": "atr_14", "denominator": "close"}),
    FeatureSpec("macd", "macd"),
    FeatureSpec("bollinger", "bollinger"),
    FeatureSpec("realised_volatility", "volatility_30", {"n": 30}),
    FeatureSpec("vwap_distance", "vwap_distance", reset="session"),
    FeatureSpec("time_of_day", "time_of_day"),
    FeatureSpec("day_of_week", "day_of_week"),
    FeatureSpec("session_clock", "session_clock"),
    FeatureSpec("regular_hours", "regular_hours"),
)


def default_plan(*, volume_known: bool, extended_hours: bool) -> FeaturePlan:
    """The default features, less what the data cannot give.

    Log returns over 1, 5, 15 and 60 bars; distances to SMA(20), EMA(12) and EMA(50); RSI(14); ATR(14) over
    the close; MACD(12, 26, 9) over the close; Bollinger %b and bandwidth(20, 2); realised volatility(30);
    distance to the session's VWAP; time of day, weekday, time since the open and to the close; whether in
    regular hours. ``atr_14`` in price units is computed but not observed: sizing and barriers use it.

    Parameters
    ----------
    volume_known : bool
        False leaves out what needs the volume.
    extended_hours : bool
        False leaves out the regular-hours flag, which would be a constant.

    Returns
    -------
    FeaturePlan
        With what was left out, and why, in ``left_out``.

    Examples
    --------
    >>> default_plan(volume_known=False, extended_hours=True).left_out
    (('vwap_distance', 'the volume of these bars is not known'),)
    """
    reasons = _missing(volume_known=volume_known, extended_hours=extended_hours)
    needs = FeaturePlan(DEFAULT_SPECS).needs
    left_out = {name: reasons[column] for name, needed in needs.items() for column in needed & reasons.keys()}
    return FeaturePlan([s for s in DEFAULT_SPECS if s.name not in left_out], left_out=left_out.items())


def build_plan(specs: Sequence[FeatureSpec], *, volume_known: bool, extended_hours: bool) -> FeaturePlan:
    """A plan of features that the user named: all of them, or an error.

    Parameters
    ----------
    specs : sequence of FeatureSpec
    volume_known : bool
        Whether the bars carry their true volume.
    extended_hours : bool
        Whether the bars reach beyond regular trading hours.

    Raises
    ------
    InputError
        When the wiring is wrong, or when a feature needs what the data does not have.
    """
    plan = FeaturePlan(specs)
    for column, reason in _missing(volume_known=volume_known, extended_hours=extended_hours).items():
        for name, needed in plan.needs.items():
            if column in needed:
                raise InputError(f"feature {name!r} needs column {column!r}, but {reason}")
    return plan


def _missing(*, volume_known: bool, extended_hours: bool) -> dict[str, str]:
    reasons = {}
    if not volume_known:
        reasons["volume"] = "the volume of these bars is not known"
    if not extended_hours:
        reasons["rth"] = "these bars have no hours beyond the regular ones, so that it would be a constant"
    return reasons

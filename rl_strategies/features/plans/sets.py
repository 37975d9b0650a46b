"""Named sets of features: the small ``default``, one per family, and ``full``; named context sets."""

from typing import NamedTuple

from msgspec.structs import replace

from catalogs.errors import InputError
from rl_strategies.features.plans.streams import StreamSpec
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

_CLOCK = ("vwap_distance", "time_of_day", "day_of_week", "session_clock", "regular_hours")

TECHNICAL = (
    *(spec for spec in DEFAULT_SPECS if spec.kind not in _CLOCK),
    FeatureSpec("log_return", "return_30", {"n": 30}),
    FeatureSpec("sma_distance", "sma_60_distance", {"n": 60}),
    FeatureSpec("ema_distance", "ema_26_distance", {"n": 26}),
    FeatureSpec("swift_ema_distance", "swift_ema_20", {"n": 20}),
    FeatureSpec("weighted_average", "weighted_20", {"n": 20}),
    FeatureSpec("rsi", "rsi_7", {"n": 7}),
    FeatureSpec("stochastic", "stochastic"),
    FeatureSpec("channel_position", "channel_20", {"n": 20}),
    FeatureSpec("channel_position", "channel_60", {"n": 60}),
    FeatureSpec("cci", "cci_20", {"n": 20}),
    FeatureSpec("directional_movement", "dmi"),
    FeatureSpec("aroon", "aroon_14", {"n": 14}),
    FeatureSpec("trix", "trix_15", {"n": 15}),
    FeatureSpec("ultimate_oscillator", "ultimate"),
    FeatureSpec("balance_of_power", "balance_of_power"),
    FeatureSpec("money_flow_index", "mfi_14", {"n": 14}),
    FeatureSpec("chaikin_money_flow", "cmf_20", {"n": 20}),
    FeatureSpec("z_score", "close_z_60", {"n": 60}),
)

SESSION = (
    *(spec for spec in DEFAULT_SPECS if spec.kind in _CLOCK),
    FeatureSpec("shortened_day", "shortened_day"),
    FeatureSpec("holiday_adjacent", "holiday"),
)

MICROSTRUCTURE = (
    FeatureSpec("corwin_schultz", "corwin_schultz"),
    FeatureSpec("roll_spread", "roll_spread"),
    FeatureSpec("amihud", "amihud"),
    FeatureSpec("order_flow", "order_flow"),
    FeatureSpec("quoted_spread", "quoted_spread"),
    FeatureSpec("effective_spread", "effective_spread"),
    FeatureSpec("book_imbalance", "book_imbalance"),
    FeatureSpec("microprice_distance", "microprice"),
)

ICT = (
    FeatureSpec("prior_session", "prior"),
    *(FeatureSpec("opening_range", f"opening_{n}", {"minutes": n}) for n in (5, 15, 30)),
    FeatureSpec("displacement", "displacement"),
    FeatureSpec("fair_value_gap", "gap"),
    FeatureSpec("equal_extremes", "equal"),
    FeatureSpec("liquidity_sweep", "sweep"),
)

VPA = (
    FeatureSpec("relative_volume", "relative_volume"),
    FeatureSpec("volume_z", "volume_z"),
    FeatureSpec("climax", "climax"),
    FeatureSpec("churn", "churn"),
    FeatureSpec("volume_direction", "volume_direction"),
    FeatureSpec("direction_ema", "direction_ema"),
    FeatureSpec("intrabar_volatility", "intrabar_volatility"),
)

REGIME = (
    FeatureSpec("trend_regime", "trend"),
    FeatureSpec("volatility_regime", "volatility_regime"),
    FeatureSpec("variance_ratio", "variance_ratio", {"n": 60}),
    FeatureSpec("volatility_rank", "volatility_rank", {"n": 60}),
    FeatureSpec("return_autocorrelation", "autocorrelation"),
)

_COMPARED = (
    FeatureSpec("momentum", "momentum", {"n": 10}),
    FeatureSpec("swing_break", "swing", {"n": 30}),
)

SMT_PRIMARY = tuple(replace(spec, name=f"own_{spec.name}", observe=False) for spec in _COMPARED)
SMT_STREAMS = tuple(StreamSpec(name, _COMPARED) for name in ("SPY", "QQQ"))
SMT_CROSS = tuple(
    spec
    for label, one, other in (("own_spy", "own_", "SPY."), ("spy_qqq", "SPY.", "QQQ."))
    for spec in (
        FeatureSpec("divergence", f"smt_{label}", inputs={"one": f"{one}momentum", "other": f"{other}momentum"}),
        FeatureSpec(
            "swing_divergence",
            f"smt_swing_{label}",
            inputs={
                "one_high": f"{one}swing_high",
                "one_low": f"{one}swing_low",
                "other_high": f"{other}swing_high",
                "other_low": f"{other}swing_low",
            },
        ),
    )
)

_LEVEL = (FeatureSpec("value", "level", inputs={"x": "close"}),)


def vix_streams(*, lag_s: int, max_age_s: int) -> tuple[StreamSpec, ...]:
    """Streams of the VIX family, for daily values or bars.

    Parameters
    ----------
    lag_s, max_age_s : int
        As in `StreamSpec`. Daily values stamped at the day's close need no lag and four days of age (weekends,
        holidays); bars of some minutes need a lag of one bar and an age of a few.
    """
    whole = (*_LEVEL, FeatureSpec("implied_volatility", "iv"), FeatureSpec("implied_volatility_z", "z"))
    parts = (("VIX", whole), ("VIX9D", _LEVEL), ("VIX3M", _LEVEL))
    return tuple(StreamSpec(name, specs, lag_s=lag_s, max_age_s=max_age_s) for name, specs in parts)


VIX_CROSS = (
    FeatureSpec("value", "vix", inputs={"x": "VIX.iv"}),
    FeatureSpec("value", "vix_z", inputs={"x": "VIX.z"}),
    FeatureSpec("term_structure", "vix_9d_1m", inputs={"near": "VIX9D.level", "far": "VIX.level"}),
    FeatureSpec("term_structure", "vix_1m_3m", inputs={"near": "VIX.level", "far": "VIX3M.level"}),
)


class ContextSet(NamedTuple):
    """Features that compare an instrument with context streams.

    Attributes
    ----------
    primary : tuple of FeatureSpec
        Additional features of the traded instrument.
    streams : tuple of StreamSpec
    cross : tuple of FeatureSpec
    """

    primary: tuple[FeatureSpec, ...]
    streams: tuple[StreamSpec, ...]
    cross: tuple[FeatureSpec, ...]


_DAY_S = 86_400

# Futures trade when SPY does not: the comparison is then 0, and SPY_fresh marks it. A daily value has one night to
# reach the catalog, and is valid over a long weekend.
CONTEXT_SETS = {
    "smt": ContextSet(SMT_PRIMARY, tuple(replace(stream, fill=True) for stream in SMT_STREAMS), SMT_CROSS),
    "vix": ContextSet((), vix_streams(lag_s=_DAY_S // 2, max_age_s=5 * _DAY_S), VIX_CROSS),
}

SETS: dict[str, tuple[FeatureSpec, ...]] = {
    "default": DEFAULT_SPECS,
    "technical": TECHNICAL,
    "session": SESSION,
    "microstructure": MICROSTRUCTURE,
    "ict": ICT,
    "vpa": VPA,
    "regime": REGIME,
    "full": (*TECHNICAL, *SESSION, *MICROSTRUCTURE, *ICT, *VPA, *REGIME),
}


def feature_set(names: str) -> tuple[FeatureSpec, ...]:
    """Features of one or several named sets.

    Parameters
    ----------
    names : str
        A key of `SETS`, or several joined by ``+``: ``"default+ict"``. A feature in two of them counts once.

    Raises
    ------
    InputError
        If a name is unknown.

    Examples
    --------
    >>> len(feature_set("default+session")) - len(feature_set("default"))
    2
    """
    chosen: list[FeatureSpec] = []
    for name in names.split("+"):
        if name not in SETS:
            raise InputError(f"a set of features must be one of {', '.join(SETS)}, was {name!r}")
        chosen += [spec for spec in SETS[name] if spec not in chosen]
    return tuple(chosen)


def context_set(names: str) -> ContextSet:
    """One or several named context sets.

    Parameters
    ----------
    names : str
        ``"smt"`` (divergence from SPY and QQQ), ``"vix"`` (daily implied volatility), or both joined by ``+``.

    Raises
    ------
    InputError
        If a name is unknown.

    Examples
    --------
    >>> [stream.name for stream in context_set("smt+vix").streams]
    ['SPY', 'QQQ', 'VIX', 'VIX9D', 'VIX3M']
    """
    chosen = names.split("+")
    for name in chosen:
        if name not in CONTEXT_SETS:
            raise InputError(f"a context must be one of {', '.join(CONTEXT_SETS)}, was {name!r}")
    sets = [CONTEXT_SETS[name] for name in dict.fromkeys(chosen)]
    return ContextSet(*(tuple(item for part in parts for item in part) for parts in zip(*sets, strict=True)))

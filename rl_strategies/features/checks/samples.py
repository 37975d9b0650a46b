"""One plan of every registered feature, and a synthetic market with all their inputs, for checks and benchmarks."""

from collections.abc import Collection

import numpy as np

from catalogs.instruments.specification import InstrumentSpec
from catalogs.sessions import session_calendar
from catalogs.synthetic import synthetic_sessions
from rl_strategies.features.checks.recording import Recording
from rl_strategies.features.compiler.compile import Floats
from rl_strategies.features.kernel import REGISTRY
from rl_strategies.features.plans.joined import JoinedPlan
from rl_strategies.features.plans.plan import FeaturePlan
from rl_strategies.features.plans.sets import SMT_CROSS, SMT_PRIMARY, SMT_STREAMS, VIX_CROSS, feature_set, vix_streams
from rl_strategies.features.plans.streams import StreamRows
from rl_strategies.features.rows import ALL_COLUMNS, Quotes, input_rows
from rl_strategies.features.spec import FeatureSpec

# Inputs that are no column read numbers of both signs; kernels that need positive ones read prices.
_STAND_INS = tuple(
    FeatureSpec("divergence", f"stand_in_{number}", inputs={"one": one, "other": other}, observe=False)
    for number, (one, other) in enumerate(
        [("close", "open"), ("open", "low"), ("bid_size", "ask_size"), ("minutes_to_close", "minutes_since_open")]
    )
)
_OF_POSITIVE_INPUTS = ("ratio", "term_structure")


def every_feature() -> FeaturePlan:
    """The set ``full`` and, with its default parameters, every registered kernel that is not in it."""
    specs = [*feature_set("full"), *SMT_PRIMARY]
    used = {spec.kind for spec in specs}
    specs += [*_STAND_INS, *(_alone(kind) for kind in sorted(REGISTRY.keys() - used))]
    return FeaturePlan(specs, ALL_COLUMNS)


def every_context() -> JoinedPlan:
    """`every_feature` with the SMT and VIX families over the streams of `made_up_market`."""
    streams = (*SMT_STREAMS, *vix_streams(lag_s=60, max_age_s=600))
    return JoinedPlan(every_feature(), streams, (*SMT_CROSS, *VIX_CROSS))


def made_up_market(
    instrument: InstrumentSpec, first_date: np.datetime64, last_date: np.datetime64, *, seed: int
) -> Recording:
    """Synthetic sessions with quotes and context.

    Parameters
    ----------
    instrument : InstrumentSpec
    first_date, last_date : datetime64[D]
        Trading days, both included.
    seed : int
    """
    calendar, random = session_calendar(instrument.calendar), np.random.default_rng(seed)
    bars = synthetic_sessions(instrument, first_date, last_date, seed=seed).bars
    recording = Recording(bars, calendar)
    close = input_rows(bars, calendar, ("close",))[:, 0]
    tick = float(instrument.tick_size)
    bid = close - tick * random.integers(0, 2, len(close))
    sizes = random.integers(1, 90, (2, len(close))).astype(np.float64)
    quotes = Quotes(bid, bid + tick * random.integers(1, 3, len(close)), *sizes)
    streams = {
        stream.name: StreamRows(bars.ts_ns, _context_rows(close, stream.plan().columns, random))
        for stream in (*SMT_STREAMS, *vix_streams(lag_s=60, max_age_s=600))
    }
    return Recording(recording.bars, calendar, quotes, streams)


def _context_rows(close: Floats, columns: Collection[str], random: np.random.Generator) -> Floats:
    related = 0.1 * (close + np.cumsum(random.normal(size=len(close))))
    reach = np.abs(random.normal(size=(2, len(close)))) * 0.2
    known = {"open": related, "high": related + reach[0], "low": related - reach[1], "close": related}
    return np.column_stack([known.get(column, np.full(len(close), 1000.0)) for column in columns])


def _alone(kind: str) -> FeatureSpec:
    kernel = REGISTRY[kind]
    unwired = [argument for argument in kernel.inputs if argument not in ALL_COLUMNS]
    sources = ("high", "low") if kind in _OF_POSITIVE_INPUTS else [spec.name for spec in _STAND_INS]
    inputs = dict(zip(unwired, sources, strict=False))
    return FeatureSpec(kind, f"{kind}_alone", inputs=inputs, reset="session" if kernel.anchored else None)

"""Plans for the data at hand: features that it cannot give are left out with a reason, or refused if required."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from catalogs.errors import InputError
from rl_strategies.features.compiler.allocation import SESSION_ROWS
from rl_strategies.features.plans.joined import JoinedPlan
from rl_strategies.features.plans.plan import FeaturePlan
from rl_strategies.features.plans.sets import feature_set
from rl_strategies.features.plans.streams import StreamSpec
from rl_strategies.features.rows import ALL_COLUMNS, COLUMNS, INSTRUMENT_COLUMN, QUOTE_COLUMNS
from rl_strategies.features.spec import FeatureSpec

REGULAR_SESSION_MINUTES = 390


@dataclass(frozen=True)
class DataAtHand:
    """What the data of an instrument contains.

    Attributes
    ----------
    volume_known : bool
        Whether the bars carry their true volume.
    extended_hours : bool
        Whether the bars reach beyond regular trading hours.
    quotes : bool
        Whether there are quotes for the bars.
    instruments : int
        Number of instruments that one policy trades.
    bar_minutes : int
        Length of the bars.
    """

    volume_known: bool
    extended_hours: bool
    quotes: bool = False
    instruments: int = 1
    bar_minutes: int = 1

    @property
    def session_rows(self) -> int:
        """Most bars of a session.

        Examples
        --------
        >>> DataAtHand(True, False, bar_minutes=60).session_rows  # 6.5 hours: one bar is half as long
        7
        """
        return math.ceil((SESSION_ROWS if self.extended_hours else REGULAR_SESSION_MINUTES) / self.bar_minutes)

    @property
    def constant(self) -> dict[str, str]:
        """Columns with the same value in every row, with the reason: what reads nothing else is constant too."""
        reasons = {}
        if not self.extended_hours:
            reasons["rth"] = "these bars cover regular hours only, so it would be constant"
        if self.instruments < 2:
            reasons[INSTRUMENT_COLUMN] = "there is only one instrument, so it would be constant"
        return reasons

    @property
    def missing(self) -> dict[str, str]:
        """Columns that the data lacks, with the reason."""
        reasons = {}
        if not self.volume_known:
            reasons["volume"] = "the volume of these bars is not known"
        if not self.quotes:
            reasons |= dict.fromkeys(QUOTE_COLUMNS, "there are no quotes for these bars")
        return reasons

    def why_not(self, needed: frozenset[str]) -> str:
        """Why a feature that reads these columns cannot be given; empty if it can."""
        missing, constant = self.missing, self.constant
        if lacking := sorted(needed & missing.keys()):
            return missing[lacking[-1]]
        return constant[min(needed)] if needed and needed <= constant.keys() else ""


def default_plan(*, volume_known: bool, extended_hours: bool) -> FeaturePlan:
    """The default features, without those that the data cannot give.

    Log returns over 1, 5, 15 and 60 bars; distances to SMA(20), EMA(12) and EMA(50); RSI(14); ATR(14) over
    the close; MACD(12, 26, 9) over the close; Bollinger %b and bandwidth(20, 2); realised volatility(30);
    distance to the session's VWAP; time of day, weekday, time since the open and to the close; whether in
    regular hours. ``atr_14`` in price units is computed but not observed: sizing and barriers use it.

    Parameters
    ----------
    volume_known : bool
        False leaves out features that need the volume.
    extended_hours : bool
        False leaves out the regular-hours flag, which would be constant.

    Returns
    -------
    FeaturePlan
        ``left_out`` holds what was left out, with reasons.

    Examples
    --------
    >>> default_plan(volume_known=False, extended_hours=True).left_out
    (('vwap_distance', 'the volume of these bars is not known'),)
    """
    return plan_for(feature_set("default"), DataAtHand(volume_known, extended_hours))


def build_plan(specs: Sequence[FeatureSpec] | str, *, volume_known: bool, extended_hours: bool) -> FeaturePlan:
    """A plan of named features for bars without quotes; see `plan_for` for more options.

    Parameters
    ----------
    specs : sequence of FeatureSpec, or names as `feature_set` takes them
    volume_known, extended_hours : bool
        As in `DataAtHand`.

    Raises
    ------
    InputError
        If an input is wrong, or the data cannot give a required feature.

    Examples
    --------
    >>> plan = build_plan("full", volume_known=True, extended_hours=True)
    >>> len(plan.outputs), plan.observed
    (94, 93)
    """
    chosen = feature_set(specs) if isinstance(specs, str) else specs
    return plan_for(chosen, DataAtHand(volume_known, extended_hours))


def plan_for(specs: Sequence[FeatureSpec], data: DataAtHand) -> FeaturePlan:
    """A plan of the features that the data can give.

    Parameters
    ----------
    specs : sequence of FeatureSpec
        Features; one that reads a left-out feature is left out too.
    data : DataAtHand

    Returns
    -------
    FeaturePlan
        Its ``columns`` are `COLUMNS` and those of `ALL_COLUMNS` that are read; ``left_out`` holds what was left out,
        with reasons.

    Raises
    ------
    InputError
        If an input is wrong, the data cannot give a required feature, or no feature is left.
    """
    needs = FeaturePlan(specs, ALL_COLUMNS).needs
    left_out = {name: why for name, needed in needs.items() if (why := data.why_not(needed))}
    for spec in specs:
        if spec.required and spec.name in left_out:
            raise InputError(f"feature {spec.name!r} is required, but {left_out[spec.name]}")
    kept = [spec for spec in specs if spec.name not in left_out]
    if not kept:
        raise InputError(f"the data can give none of the features: {next(iter(left_out.values()))}")
    read = frozenset().union(*(needs[spec.name] for spec in kept))
    columns = [column for column in ALL_COLUMNS if column in COLUMNS or column in read]
    return FeaturePlan(kept, columns, left_out.items(), data.session_rows)


def joined_plan_for(
    primary: FeaturePlan,
    streams: Sequence[StreamSpec],
    cross: Sequence[FeatureSpec],
    available: Collection[str],
    *,
    bar_minutes: int = 1,
) -> FeaturePlan | JoinedPlan:
    """The primary plan with the context that is available.

    Parameters
    ----------
    primary : FeaturePlan
    streams : sequence of StreamSpec
    cross : sequence of FeatureSpec
        Features over several streams; one that reads an unavailable stream or a left-out feature is left out too.
    available : collection of str
        Names of the streams with data.
    bar_minutes : int
        Length of the bars, of the streams too.

    Returns
    -------
    FeaturePlan or JoinedPlan
        ``primary`` itself, with reasons, if no cross feature is left.

    Raises
    ------
    InputError
        If an input is wrong, or a required stream or feature cannot be given.
    """
    for stream in streams:
        if stream.required and stream.name not in available:
            raise InputError(f"stream {stream.name} is required, but has no data")
    missing = dict(primary.left_out)
    missing |= {s.name: f"{s.name} has no data" for s in streams if s.name not in available}
    left_out: dict[str, str] = {}
    for spec in cross:
        for read in spec.inputs.values():
            source = read.partition(".")[0]
            reason = missing.get(source) or left_out.get(read)
            if reason is not None:
                left_out.setdefault(spec.name, reason)
        if spec.required and spec.name in left_out:
            raise InputError(f"feature {spec.name!r} is required, but {left_out[spec.name]}")
    kept = [spec for spec in cross if spec.name not in left_out]
    used = {read.partition(".")[0] for spec in kept for read in spec.inputs.values() if "." in read}
    if not kept:
        reasons = (*primary.left_out, *left_out.items())
        return FeaturePlan(primary.specs, primary.columns, reasons, primary.session_rows, primary.pruned)
    rows = math.ceil(SESSION_ROWS / bar_minutes)
    sized = [replace(stream, session_rows=rows) for stream in streams if stream.name in used]
    return JoinedPlan(primary, sized, kept, left_out.items())

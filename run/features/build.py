"""``rl-intraday features build``: feature matrix of an instrument in the catalog, and its coverage."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from catalogs.bars import BarSeries
from catalogs.cache import written_aside
from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_minutes, bar_type_of
from catalogs.instruments.specification import resolve_stored
from catalogs.instruments.stored import stored_instruments, stored_spec
from catalogs.sessions import SessionCalendar, has_extended_hours, session_calendar
from catalogs.storage.arrow import read_bars
from configs import instruments_path
from rl_strategies.features import (
    DataAtHand,
    FeaturePlan,
    JoinedPlan,
    cached_matrix,
    input_rows,
    joined_plan_for,
    plan_for,
)
from rl_strategies.features.compiler.compile import Floats
from rl_strategies.features.plans.coverage import FamilyCoverage, family_coverage
from rl_strategies.features.plans.sets import context_set
from run.console import messages, print_json, print_result
from run.features.context import FoundStream, find_streams
from run.features.plan import load_own_features, named_context, named_specs


def run_build(
    *,
    instrument: str,
    features: str,
    bar: str,
    smt: bool,
    vix: bool,
    file: list[Path] | None,
    out: Path | None,
    catalog: Path,
    as_json: bool,
) -> None:
    """Compute the features of an instrument's bars and print how many values are finite.

    The options are those of the verb; see `run.features.commands.build`.
    """
    load_own_features(file or [])
    if out is not None and out.suffix != ".npz":
        raise InputError(f"--out must end in .npz, was {out}")
    spec = stored_spec(catalog, resolve_stored(instrument, instruments_path(), stored_instruments(catalog)))
    names = [name for name, wanted in (("smt", smt), ("vix", vix)) if wanted]
    context = context_set("+".join(names)) if names else named_context(features)
    specs = named_specs(features)
    bars, calendar = read_bars(catalog, bar_type_of(spec, bar)), session_calendar(spec.calendar)
    data = DataAtHand(bars.volume_known, has_extended_hours(spec.calendar), bar_minutes=bar_minutes(bar))
    plan: FeaturePlan | JoinedPlan = plan_for((*specs, *context.primary), data)
    found = find_streams(catalog, context.streams, bar)
    if context.streams and isinstance(plan, FeaturePlan):
        plan = joined_plan_for(plan, context.streams, context.cross, found.keys(), bar_minutes=data.bar_minutes)
    with messages.status("computing features"):
        values = _matrix(plan, bars, calendar, found)
    session = calendar.locate(bars.ts_ns)
    coverage = family_coverage(plan, values, session, calendar.session_date)
    if out is not None:
        _write(out, plan, bars, values)
    if as_json:
        print_json(_described(plan, bars, coverage))
    else:
        _print(plan, bars, coverage)


def _matrix(
    plan: FeaturePlan | JoinedPlan, bars: BarSeries, calendar: SessionCalendar, found: dict[str, FoundStream]
) -> Floats:
    span = (int(bars.ts_ns[0]), int(bars.ts_ns[-1]))
    hashes = [bars.hash, calendar.hash_between(*span)]
    rows = input_rows(bars, calendar, plan.columns)
    if isinstance(plan, FeaturePlan):
        return cached_matrix(plan, hashes, lambda: plan.batch(rows))
    hashes += [found[stream.name].hash for stream in plan.streams]
    context = {name: stream.rows for name, stream in found.items()}
    return cached_matrix(plan, hashes, lambda: plan.batch(rows, bars.ts_ns, context))


def _write(out: Path, plan: FeaturePlan | JoinedPlan, bars: BarSeries, values: Floats) -> None:
    with written_aside(out) as aside:
        np.savez(aside, values=values, names=np.array(plan.outputs), ts_ns=bars.ts_ns)


def _described(plan: FeaturePlan | JoinedPlan, bars: BarSeries, coverage: Sequence[FamilyCoverage]) -> dict[str, Any]:
    return {
        "bar_type": bars.bar_type,
        "rows": len(bars),
        "outputs": list(plan.outputs),
        "observed": plan.observed,
        "plan": plan.hash,
        "families": [
            {
                "family": family.family,
                "outputs": len(family.outputs),
                "finite_share": family.finite_share,
                "warmup_rows": family.warmup_rows,
                "first_valid_session": None if family.first_valid_session is None else str(family.first_valid_session),
            }
            for family in coverage
        ],
        "left_out": dict(plan.left_out),
    }


def _print(plan: FeaturePlan | JoinedPlan, bars: BarSeries, coverage: Sequence[FamilyCoverage]) -> None:
    print_result(f"{bars.bar_type}: {len(bars):,} bars, {len(plan.outputs)} outputs, {plan.observed} observed")
    table = Table(box=None, pad_edge=False)
    for heading in ("family", "outputs", "finite", "warm-up", "first complete session"):
        table.add_column(heading, justify="left" if heading == "family" else "right")
    for family in coverage:
        first = "none" if family.first_valid_session is None else str(family.first_valid_session)
        table.add_row(
            family.family, str(len(family.outputs)), f"{family.finite_share:.1%}", f"{family.warmup_rows:,}", first
        )
    print_result(table)
    for name, reason in plan.left_out:
        print_result(f"left out: {name}: {reason}")

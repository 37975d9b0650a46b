"""``rl-intraday features check``: proves that no feature looks ahead and that live equals training."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.table import Table
from rich.text import Text

from catalogs.instruments.specification import InstrumentSpec, resolve
from configs import instruments_path
from rl_strategies.features import REGISTRY, DataAtHand, FeatureSpec, JoinedPlan, Kernel
from rl_strategies.features.checks.causality import CHECKS, Failure, check_features
from rl_strategies.features.checks.constants import check_constants
from rl_strategies.features.checks.recording import Plan
from rl_strategies.features.checks.samples import every_context, made_up_market
from rl_strategies.features.checks.state_bounds import check_state_bounds
from run.console import messages, print_json, print_result
from run.features.plan import load_own_features, named_plan

FIRST_DATE = np.datetime64("2025-05-19")
LAST_DATE = np.datetime64("2025-06-24")
FAILED = 1


def run_check(*, plan: str | None, file: list[Path] | None, instrument: str, seed: int, as_json: bool) -> None:
    """Prove that features do not look ahead and are the same in training and live.

    The options are those of the verb; see `run.features.commands.check`.
    """
    own = load_own_features(file or [])
    check_constants(REGISTRY[kind] for kind in own)
    spec = resolve(instrument, instruments_path())
    chosen = every_context() if plan is None else named_plan(plan, DataAtHand(True, True, quotes=True))
    with messages.status("checking (the first time compiles, half a minute)"):
        result = run_checks(chosen, spec, seed)
    if as_json:
        print_json(result)
    else:
        _print(result)
    if result["failures"]:
        raise typer.Exit(FAILED)


def run_checks(plan: Plan, instrument: InstrumentSpec, seed: int) -> dict[str, Any]:
    """Check a plan on a synthetic market.

    Returns
    -------
    dict
        ``features`` (outputs checked), ``kinds``, ``rows``, ``checks`` and ``failures``: for each the output's name,
        the check, the first offending row and the close of its bar.

    Raises
    ------
    InputError
        If a kernel uses a constant that was computed at import, or a cell beyond its state: what it would give then
        proves nothing.
    """
    check_constants(_kernels(plan))
    market = made_up_market(instrument, FIRST_DATE, LAST_DATE, seed=seed)
    check_state_bounds(plan, market)
    failures = check_features(plan, market, seed=seed)
    return {
        "features": len(plan.outputs),
        "kinds": sorted({spec.kind for spec in _specs(plan)} & REGISTRY.keys()),
        "rows": len(market),
        "checks": [check for check in CHECKS if check != "declared lag" or isinstance(plan, JoinedPlan)],
        "failures": [_described(failure) for failure in failures],
    }


def _kernels(plan: Plan) -> list[Kernel]:
    plans = [plan.primary, *plan.stream_plans.values(), plan.cross] if isinstance(plan, JoinedPlan) else [plan]
    return [kernel for each in plans for kernel in each.kernels]


def _specs(plan: Plan) -> list[FeatureSpec]:
    if isinstance(plan, JoinedPlan):
        inner = [spec for stream in plan.stream_plans.values() for spec in stream.specs]
        return [*plan.primary.specs, *inner, *plan.cross.specs]
    return list(plan.specs)


def _described(failure: Failure) -> dict[str, Any]:
    at = np.datetime64(failure.ts_ns, "ns").astype("datetime64[s]").astype(datetime)
    return {**asdict(failure), "at": f"{at:%Y-%m-%dT%H:%M:%SZ}"}


def _print(result: dict[str, Any]) -> None:
    failures = result["failures"]
    table = Table(box=None, pad_edge=False)
    for heading in ("check", "outputs", "failed"):
        table.add_column(heading, justify="left" if heading == "check" else "right")
    for check in result["checks"]:
        failed = sum(failure["check"] == check for failure in failures)
        table.add_row(check, str(result["features"]), Text(str(failed), "red" if failed else ""))
    print_result(table)
    for failure in failures:
        where = f"{failure['check']} fails first at row {failure['row']} ({failure['at']})"
        print_result(Text.assemble((failure["name"], "red"), f": {where}"))
    verdict = f"{len({f['name'] for f in failures})} of {result['features']} outputs fail" if failures else "all hold"
    print_result(f"{result['features']} outputs on {result['rows']:,} bars: {verdict}")

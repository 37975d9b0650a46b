"""`rl-intraday features`: the features that an experiment can use."""

import json
from typing import Any

from rich.table import Table
from rich.text import Text

from rl_strategies.features import COLUMNS, REGISTRY, FeaturePlan, FeatureSpec, Kernel
from run.console import print_result


def run_list(as_json: bool) -> None:
    """List every kind of feature: outputs, parameters, inputs, warm-up.

    The options are those of the verb; see `run.features.commands.list_`.
    """
    described = [describe(REGISTRY[kind]) for kind in sorted(REGISTRY, key=_family_then_kind)]
    if as_json:
        print_result(json.dumps(described, indent=2))
    else:
        for family in sorted({row["family"] for row in described}):
            print_result(_table(family, [row for row in described if row["family"] == family]))


def describe(kernel: Kernel) -> dict[str, Any]:
    """A kernel as plain data.

    Returns
    -------
    dict
        ``kind``, ``family``, ``outputs`` (suffixes; empty for one output of the feature's own name),
        ``params`` with their defaults, ``needs`` (inputs), ``wire`` (those inputs that are no column),
        ``warmup_rows`` with the default parameters, ``summary``.
    """
    return {
        "kind": kernel.kind,
        "family": kernel.family,
        "outputs": list(kernel.outputs),
        "params": kernel.params,
        "needs": list(kernel.inputs),
        "wire": [name for name in kernel.inputs if name not in COLUMNS],
        "anchored": kernel.anchored,
        "warmup_rows": _alone(kernel).warmup,
        "summary": kernel.summary,
    }


def _alone(kernel: Kernel) -> FeaturePlan:
    reset = "session" if kernel.anchored else None
    return FeaturePlan([FeatureSpec(kernel.kind, "alone", reset=reset)], tuple({*kernel.inputs, "session"}))


def _family_then_kind(kind: str) -> tuple[str, str]:
    return REGISTRY[kind].family, kind


def _table(family: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=f"{family} features", title_justify="left", title_style="bold", show_lines=True, expand=True)
    table.add_column("kind", ratio=1)
    for heading in ("outputs", "parameters", "needs"):
        table.add_column(heading, no_wrap=True)
    table.add_column("warm-up", justify="right", no_wrap=True)
    for row in rows:
        params = [f"{name}={default}" for name, default in row["params"].items()]
        listed = ("\n".join(names) for names in (row["outputs"] or ["one"], params, row["needs"]))
        table.add_row(Text.assemble((row["kind"], "bold"), f"\n{row['summary']}"), *listed, str(row["warmup_rows"]))
    return table

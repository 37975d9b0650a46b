"""Measured execution costs as a YAML file: from `rl-intraday calibrate`, for `rl-intraday train --execution`."""

from pathlib import Path
from typing import Any

import msgspec

from catalogs.cache import written_aside
from catalogs.errors import InputError
from configs.explain import explain
from rl_strategies.decision.rules import ExecutionConfig
from rl_strategies.live.calibration.calibration import Calibration, Distribution

OLDER_SLIPPAGE = {"slippage_ticks": 1, "slippage_probability": 1.0, "slippage_seed": 0}  # the defaults


class _ExecutionFile(msgspec.Struct, forbid_unknown_fields=True):
    execution: dict[str, Any]


def write_execution(found: Calibration, out: Path) -> None:
    """Write measured costs as the ``execution`` of an experiment, with the measurements as comments."""
    ticks = found.slippage["all"].ticks
    lines = [
        f"# Measured on {found.orders} filled orders: {ticks.mean:.3f} ticks on average{_interval(ticks)}.",
        *(
            f"# {kind}: {each.ticks.count} orders, {each.ticks.mean:.3f} ticks{_interval(each.ticks)}, "
            f"{each.slipped:.0%} worse"
            for kind, each in found.slippage.items()
            if kind != "all"
        ),
        *(f"# Beware: {warning}." for warning in found.warnings),
        "execution:",
        f"  slippage: {{ticks: {found.setting.ticks}, rounding: drawn}}  # the mean of market orders and stops",
    ]
    with written_aside(out) as aside:
        aside.write_text("\n".join(lines) + "\n", encoding="utf-8")


def execution_overrides(path: Path) -> dict[str, Any]:
    """Keys of an experiment that the file sets: ``{"execution.slippage": {"ticks": 0.7, …}, …}``.

    Slippage given in one way takes the place of that which the experiment gives in the other.

    Raises
    ------
    InputError
        If the file is missing, or holds anything but an ``execution``.
    """
    try:
        execution = msgspec.yaml.decode(path.read_bytes(), type=_ExecutionFile).execution
        msgspec.convert(execution, ExecutionConfig, strict=False)
    except OSError as error:
        raise InputError(f"execution file {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise InputError(f"execution file {path}: {explain(error, ExecutionConfig)}") from error
    if "slippage" in execution:
        execution = OLDER_SLIPPAGE | execution
    elif OLDER_SLIPPAGE.keys() & execution.keys():
        execution = {"slippage": None} | execution
    return {f"execution.{key}": value for key, value in execution.items()}


def _interval(sample: Distribution) -> str:
    return "" if sample.low is None else f" (95 % {sample.low:.3f} to {sample.high:.3f})"

"""``python -m benchmarks NAME --json``: one JSON object per benchmark, on one line of standard output.

A benchmark is a module of this package with ``measure(seed: int) -> dict[str, float]``; names with a leading underscore
are not benchmarks. ``measure`` may have two more parameters: ``cycles`` makes it longer, ``harms`` names what it does.
"""

import json
import os
import pkgutil
import platform
import sys
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer

import benchmarks
from catalogs.errors import InputError
from rl_strategies.bundle.manifest import installed_versions
from run.console import print_error

ALL = "all"


def names() -> list[str]:
    """Names of all benchmarks, in alphabetical order."""
    modules = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.ispkg]
    return sorted(name for name in modules if not name.startswith("_"))


def run(name: str, seed: int, cycles: int | None = None, harms: str | None = None) -> dict[str, Any]:
    """Figures of a benchmark, with the machine and the versions they were measured on.

    Raises
    ------
    InputError
        If there is no such benchmark, or it has no cycles or harms.
    """
    if name not in names():
        raise InputError(f"benchmark must be one of {', '.join([*names(), ALL])}, was {name!r}")
    measure = import_module(f"benchmarks.{name}").measure
    chosen = {option: value for option, value in (("cycles", cycles), ("harms", harms)) if value is not None}
    for option in chosen:
        if option not in signature(measure).parameters:
            raise InputError(f"benchmark {name} has no {option}; --{option} is for live_faults")
    figures = measure(seed, **chosen)
    return {
        "benchmark": name,
        "machine": machine(),
        "versions": installed_versions(),
        "seed": seed,
        "figures": figures,
    }


def machine() -> dict[str, Any]:
    """Processor, usable cores and operating system."""
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text(encoding="utf-8").splitlines() if cpu_info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": cores,
        "system": f"{platform.system()} {platform.machine()}",
    }


def main(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(names())}; or all.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line on stdout.")] = False,
    seed: Annotated[int, typer.Option(help="Random seed of data and networks.")] = 0,
    cycles: Annotated[int | None, typer.Option(min=1, help="live_faults only: number of faults.")] = None,
    harms: Annotated[str | None, typer.Option(help="live_faults only: kill,freeze,...")] = None,
) -> None:
    """Run a benchmark (or all) and print its figures."""
    for each in names() if name == ALL else [name]:
        try:
            result = run(each, seed, cycles, harms)
        except InputError as error:
            print_error(str(error))
            raise typer.Exit(2) from None
        if as_json:
            print(json.dumps(result, allow_nan=False), flush=True)
            continue
        print(each)
        for figure, value in result["figures"].items():
            print(f"  {figure:36s} {value:,.4g}")


if __name__ == "__main__":
    typer.run(main)

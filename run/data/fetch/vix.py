"""``rl-intraday data fetch vix``: daily values of VIX, VIX9D and VIX3M from the first source that has them."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec
import pyarrow as pa

from adapters.errors import SourceError
from adapters.http import HttpSource
from adapters.vix import CBOE_BASE, FRED_BASE, INDICES, from_cboe, from_file, from_fred, from_yahoo
from catalogs.daily_values import context_path, unified, write_context
from catalogs.errors import InputError
from configs.secrets import read_secret
from run.console import print_json, print_result, report
from run.data.fetch.choices import FREE_PLAN_PER_MINUTE
from run.data.fetch.last_session import last_finished_day
from run.data.fetch.massive import massive_client
from run.data.fetch.vendors import address
from run.data.fetch.yahoo import yahoo_client
from run.options import comma_separated

Source = Callable[[str], pa.Table]


class Step(msgspec.Struct, frozen=True):
    """Outcome of asking one source for one index."""

    index: str
    source: str
    outcome: str
    days: int = 0
    last: str = ""


def fetch_vix(*, sources: str, files: list[Path] | None, catalog: Path, as_json: bool) -> None:
    """Fetch daily values of VIX, VIX9D and VIX3M into the catalog's context series.

    The options are those of the verb; see `run.data.fetch.commands.vix`.
    """
    last = last_finished_day()
    asked = _sources(comma_separated(sources), files or [], last)
    steps: list[Step] = []
    series = {}
    for index in INDICES:
        parts = _collect(index, asked, last, steps)
        if parts:
            series[index] = unified(parts)
    if "VIX" not in series:
        raise InputError(f"no values of VIX from {', '.join(asked) or 'any source'}")
    rows = write_context(catalog, series)
    path = context_path(catalog)
    if as_json:
        print_json({"file": str(path), "rows": rows, "steps": msgspec.to_builtins(steps)})
    else:
        print_result(f"{rows:,} daily values of {', '.join(series)} in {path}")


def _collect(index: str, asked: dict[str, Source], last: date, steps: list[Step]) -> dict[str, pa.Table]:
    parts: dict[str, pa.Table] = {}
    for name, source in asked.items():
        step, table = _ask(index, name, source)
        steps.append(step)
        report(
            f"{index} from {name}: {step.outcome}" + (f", {step.days:,} days until {step.last}" if step.days else "")
        )
        if table is not None:
            parts[name] = table
            if table["date"][-1].as_py() >= last:
                break
    return parts


def _ask(index: str, name: str, source: Source) -> tuple[Step, pa.Table | None]:
    try:
        table = source(index)
    except (SourceError, InputError) as error:  # the next source is asked; the failure is reported
        return Step(index, name, f"failed: {error}"), None
    if not len(table):
        return Step(index, name, "empty"), None
    return Step(index, name, "taken", len(table), str(table["date"][-1])), table


def _sources(names: list[str], files: list[Path], last: date) -> dict[str, Source]:
    asked: dict[str, Source] = {}
    if files:
        asked["file"] = lambda index: from_file(_file_of(index, files))
    makers: dict[str, Callable[[], Source]] = {
        "cboe": lambda: _from_http("CBOE", "cboe", CBOE_BASE, from_cboe),
        "fred": lambda: _from_http("FRED", "fred", FRED_BASE, from_fred),
        "yahoo": lambda: lambda index: from_yahoo(yahoo_client(), index, last),
        "massive": lambda: _from_massive(last),
    }
    for name in names:
        if name not in makers:
            raise InputError(f"--sources must be from {', '.join(makers)}, was {name!r}")
        if name == "massive" and not read_secret("MASSIVE_API_KEY"):
            report("massive: skipped, no MASSIVE_API_KEY")
            continue
        asked[name] = makers[name]()
    return asked


def _from_http(title: str, name: str, base: str, read: Callable[[HttpSource, str], pa.Table]) -> Source:
    http = HttpSource(title, address(name, base), attempts=3)
    return lambda index: read(http, index)


def _from_massive(last: date) -> Source:
    client = massive_client(FREE_PLAN_PER_MINUTE)
    first = last.replace(year=last.year - 2, day=1)  # as far back as the free plan goes
    return lambda index: client.days(f"I:{index}", first, last)


def _file_of(index: str, files: list[Path]) -> Path:
    for path in files:
        if re.split(r"[._-]", path.name.upper())[0] == index:
            return path
    raise SourceError(f"no --file named {index}_….csv, only {', '.join(path.name for path in files)}")

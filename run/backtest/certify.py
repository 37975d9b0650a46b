"""`rl-intraday certify`: compares the training simulator with the NautilusTrader engine, fill by fill."""

from pathlib import Path

import msgspec
import numpy as np
import typer
from rich.progress import Progress

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_length_ns, instrument_id_of
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.instruments.stored import stored_spec
from catalogs.storage.arrow import read_bars, stored_bar_types
from configs import instruments_path
from run.console import messages, print_json, report
from training.parity.certify import Certificate, certify
from training.parity.configurations import FIRST_DAY

# Futures of every exchange, among them prices in fractions (a 64th for ZN, a 256th for ZT), half a dollar a point
# (MYM), and contracts that are given up before they expire.
SYNTHETIC = (
    "SPY", "AAPL", "MSFT", "NVDA", "QQQ", "IWM", "XOM", "JPM", "MESH5", "NQH5", "ZNH5", "ZTH5", "MYMH5", "CLJ5", "GCJ5",
    "HGH5",
)  # fmt: skip
DAY_NS = 24 * 60 * 60 * 10**9


def run_certify(*, episodes: int, instruments: int, seed: int, catalog: Path | None, as_json: bool) -> None:
    """Prove that the simulator trades exactly as the NautilusTrader engine does.

    The options are those of the verb; see `run.backtest.commands.certify`.
    """
    if instruments > len(SYNTHETIC):
        raise InputError(f"--instruments must be {len(SYNTHETIC)} or less, was {instruments}")
    specs = [resolve(name, instruments_path(), FIRST_DAY.item()) for name in SYNTHETIC]
    recorded = _recorded(catalog) if catalog else []
    with Progress(console=messages, transient=True) as bar:
        task = bar.add_task("certifying", total=episodes)
        result = certify(
            specs,
            episodes=episodes,
            most_instruments=instruments,
            seed=seed,
            recorded=recorded,
            progress=lambda done: bar.update(task, completed=done),
        )
    if as_json:
        print_json(msgspec.to_builtins(result))
    else:
        _print(result)
    if result.divergences:
        raise typer.Exit(1)


def _recorded(catalog: Path) -> list[tuple[InstrumentSpec, BarSeries]]:
    found = []
    for bar_type in stored_bar_types(catalog):
        if bar_length_ns(bar_type) < DAY_NS:
            bars = read_bars(catalog, bar_type)
            last_day = np.datetime64(int(bars.ts_ns[-1]), "ns").astype("datetime64[D]").item()
            found.append(
                (stored_spec(catalog, resolve(instrument_id_of(bar_type), instruments_path(), last_day)), bars)
            )
    if not found:
        raise InputError(f"no intraday bars in catalog {catalog}")
    return found


def _print(result: Certificate) -> None:
    report(
        f"{result.configurations} configurations ({result.portfolio_configurations} portfolios, "
        f"{result.context_configurations} with context, {result.expiry_configurations} on an expiry day), "
        f"seed {result.seed}: {result.steps:,} steps, {result.fills:,} fills"
    )
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(result.slippage_configurations.items()))
    report(f"slippage: {kinds}")
    if result.recorded_days:
        first, last = result.recorded_days
        report(f"{result.recorded_configurations} configurations on recorded bars, days from {first} to {last}")
    report(f"steps/s, one lane: simulator {result.steps_per_s_simulator:,.0f}, engine {result.steps_per_s_engine:,.0f}")
    if result.divergences == 0:
        report("simulator and engine agree on everything", label="0 divergences:", style="bold green")
        return
    report("the first is", label=f"{result.divergences} divergences,", style="bold red")
    divergence = result.first_divergence
    if divergence is not None:
        report(f"  {divergence.what} at step {divergence.step} of session {divergence.session}")
        report(f"  simulator  {divergence.simulator}")
        report(f"  engine     {divergence.engine}")

"""`rl-intraday demo`: the whole path without key or network, on synthetic sessions with a planted edge."""

import time
from datetime import date
from pathlib import Path

import numpy as np

from catalogs.instruments.specification import resolve
from catalogs.storage.arrow import write_bars
from catalogs.synthetic import PlantedEdge, synthetic_provenance, synthetic_sessions
from configs import instruments_path
from configs.schema import DateRange, load_experiment
from rl_strategies.bundle.bundle import load_bundle
from run.backtest import backtest
from run.backtest.random_policies import rule_pnl
from run.console import print_json, report
from run.options import results_folder
from run.train import run_folder as training_run
from run.train import train
from run.train.markets import bundle_market

FIRST_DAY = date(2025, 1, 6)
TEST_START, TEST_END = date(2025, 2, 18), date(2025, 3, 7)
SEED = 20250106


def run_demo(out: Path, timesteps: int | None, as_json: bool) -> None:
    """Run the whole path on synthetic MES sessions, in under three minutes and without downloads.

    The options are those of the verb; see `run.commands.demo`.
    """
    began = time.perf_counter()
    overrides = {"learner.total_timesteps": timesteps} if timesteps else {}
    experiment = load_experiment("demo", overrides, {"learner.total_timesteps": f"--timesteps {timesteps}"})
    instrument = resolve(experiment.instrument, instruments_path(), experiment.train.end)
    edge = PlantedEdge()
    synthetic = synthetic_sessions(instrument, np.datetime64(FIRST_DAY), np.datetime64(TEST_END), seed=SEED, edge=edge)
    catalog = out / "catalog"
    report(
        f"{len(synthetic.bars):,} synthetic bars of {instrument.instrument_id} into {catalog}; "
        f"planted: {edge.describe()}",
        label="1/4",
    )
    write_bars(catalog, instrument, synthetic.bars, synthetic_provenance(instrument, synthetic.bars, edge, SEED))
    report("training", label="2/4")
    trained = train.train_experiment(experiment, catalog, out / "runs")
    report(f"backtest on unseen sessions, {TEST_START} to {TEST_END}", label="3/4")
    bundle = load_bundle(trained.bundle)
    market = bundle_market(bundle, experiment, catalog, DateRange(TEST_START, TEST_END))
    oracle = rule_pnl(market, synthetic.oracle_side)
    truth = backtest.SyntheticTruth(
        f"Synthetic data with a planted edge (seed {SEED}): {edge.describe()}.",
        oracle,
        "takes the side of each impulse at its close, under the same rules and costs",
    )
    folder = results_folder(trained.bundle, "backtest", TEST_START, TEST_END)
    result = backtest.backtest_bundle(bundle, catalog, TEST_START, TEST_END, folder, truth=truth)
    earned = result.record.equity_usd[-1] - result.record.starting_balance_usd
    seconds = time.perf_counter() - began
    if as_json:
        print_json(
            {
                "seconds": round(seconds, 1),
                "catalog": str(catalog),
                "oracle_pnl_usd": oracle,
                "policy_pnl_usd": float(earned),
                "share_of_oracle": float(earned / oracle),
                "train": training_run.describe(trained),
                "backtest": backtest.describe(result),
            }
        )
        return
    report(f"done in {seconds:.0f} s", label="4/4")
    backtest.print_backtest(result)
    report(f"Bundle  {trained.bundle}")
    report(
        f"Oracle  {oracle:,.2f} USD after the same costs; the policy earned {earned:,.2f} USD ({earned / oracle:.0%})"
    )

"""The benchmark runner: discovered modules, one object each, one line per error."""

import subprocess
import sys
import time

import pytest
import typer

from benchmarks.__main__ import machine, main, names, run
from benchmarks.support.timing import interleaved
from catalogs.errors import InputError


def test_an_unknown_benchmark_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"benchmark must be one of .*all, was 'nonsense'"):
        run("nonsense", seed=0)


def test_private_modules_and_packages_are_no_benchmarks() -> None:
    assert not [name for name in names() if name.startswith("_") or name in ("faults", "peers")]


def test_the_machine_is_described() -> None:
    found = machine()
    assert found["cores"] >= 1
    assert found["processor"]


def test_runs_take_turns_and_the_first_round_is_not_counted() -> None:
    order: list[str] = []
    ticks = iter([0.0, 100.0, 100.0, 200.0, *(200.0 + x for x in (0, 1, 1, 3, 3, 6, 6, 10, 10, 11, 11, 13))])
    times = interleaved(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=3, clock=lambda: next(ticks)
    )
    assert order == list("abababab")
    assert times == {"a": 1.0, "b": 2.0}  # a took 1, 3, 1 and b 2, 4, 2 after a first round of 100 each


def test_wrong_input_ends_with_2_and_no_traceback() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: benchmark must be one of")
    assert "Traceback" not in done.stderr


def test_the_extra_of_a_missing_peer_is_printed_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("gym_anytrading.envs", "gym_trading_env.environments"):
        monkeypatch.setitem(sys.modules, module, None)  # import raises ImportError
    monkeypatch.setattr("benchmarks.env.TICKERS", ("SPY",))
    with pytest.raises(typer.Exit):
        main("env")
    line = "error: benchmark env needs gym-anytrading and gym-trading-env: pip install 'rl-intraday[bench]' ("
    assert capsys.readouterr().err.startswith(line)


def test_cycles_and_harms_of_a_benchmark_without_any_are_refused() -> None:
    with pytest.raises(InputError, match="benchmark decide has no cycles; --cycles is for live_faults"):
        run("decide", seed=0, cycles=3)
    with pytest.raises(InputError, match="benchmark decide has no harms; --harms is for live_faults"):
        run("decide", seed=0, harms="kill")


def test_cpu_time_is_the_default_clock() -> None:
    assert interleaved({"sleep": lambda: time.sleep(0.05)}, repeats=1)["sleep"] < 0.05

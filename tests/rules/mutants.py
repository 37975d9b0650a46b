"""The tests of the one module that differs from the last commit: what cosmic-ray runs for every mutant of it."""

import subprocess
import sys

import pytest

OVERLAY = ("entries", "holding", "halts", "portfolio", "sizing", "mask", "settings")
TESTS: dict[str, tuple[str, ...]] = {
    "rl_strategies/risk/config.py": OVERLAY,
    "rl_strategies/risk/overlay.py": OVERLAY,
    "rl_strategies/risk/sizing.py": OVERLAY,
    "rl_strategies/risk/monitor.py": ("live_limits", "settings", "tests/live/test_monitor.py"),
    "rl_strategies/risk/monitor_config.py": ("live_limits", "settings"),
    "rl_strategies/risk/rolling_readings.py": ("live_limits", "tests/live/test_monitor.py"),
    "rl_strategies/risk/state_file.py": ("settings", "tests/live/test_risk_state_file.py"),
    "rl_strategies/decision/barriers.py": ("barriers", "settings"),
    "rl_strategies/decision/kernels.py": ("barriers", *OVERLAY),
    "rl_strategies/decision/slippage.py": ("slippage",),
    "training/simulator/matching.py": ("matching", "slippage"),
    "rl_strategies/accounting/money.py": ("money",),
    "rl_strategies/accounting/commission.py": ("money",),
    "rl_strategies/accounting/position.py": ("money",),
    "rl_strategies/analysis/metrics.py": ("metrics",),
    "rl_strategies/analysis/equity_path.py": ("metrics",),
    "rl_strategies/analysis/mean_interval.py": ("metrics",),
    "rl_strategies/analysis/trades.py": ("trades", "tests/rl_strategies/test_trades.py"),
    "rl_strategies/live/execution/reconciler.py": ("reconciler",),
}
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "--assert=plain", "-p", "no:xdist", "-p", "no:randomly")


def main() -> int:
    changed = subprocess.run(["git", "diff", "--name-only"], capture_output=True, text=True, check=True).stdout.split()
    names = [name for path in changed for name in TESTS.get(path, ())] or sorted({n for t in TESTS.values() for n in t})
    paths = [name if "/" in name else f"tests/rules/test_{name}.py" for name in names]
    return int(pytest.main([*OPTIONS, "--confcutdir=tests/rules", *paths]))


if __name__ == "__main__":
    sys.exit(main())

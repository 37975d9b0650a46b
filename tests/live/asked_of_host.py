"""What several tests ask of a real session at a simulated gateway."""

from benchmarks.faults.host import LiveHost
from benchmarks.faults.invariants import TRADING_CLIENT


def stops(host: LiveHost) -> int:
    """Units that stops of the session would close at the broker."""
    return sum(order.remaining for order in host.broker.working(TRADING_CLIENT) if order.is_stop)


def ended(host: LiveHost, seconds: float = 90.0) -> int:
    """Exit code of the process, which ends while the market stands still."""
    assert host.process is not None
    assert host.pass_time(lambda: not host.is_alive(), seconds, moving=False), host.printed.read_text()[-2000:]
    return int(host.process.returncode)

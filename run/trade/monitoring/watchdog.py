"""Supervision of a live process from outside: the trading loop reports to the health endpoint and to systemd."""

from configs.live.supervision import HealthConfig
from run.trade.monitoring.health import Health, HealthServer
from run.trade.monitoring.systemd import notify


class Supervision:
    """Passes the session's health on, once per tick of the trading loop.

    Parameters
    ----------
    config : HealthConfig or None
        None serves no health endpoint; systemd is notified all the same.

    Attributes
    ----------
    server : HealthServer or None

    Raises
    ------
    InputError
        If the endpoint cannot be served.
    """

    def __init__(self, config: HealthConfig | None) -> None:
        self.server = HealthServer(config) if config is not None else None
        self._is_ready = False

    def tick(self, health: Health) -> None:
        """Report that the trading loop lives, with the session's health; never waits, never raises.

        The first tick of a trading session makes the service ready.
        """
        if self.server is not None:
            self.server.tick(health)
        if not self._is_ready and health.state == "trading":
            self._is_ready = True
            notify("READY=1")
        notify("WATCHDOG=1")

    def close(self) -> None:
        """The process is about to end."""
        notify("STOPPING=1")
        if self.server is not None:
            self.server.close()

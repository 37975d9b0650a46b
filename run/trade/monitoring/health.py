"""The health endpoint of a live session, for containers and monitors on the same machine.

The trading loop hands over a snapshot with every tick and never waits; another thread answers requests with the last
one, so a loop that hangs is seen from outside.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import msgspec

from catalogs.errors import InputError
from configs.live.supervision import HealthConfig, require_loopback
from rl_strategies.risk.monitor_config import RiskLevel


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """State of a session at one moment.

    Attributes
    ----------
    state : str
        ``"starting"``, ``"trading"``, ``"ending"``.
    connected : bool
        Whether the broker is connected.
    data_age_s : float or None
    last_decision_ns : int or None
        Close of the bar that was decided on last, UTC nanoseconds.
    position : mapping of str to int
        Signed units by instrument; only what is held.
    risk_state : {"normal", "reduce_only", "flatten", "halted"}
    problems : tuple of str
        One line for each problem.
    """

    state: str
    connected: bool
    data_age_s: float | None
    last_decision_ns: int | None
    position: Mapping[str, int]
    risk_state: RiskLevel
    problems: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        """Connected, within all limits, and nothing wrong."""
        return self.connected and self.risk_state == "normal" and not self.problems


CLOCK_S = 1.0  # a clock that is further off is a problem
CLIENT_TIMEOUT_S = 5  # a client that sends nothing does not keep its thread for longer
STARTING = Health(
    state="starting", connected=False, data_age_s=None, last_decision_ns=None, position={}, risk_state="normal"
)


def clock_problem(drift_s: float | None) -> str:
    """What is wrong with this machine's clock; empty if nothing is, or it is not known.

    Parameters
    ----------
    drift_s : float or None
        This machine's clock minus the broker's.

    Examples
    --------
    >>> clock_problem(-1.23)
    "this machine's clock is 1.2 s behind the broker's"
    """
    if drift_s is None or abs(drift_s) <= CLOCK_S:
        return ""
    return f"this machine's clock is {abs(drift_s):.1f} s {'ahead of' if drift_s > 0 else 'behind'} the broker's"


class HealthServer:
    """Answers ``GET /health`` (200 while all is fine, else 503) and ``GET /live`` (503 where the loop hangs).

    Parameters
    ----------
    config : HealthConfig
        Port 0 takes a free one.
    clock_s : callable
        Monotonic seconds.

    Attributes
    ----------
    port : int

    Raises
    ------
    InputError
        If the address is not one of this machine's own, or the port is in use.

    Examples
    --------
    >>> from urllib.request import urlopen
    >>> server = HealthServer(HealthConfig(port=0))
    >>> server.tick(msgspec.structs.replace(STARTING, state="trading", connected=True))
    >>> with urlopen(f"http://127.0.0.1:{server.port}/health") as answer:
    ...     json.load(answer)["state"]
    'trading'
    >>> server.close()
    """

    def __init__(self, config: HealthConfig, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._max_tick_age_s, self._clock_s = config.max_tick_age_s, clock_s
        self._last: tuple[float, Health] = (clock_s(), STARTING)
        try:
            require_loopback(config.host)
            self._server = ThreadingHTTPServer((config.host, config.port), _handler_of(self))
        except OSError as error:
            raise InputError(f"health port {config.port} cannot be listened on: {error}") from error
        except ValueError as error:
            raise InputError(str(error)) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    def tick(self, health: Health) -> None:
        """Take the session's state from the trading loop, which thereby shows that it lives."""
        self._last = (self._clock_s(), health)

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str) -> tuple[HTTPStatus, dict[str, Any]]:
        """Status and content of a path."""
        ticked_at, health = self._last
        age_s = self._clock_s() - ticked_at
        hangs = age_s > self._max_tick_age_s
        if path == "/live":
            return _status(not hangs), {"live": not hangs, "tick_age_s": round(age_s, 3)}
        if path != "/health":
            return HTTPStatus.NOT_FOUND, {"problems": ["path must be /health or /live"]}
        content = msgspec.to_builtins(health)
        if hangs:
            content["problems"] = [*content["problems"], f"the trading loop has not reported for {age_s:.0f} s"]
        return _status(health.is_fine and not hangs), content


def _status(is_well: bool) -> HTTPStatus:
    return HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE


def _handler_of(health_server: HealthServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "rl-intraday", ""
        timeout = CLIENT_TIMEOUT_S

        def do_GET(self) -> None:  # the name that http.server calls
            status, content = health_server.answer(urlsplit(self.path).path)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass  # a probe every few seconds is no news

    return Handler

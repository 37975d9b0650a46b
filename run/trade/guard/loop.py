"""The guard's loop: feel the session's pulse, look at the broker, decide, and act once it is certain.

It acts only on what the session owns, and only while no session can: it holds the lock of the session's folder, which
a living session holds too, and kills a frozen one first, so that it cannot wake up and trade beside the guard. Orders
are cancelled under the session's own client id, which is free by then, as a client may cancel its own orders only.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import msgspec
from filelock import FileLock, Timeout

from adapters.ibkr.closing.book import Pace
from adapters.ibkr.closing.broker_answers import await_old_answers
from adapters.ibkr.closing.flatten import Flattened, Flattening, flatten_gateway
from adapters.ibkr.closing.stop_exit import StopExit
from adapters.ibkr.connection import GatewayError, gateway
from catalogs.errors import InputError
from run.trade.guard.alerts import Alerts
from run.trade.guard.bookkeeping import write_closing
from run.trade.guard.broker_view import BrokerView, look
from run.trade.guard.decision import Action, Decision, decide
from run.trade.guard.watched import HEARTBEAT_FILE, NS, WatchedSession
from run.trade.monitoring.heartbeat import Beat, Pulse, PulseWatch, is_alive
from run.trade.safety.own_trades import own_trades
from run.trade.session.folder import LOCK_FILE

ENDED, NOT_ASKED, CLOSED = 0, 3, 5
POLL_S, LOOK_S = 0.5, 1.0
LEFT_LOOK_S = 5.0
LOCK_S, CLOSE_S, STOP_S = 10.0, 60.0, 10.0
RETRIES_S = (5.0, 10.0, 20.0, 40.0, 60.0)
UNREACHED_S, UNREACHED_REPLAYED_S = 3600.0, 120.0
LOCAL_PROBLEMS = (GatewayError, OSError, TimeoutError, LookupError)


class BrokerLine:
    """A connection that is opened when it is asked for, and kept until it breaks or is closed.

    Parameters
    ----------
    session : WatchedSession
    """

    def __init__(self, session: WatchedSession) -> None:
        self._session = session
        self._open = ExitStack()
        self._client: Any = None

    def client(self, where: tuple[str, int]) -> Any:
        """Connected client.

        Raises
        ------
        GatewayError, OSError, TimeoutError
            If the gateway does not answer.
        """
        if self._client is None or not self._client.isConnected():
            self.close()
            config, ids = self._session.config, self._session.settings.client_ids
            connection = gateway(*where, ids, config.request_timeout_s, synchronised=False)
            self._client = self._open.enter_context(connection)
        return self._client

    def close(self) -> None:
        """Hang up."""
        self._client = None
        self._open.close()


class Guard:
    """Watches one session until nothing of it needs watching.

    Parameters
    ----------
    session : WatchedSession
    alerts : Alerts
    pace : Pace, optional
        Of its closing.
    """

    def __init__(self, session: WatchedSession, alerts: Alerts, pace: Pace | None = None) -> None:
        self._session, self._alerts, self._pace = session, alerts, pace or Pace()
        settings = session.settings
        self._pulse = PulseWatch(
            session.folder / HEARTBEAT_FILE, settings.frozen_s, settings.frozen_s + session.config.timeouts.start_s
        )
        self._line = BrokerLine(session)
        self._next_look_s = float("-inf")
        self._wanted: tuple[Any, ...] = ()
        self._wanted_since_s = 0.0
        self._lived_ns = 0
        self._failures = 0
        self._unsure = ""  # why something was closed of which the end is not known
        self._stop_exit: StopExit | None = None
        self._reached_s = time.monotonic()

    def run(self) -> int:
        """Watch; the exit code of the process."""
        try:
            last: Pulse | None = None
            while True:
                pulse = self._pulse.feel()
                if pulse != last or time.monotonic() >= self._next_look_s:
                    last = pulse
                    code = self._round(pulse)
                    if code is not None:
                        return code
                time.sleep(POLL_S)
        finally:
            self._line.close()
            self._alerts.close()

    def _round(self, pulse: Pulse) -> int | None:
        is_well = pulse in ("starting", "healthy")
        self._next_look_s = time.monotonic() + (self._session.settings.look_s if is_well else LOOK_S)
        view = self._view()
        if is_well:
            self._line.close()
        if view is None:
            return None if is_well or not self._is_given_up(view) else NOT_ASKED
        decision = decide(pulse, view.holdings, self._is_over(pulse, view.now))
        self._alerts.state(pulse, decision)
        if not self._is_certain(pulse, decision, view):
            return None
        return self._act(pulse, decision)

    def _view(self) -> BrokerView | None:
        beat = self._pulse.beat
        assert beat is not None
        try:
            client = self._line.client((beat.host, beat.port))
            await_old_answers(client)
            own = own_trades(client, beat.client_id, self._session.folder)
            view = look(client, account_of(client, self._session.config.account()), own)
        except LOCAL_PROBLEMS as error:
            self._line.close()
            # No answer contradicts nothing: what was seen before counts on.
            self._alerts.say("broker", f"the broker cannot be asked: {str(error) or 'no answer'}")
            return None
        self._alerts.say("broker", "")
        self._reached_s = time.monotonic()
        return view

    def _is_given_up(self, view: BrokerView | None) -> bool:
        if self._session.is_replayed:
            return time.monotonic() - self._reached_s > UNREACHED_REPLAYED_S
        silent_s = time.monotonic() - self._reached_s
        return silent_s > UNREACHED_S and self._is_over("dead", datetime.now(UTC))

    def _is_over(self, pulse: Pulse, now: datetime) -> bool:
        now_ns = round(now.timestamp() * NS)
        if not self._session.is_replayed:
            assert self._pulse.beat is not None
            self._lived_ns = self._pulse.beat.time_ns
        elif pulse in ("starting", "healthy") or not self._lived_ns:
            self._lived_ns = now_ns
        return now_ns >= self._session.closes_at_ns(self._lived_ns)

    def _is_certain(self, pulse: Pulse, decision: Decision, view: BrokerView) -> bool:
        if decision.action in ("watch", "warn", "leave"):
            self._wanted = ()
            if decision.action == "leave":
                self._next_look_s = time.monotonic() + LEFT_LOOK_S
            return False
        wanted = (pulse, decision.action, tuple(each.held for each in view.holdings))
        if wanted != self._wanted:
            self._wanted, self._wanted_since_s = wanted, time.monotonic()
        waited_s = time.monotonic() - self._wanted_since_s
        return waited_s >= self._patience_s(pulse, decision.action)

    def _patience_s(self, pulse: Pulse, action: Action) -> float:
        if action in ("close", "exit"):
            return self._session.settings.confirm_s
        beat = self._pulse.beat
        if action == "end" and pulse == "ended" and beat is not None and beat.units == 0:
            return 0.0
        # What the broker shows may be old; and a session that died may be started again.
        is_over = pulse == "ended" or self._unsure
        return self._pace.lag_s if is_over else max(self._pace.lag_s, self._session.settings.restart_s)

    def _act(self, pulse: Pulse, decision: Decision) -> int | None:
        if decision.action == "end" and not self._unsure:
            return ENDED
        if pulse == "frozen":
            self._kill()
        lock = FileLock(self._session.home.path / LOCK_FILE)
        try:
            lock.acquire(timeout=LOCK_S)
        except Timeout:
            self._alerts.say("lock", "nothing is done: another process trades in the session's folder")
            self._wanted = ()
            return None
        try:
            if self._pulse.feel() in ("starting", "healthy"):
                return None
            return self._finish() if decision.action == "end" else self._close(decision)
        finally:
            lock.release()

    def _kill(self) -> None:
        beat = self._pulse.beat
        if beat is not None and is_alive(beat):
            self._alerts.say("kill", f"the frozen session, process {beat.pid}, is killed so that it cannot trade again")
            try:
                os.kill(beat.pid, signal.SIGKILL)
            except OSError as error:
                self._alerts.say("kill", f"the frozen session, process {beat.pid}, cannot be killed: {error}")

    def _close(self, decision: Decision) -> int | None:
        beat = self._pulse.beat
        assert beat is not None
        self._line.close()
        is_exit = decision.action == "exit"
        if is_exit and not self._leave_by_stops(beat):
            return None
        settings, config = self._session.settings, self._session.config
        try:
            done = flatten_gateway(
                (beat.host, beat.port), settings.client_ids, config.request_timeout_s,
                self._begin(beat.client_id), CLOSE_S, self._tell,
            )  # fmt: skip
        except (*LOCAL_PROBLEMS, InputError) as error:
            self._unsure = decision.reason
            self._failed(f"the broker could not be asked: {error}")
            return None
        is_written = (done.closed or is_exit) and self._write_closing(beat) > 0
        if done.closed or is_written:
            self._halt(f"guard: {decision.reason}; closed {_list(done) or 'in the group of its stop'}")
        if not done.is_flat:
            self._failed(f"NOT closed: {_list_left(done)}, {done.orders_left} orders left")
            return None
        self._alerts.say("done", f"done in {done.seconds:.1f} s: no own position, no own order")
        return CLOSED if done.closed or is_exit else ENDED

    def _leave_by_stops(self, beat: Beat) -> bool:
        """Whether nothing is held behind a stop any more; until then nothing may cancel the stop."""
        until = time.monotonic() + STOP_S
        while True:
            try:
                self._leave_as(beat)
                break
            except LOCAL_PROBLEMS as error:
                if time.monotonic() > until:
                    self._failed(f"its stop cannot be moved: {str(error) or 'no answer'}")
                    return False
            time.sleep(POLL_S)  # the gateway frees the client id when it learns of the session's end
        view = self._view()
        self._line.close()
        if view is None or any(each.held for each in view.holdings):
            self._failed("not left yet; the stop at the broker works on")
            return False
        return True

    def _leave_as(self, beat: Beat) -> None:
        config = self._session.config
        connection = gateway(beat.host, beat.port, (beat.client_id,), config.request_timeout_s, synchronised=False)
        with connection as client:
            own = own_trades(client, beat.client_id, self._session.folder)
            account = account_of(client, config.account())
            self._stop_exit = self._stop_exit or StopExit(account, STOP_S, self._tell)
            self._stop_exit.run(client, own)

    def _begin(self, client_id: int) -> Callable[[Any], Flattening]:
        def begin(client: Any) -> Flattening:
            account = account_of(client, self._session.config.account())
            return Flattening(account, own_trades(client, client_id, self._session.folder), self._pace, self._tell)

        return begin

    def _finish(self) -> int:
        # A closing whose end was not answered has filled, or there was none.
        assert self._pulse.beat is not None
        if not self._write_closing(self._pulse.beat):
            return ENDED
        self._halt(f"guard: {self._unsure}; closed")
        return CLOSED

    def _write_closing(self, beat: Beat) -> int:
        session = self._session
        connection = gateway(
            beat.host, beat.port, session.settings.client_ids, session.config.request_timeout_s, synchronised=False
        )
        try:
            with connection as client:
                own = own_trades(client, beat.client_id, session.folder)
                return write_closing(client, account_of(client, session.config.account()), session, own)
        except (*LOCAL_PROBLEMS, InputError) as error:
            self._alerts.say("journal", f"its journal may lack the closing: {error or 'no answer'}", level="error")
            return 0

    def _tell(self, line: str) -> None:
        self._alerts.say("closing", line)

    def _failed(self, reason: str) -> None:
        pause_s = RETRIES_S[min(self._failures, len(RETRIES_S) - 1)]
        self._failures += 1
        self._alerts.say("failed", f"{reason}; trying again in {pause_s:g} s; look in TWS", level="error")
        self._next_look_s = time.monotonic() + pause_s
        self._wanted = ()

    def _halt(self, reason: str) -> None:
        # A session that left a position bare must be looked at by a person before it trades again.
        risk = self._session.home.risk
        try:
            state = msgspec.structs.replace(risk.read(), level="halted", since_ns=time.time_ns(), reason=reason)
            risk.write(state)
        except InputError as error:
            self._alerts.say("halt", f"the halt cannot be written: {error}", level="error")


def account_of(client: Any, wanted: str) -> str:
    """The configured account, or the login's only one.

    Raises
    ------
    LookupError
        If the gateway does not have it, or has several and none is configured.
    """
    managed = client.managedAccounts()
    if wanted in managed:
        return str(wanted)
    if wanted or len(managed) != 1:
        raise LookupError("the gateway does not have the account" if wanted else "the login has several accounts")
    return str(managed[0])


def _list(done: Flattened) -> str:
    return ", ".join(f"{units:+g} {name}" for name, units in done.closed.items())


def _list_left(done: Flattened) -> str:
    return ", ".join(f"{units:+g} {name}" for name, units in done.positions_left.items()) or "no position"

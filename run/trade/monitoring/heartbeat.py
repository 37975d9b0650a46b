"""The heartbeat of a session: a small file that shows its guard whether its loop lives, hangs or has ended."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

SIZE = 512  # bytes; a beat of one length overwrites the last in place and needs no room on the disk
TRIES, TRY_AGAIN_S = 5, 0.01
BeatState = Literal["starting", "trading", "ended"]
Pulse = Literal["starting", "healthy", "frozen", "dead", "ended"]
log = logging.getLogger(__name__)


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """What a session wrote last.

    Attributes
    ----------
    pid : int
    started : str
        Tells the process from a later one of the same number; empty where the system does not say.
    namespace : str
        Where the number counts: processes of another container have numbers of their own.
    number : int
        Counts the beats.
    time_ns : int
        UTC nanoseconds.
    state : {"starting", "trading", "ended"}
    units : int
        Own position as the session counts it, the sum of absolute units.
    host, port, client_id : str, int, int
        Where and as whom it trades.
    clock_drift_s : float or None
        This machine's clock minus the broker's, seconds; None while unknown.
    """

    pid: int
    started: str
    namespace: str
    number: int
    time_ns: int
    state: BeatState
    units: int
    host: str
    port: int
    client_id: int
    clock_drift_s: float | None = None


class Heartbeat:
    """Written by the session's own loop; never raises after its file was made.

    Parameters
    ----------
    path : Path
        Overwritten if it exists.
    host, port, client_id : str, int, int
        Where and as whom the session trades.

    Raises
    ------
    OSError
        If the file cannot be made.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> heart = Heartbeat(Path(mkdtemp()) / "heartbeat", "127.0.0.1", 4002, 1)
    >>> heart.beat("trading", units=3)
    >>> (read_beat(heart.path).state, read_beat(heart.path).number)
    ('trading', 2)
    >>> heart.close()
    >>> read_beat(heart.path).state
    'ended'
    """

    def __init__(self, path: Path, host: str, port: int, client_id: int) -> None:
        self.path = path
        pid = os.getpid()
        self._last = Beat(
            pid=pid, started=started_at(pid), namespace=process_namespace(), number=0, time_ns=0,
            state="starting", units=0, host=host, port=port, client_id=client_id,
        )  # fmt: skip
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._is_failing = False
        self.beat("starting")

    def beat(self, state: BeatState, units: int = 0, clock_drift_s: float | None = None) -> None:
        """Show that the loop lives."""
        self._last = msgspec.structs.replace(
            self._last, number=self._last.number + 1, time_ns=time.time_ns(), state=state, units=units,
            clock_drift_s=clock_drift_s,
        )  # fmt: skip
        try:
            os.pwrite(self._file, msgspec.json.encode(self._last).ljust(SIZE), 0)
        except OSError as error:
            if not self._is_failing:
                log.warning("the heartbeat %s cannot be written: %s", self.path, error)
            self._is_failing = True
        else:
            self._is_failing = False

    def close(self, units: int | None = None) -> None:
        """The session ends: write the end marker."""
        self.beat("ended", self._last.units if units is None else units)
        os.close(self._file)


def read_beat(path: Path) -> Beat | None:
    """The last beat; None where there is none that can be read."""
    for _ in range(TRIES):
        try:
            return msgspec.json.decode(path.read_bytes(), type=Beat)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            time.sleep(TRY_AGAIN_S)  # read in the middle of a write
    return None


def started_at(pid: int) -> str:
    """Start of a process as the system counts it; empty where it does not say or there is no such process."""
    try:
        content = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *fields = content.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]  # a zombie runs no more


def process_namespace() -> str:
    """Space in which this process's number counts; empty where the system has but one."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def is_near(beat: Beat) -> bool:
    """Whether the process that wrote a beat could be seen from here."""
    return beat.namespace == process_namespace()


def is_alive(beat: Beat) -> bool:
    """Whether the process that wrote a beat exists and can be seen from here, stopped or not."""
    if not is_near(beat):
        return False
    if beat.started:
        return started_at(beat.pid) == beat.started
    try:
        os.kill(beat.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class PulseWatch:
    """Tells from the beats, over time, how a session is.

    Parameters
    ----------
    path : Path
        The heartbeat.
    frozen_s : float
        Seconds without a beat after which a living process counts as frozen.
    start_s : float
        The same while the session starts, when its loop does not run yet.
    clock_s : callable
        Monotonic seconds.
    """

    def __init__(
        self, path: Path, frozen_s: float, start_s: float, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._frozen_s, self._start_s, self._clock_s = path, frozen_s, start_s, clock_s
        self._seen: tuple[int, int] | None = None
        self._silent_s = 0.0
        self._looked_s = clock_s()
        self.beat: Beat | None = None

    def feel(self, longest_step_s: float = 5.0) -> Pulse:
        """How the session is now; call it every second or so.

        Parameters
        ----------
        longest_step_s : float
            Time between two calls counts up to this, so that a guard that was itself stopped blames nobody.
        """
        now_s = self._clock_s()
        step_s, self._looked_s = min(now_s - self._looked_s, longest_step_s), now_s
        beat = read_beat(self._path)
        if beat is not None:
            self.beat = beat
        if self.beat is None:
            return "dead"
        seen = (self.beat.pid, self.beat.number)
        self._silent_s = 0.0 if seen != self._seen else self._silent_s + step_s
        self._seen = seen
        if self.beat.state == "ended":
            return "ended"
        if is_near(self.beat) and not is_alive(self.beat):
            return "dead"
        if self._silent_s > (self._start_s if self.beat.state == "starting" else self._frozen_s):
            return "frozen"
        return "starting" if self.beat.state == "starting" else "healthy"

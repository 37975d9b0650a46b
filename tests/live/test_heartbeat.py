"""The heartbeat: what is read is what was written, and silence is counted by the reader's own clock."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from run.trade.monitoring.heartbeat import SIZE, Beat, Heartbeat, PulseWatch, is_alive, read_beat, started_at

NOBODY = 2**22 - 1  # above the largest process number that is usual


@pytest.fixture
def heart(tmp_path: Path) -> Iterator[Heartbeat]:
    """Heartbeat of this process."""
    made = Heartbeat(tmp_path / "heartbeat", "127.0.0.1", 4002, 1)
    yield made
    made.close()


class Clock:
    """Seconds that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """At zero."""
    return Clock()


@pytest.fixture
def watch(heart: Heartbeat, clock: Clock) -> PulseWatch:
    """Frozen after 3 s, while it starts after 8 s."""
    return PulseWatch(heart.path, 3.0, 8.0, clock)


def test_a_beat_is_overwritten_in_place_and_private(heart: Heartbeat) -> None:
    for units in (3, 123456, 0):
        heart.beat("trading", units)
        beat = read_beat(heart.path)
        assert beat is not None
        assert (beat.units, beat.pid, beat.state) == (units, os.getpid(), "trading")
        assert heart.path.stat().st_size == SIZE
    assert heart.path.stat().st_mode & 0o777 == 0o600


def test_silence_makes_a_living_process_frozen_and_a_beat_healthy(
    heart: Heartbeat, watch: PulseWatch, clock: Clock
) -> None:
    heart.beat("trading")
    assert watch.feel() == "healthy"
    for clock.now_s, expected in ((2.0, "healthy"), (3.0, "healthy"), (3.5, "frozen")):
        assert watch.feel() == expected
    heart.beat("trading")
    assert watch.feel() == "healthy"


def test_a_start_may_take_longer(heart: Heartbeat, watch: PulseWatch, clock: Clock) -> None:
    assert watch.feel() == "starting"
    for clock.now_s, expected in ((4.0, "starting"), (8.0, "starting"), (8.5, "frozen")):
        assert watch.feel() == expected


def test_a_guard_that_was_itself_stopped_blames_nobody(heart: Heartbeat, watch: PulseWatch, clock: Clock) -> None:
    heart.beat("trading")
    watch.feel()
    clock.now_s = 1000.0
    assert watch.feel(longest_step_s=1.0) == "healthy"


def test_the_end_marker_is_the_end(heart: Heartbeat, watch: PulseWatch, clock: Clock) -> None:
    heart.beat("ended", 3)
    clock.now_s = 100.0
    assert watch.feel() == "ended"
    assert watch.beat is not None
    assert watch.beat.units == 3


def test_a_process_that_is_gone_is_dead_and_a_later_one_of_its_number_is_another(
    heart: Heartbeat, watch: PulseWatch
) -> None:
    beat = read_beat(heart.path)
    assert beat is not None
    assert is_alive(beat)
    for changed in ({"pid": NOBODY}, {"started": "1"}):
        other = msgspec.structs.replace(beat, **changed)
        assert not is_alive(other)
        heart.path.write_bytes(msgspec.json.encode(other))
        assert watch.feel() == "dead"


def test_a_session_in_another_container_is_known_by_its_beats_alone(
    heart: Heartbeat, watch: PulseWatch, clock: Clock
) -> None:
    beat = read_beat(heart.path)
    assert beat is not None
    far = msgspec.structs.replace(beat, namespace="pid:[1]", state="trading")
    heart.path.write_bytes(msgspec.json.encode(far))
    assert not is_alive(far)
    assert watch.feel() == "healthy"
    clock.now_s = 4.0
    assert watch.feel() == "frozen"


def test_a_process_that_nobody_has_buried_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert started_at(process.pid) == ""


@pytest.mark.parametrize("content", [b"", b"{", b"\x80" * SIZE, b'{"pid": 1}'])
def test_what_cannot_be_read_is_no_beat(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "heartbeat").write_bytes(content)
    assert read_beat(tmp_path / "heartbeat") is None
    assert read_beat(tmp_path / "nothing") is None


def test_an_unreadable_beat_leaves_the_last_one_standing(heart: Heartbeat, watch: PulseWatch, clock: Clock) -> None:
    heart.beat("trading")
    watch.feel()
    heart.path.write_bytes(b"{")
    clock.now_s = 2.0
    assert watch.feel() == "healthy"
    clock.now_s = 4.0
    assert watch.feel() == "frozen"


def test_a_full_disk_is_no_error(heart: Heartbeat, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    heart.beat("trading")


def test_the_longest_beat_fits() -> None:
    longest = Beat(
        pid=2**31, started="9" * 20, namespace="n" * 20, number=2**63, time_ns=2**63 - 1,
        state="starting", units=2**63 - 1, host="h" * 253, port=65535, client_id=2**31,
    )  # fmt: skip
    assert len(msgspec.json.encode(longest)) <= SIZE


def test_the_offset_of_the_clocks_is_in_it(tmp_path: Path) -> None:
    heart = Heartbeat(tmp_path / "heartbeat", "127.0.0.1", 4002, 1)
    heart.beat("trading", 3, -1.2)
    beat = read_beat(heart.path)
    assert beat is not None
    assert (beat.units, beat.clock_drift_s) == (3, -1.2)
    older = {name: value for name, value in msgspec.to_builtins(beat).items() if name != "clock_drift_s"}
    heart.path.write_bytes(msgspec.json.encode(older).ljust(SIZE))
    assert read_beat(heart.path) == msgspec.structs.replace(beat, clock_drift_s=None)

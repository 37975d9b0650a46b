"""The transport of every REST vendor over a real socket: transient errors are retried, refusals are told at once."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import numpy as np
import pytest

from adapters.errors import SourceError
from adapters.http import HttpSource
from adapters.limiter import Limiter

Serve = Callable[..., SimpleNamespace]
GOOD = {"answer": 42, "filler": "x" * 5_000}


@pytest.fixture
def slept() -> list[float]:
    return []


def source(server: SimpleNamespace, slept: list[float], **options: object) -> HttpSource:
    headers = {"Authorization": "Bearer topsecret"}
    return HttpSource("Vendor", server.url, headers=headers, timeout_s=0.3, sleep=slept.append, **options)


def failing_first(faults: list[object]) -> Callable[[SimpleNamespace], object]:
    """Responds with each fault once, then well."""
    left = list(faults)
    return lambda _: left.pop(0) if left else GOOD


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "body": b""},
        {"status": 503, "body": b"busy"},
        {"status": 429, "body": {"status": "ERROR"}},
        {"body": GOOD, "cut": 100},
        {"body": GOOD, "cut": 0},
        {"body": json.dumps(GOOD).encode()[:300]},
        {"body": b"<html>maintenance</html>"},
        {"body": b""},
        {"body": GOOD, "stall_s": 5},
    ],
    ids=["500", "503", "429", "truncated", "hung-up", "cut-json", "html", "empty", "stall"],
)
def test_transient_errors_are_retried(serve: Serve, slept: list[float], fault: object) -> None:
    server = serve(failing_first([fault, fault]))
    assert source(server, slept).json("v1/thing", {"a": 1}) == GOOD
    assert len(server.requests) == 3
    assert slept == [1.0, 2.0]
    assert {request.headers["Authorization"] for request in server.requests} == {"Bearer topsecret"}


def test_retry_after_is_honoured_in_seconds_and_as_a_date(serve: Serve, slept: list[float]) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    faults = [{"status": 429, "body": b"", "headers": {"Retry-After": value}} for value in ("7", later)]
    server = serve(failing_first(faults))
    source(server, slept).json("v1/thing")
    assert slept[0] == 7.0
    assert 85 < slept[1] <= 90


def test_it_gives_up_in_one_line_without_the_key(serve: Serve, slept: list[float]) -> None:
    server = serve(lambda _: {"status": 503, "body": b""})
    with pytest.raises(
        SourceError, match=r"Vendor did not answer /v1/thing in 3 attempts, last: status 503; what was"
    ) as told:
        source(server, slept, attempts=3).json("v1/thing", {"apiKey": "topsecret"})
    assert "topsecret" not in str(told.value)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "the key is wrong or missing"), (403, "not entitled"), (404, "no such thing"), (400, "not valid")],
)
def test_refusals_are_not_retried(serve: Serve, slept: list[float], status: int, message: str) -> None:
    server = serve(lambda _: {"status": status, "body": {"message": "said the\nvendor"}})
    with pytest.raises(SourceError, match=message) as told:
        source(server, slept).json("v1/thing")
    assert "(said the vendor)" in str(told.value)
    assert (len(server.requests), slept) == (1, [])


def test_no_connection_is_told(slept: list[float]) -> None:
    nobody = SimpleNamespace(url="http://127.0.0.1:9")
    with pytest.raises(SourceError, match="last: connection lost"):
        source(nobody, slept, attempts=2).json("v1/thing")


def test_another_host_gets_no_key(serve: Serve, slept: list[float]) -> None:
    server, other = serve(lambda _: GOOD), serve(lambda _: GOOD)
    with pytest.raises(SourceError, match="points to another host"):
        source(server, slept).json(f"{other.url}/next")
    assert other.requests == []


def test_a_pause_asked_for_holds_everybody_back() -> None:
    now = [0.0]
    limiter = Limiter(60, clock=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    limiter.wait()
    limiter.pause(30)
    limiter.wait()
    assert now[0] == 30.0


def test_several_threads_use_the_whole_rate_and_no_more(serve: Serve, slept: list[float]) -> None:
    """At 1,200 a minute, the 61 requests of four threads take three seconds, at least 97 % of what is allowed."""
    server = serve(lambda _: GOOD)
    vendor = source(server, slept, limiter=Limiter(1_200))

    def work() -> None:
        while len(server.requests) < 61:
            vendor.json("v1/thing")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = sorted(request.time for request in server.requests)
    rate = 60 / np.polyfit(np.arange(61), times[:61], 1)[0]  # the slope: one late thread on a busy machine is no matter
    assert 0.97 * 1_200 <= rate <= 1.02 * 1_200

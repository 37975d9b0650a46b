"""Vendors' own bytes, and loopback servers that speak their protocols."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

import pytest
import trustme

from run.cli import main

Answer = Callable[..., dict]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        form = dict(parse_qsl(self.rfile.read(length).decode()))
        query = dict(parse_qsl(parts.query))
        request = SimpleNamespace(path=parts.path, query=query, form=form, headers=self.headers, time=time.monotonic())
        with self.server.lock:
            self.server.requests.append(request)
        self._answer(self.server.respond(request))

    do_POST = do_GET

    def _answer(self, told: object) -> None:
        """``body``, or a dict: status, body, headers, stall_s before the body, cut: bytes sent before hanging up."""
        reply = told if isinstance(told, dict) and "body" in told else {"body": told}
        body = reply["body"] if isinstance(reply["body"], bytes) else json.dumps(reply["body"]).encode()
        self.send_response(reply.get("status", 200))
        self.send_header("Content-Length", str(len(body)))
        for name, value in reply.get("headers", {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()
        self.server.over.wait(reply.get("stall_s", 0))
        try:
            self.wfile.write(body[: reply.get("cut")])
        except OSError:
            return  # the client gave up waiting
        if "cut" in reply:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_WR)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """A client that hung up is part of the test."""


@pytest.fixture
def serve() -> Iterator[Callable[..., SimpleNamespace]]:
    """``serve(respond)``: a loopback HTTP server; ``.url``, ``.host``, ``.port``, ``.requests`` in order of arrival.

    ``respond(request)`` gives the body (bytes, or what becomes JSON) or a dict as `_Handler._answer` takes it.
    """
    servers = []

    def start(respond: Callable[[SimpleNamespace], object], tls: ssl.SSLContext | None = None) -> SimpleNamespace:
        server = _Server(("127.0.0.1", 0), _Handler)
        server.respond, server.requests, server.lock, server.over = respond, [], threading.Lock(), threading.Event()
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        servers.append((server, thread))
        port = server.server_address[1]
        url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        return SimpleNamespace(url=url, host="127.0.0.1", port=port, requests=server.requests)

    yield start
    for server, thread in servers:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Server side of a certificate for 127.0.0.1 that ``requests`` trusts during the test."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    return context


@pytest.fixture(scope="session")
def vendor_bytes(shared_data: Path) -> Path:
    """Folder of recorded vendor bytes beside the checkout; tests that need it skip where it is missing."""
    folder = shared_data.parent / "fixtures"
    if not folder.is_dir():
        pytest.skip("needs the vendors' recorded bytes in ../shared/fixtures, which this checkout does not have")
    return folder


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``refusal("data", "import", …)``: the one error line of a command that must exit with code 2."""

    def call(*words: object) -> str:
        capsys.readouterr()
        code = main([*map(str, words)])
        err = capsys.readouterr().err
        errors = [line for line in err.splitlines() if line.startswith("error:")]
        assert (code, len(errors)) == (2, 1), err
        assert "Traceback" not in err
        return errors[0]

    return call

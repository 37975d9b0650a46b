"""The log of a live process: rotated by size, warnings on standard error, no secrets."""

import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

FILE_BYTES = 10_000_000
FILES_KEPT = 5
# Interactive Brokers: U, F or I and some digits, with D in front for paper.
_ACCOUNT = re.compile(r"\b(D?[UFI])\d{5,9}\b")


def redacted(text: str, secrets: Sequence[str] = ()) -> str:
    """Text without account numbers and without the given secrets.

    Examples
    --------
    >>> redacted("account DU1234567 logs in with sesame", ["sesame"])
    'account DU*** logs in with ***'
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _ACCOUNT.sub(r"\1***", text)


@contextmanager
def logging_to(path: Path, secrets: Sequence[str] = ()) -> Iterator[None]:
    """Log to a file and, from warnings on, to standard error, as long as the block lasts.

    The file is readable by its owner alone and rotated at ten million bytes; five old ones are kept.

    Parameters
    ----------
    path : Path
        Log file; its folder is created if missing.
    secrets : sequence of str
        Values that are never written, in messages and in tracebacks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _PrivateFileHandler(path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
    file.setLevel(logging.INFO)
    file.setFormatter(_RedactingFormatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", secrets))
    short = logging.StreamHandler()
    short.setLevel(logging.WARNING)
    short.setFormatter(_RedactingFormatter("%(levelname)s: %(message)s", secrets))
    logging.getLogger("ibapi").setLevel(logging.WARNING)  # it logs every message on the wire
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.INFO)
    for handler in (file, short):
        root.addHandler(handler)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in (file, short):
            root.removeHandler(handler)
            handler.close()


class _RedactingFormatter(logging.Formatter):
    def __init__(self, form: str, secrets: Sequence[str]) -> None:
        super().__init__(form, "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        # After the traceback has been added, which may show what the message does not.
        return redacted(super().format(record), self._secrets)


class _PrivateFileHandler(RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        opened = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(opened, "a", encoding=self.encoding)

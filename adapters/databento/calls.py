"""Calls of Databento's package: transient errors are retried, refusals are one line, its warnings are reported."""

import warnings
from collections.abc import Callable

import requests
from databento.common.error import BentoClientError, BentoError, BentoHttpError

from adapters.databento.files import CutOffError
from adapters.errors import refusal
from adapters.retries import Retries, TransientError, retry_after_s

_RETRIED_REFUSALS = (408, 429)


def call[Answer](retries: Retries, what: str, request: Callable[[], Answer]) -> Answer:
    """Answer to a call of the package.

    Parameters
    ----------
    retries : Retries
    what : str
        What is asked for, named in errors.
    request : callable

    Raises
    ------
    SourceError
        If the vendor refuses, or if the last attempt fails too.
    """
    return retries.call("Databento", what, lambda: _attempt(request, retries.report))


def _attempt[Answer](request: Callable[[], Answer], report: Callable[[str], None]) -> Answer:
    try:
        return _with_warnings(request, report)
    except BentoHttpError as error:
        if isinstance(error, BentoClientError) and error.http_status not in _RETRIED_REFUSALS:
            raise refusal("Databento", error.http_status, str(error.message or "")) from None
        asked = retry_after_s((error.headers or {}).get("Retry-After"))
        raise TransientError(f"status {error.http_status}", asked) from error
    except (BentoError, CutOffError) as error:
        raise TransientError("download cut off") from error
    except requests.Timeout as error:
        raise TransientError("no data within the timeout") from error
    except requests.RequestException as error:
        raise TransientError("connection lost") from error


def _with_warnings[Answer](request: Callable[[], Answer], report: Callable[[str], None]) -> Answer:
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        answer = request()
    for warning in raised:
        report(f"Databento says: {warning.message}")
    return answer

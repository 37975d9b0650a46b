"""Batch downloads of Databento, for long ranges: the vendor prepares files, kept for a month."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import databento

from adapters.databento.calls import call
from adapters.databento.files import CutOffError, open_dbn
from adapters.databento.history import HistoryRequest
from adapters.errors import SourceError
from adapters.retries import Retries

POLL_S = 30.0


class DatabentoBatch:
    """Batch jobs of one account.

    Parameters
    ----------
    client : databento.Historical
    retries : Retries
    poll_s : float
        Seconds between two looks at an unfinished job.
    """

    def __init__(self, client: databento.Historical, retries: Retries, poll_s: float = POLL_S) -> None:
        self._client, self._retries, self._poll_s = client, retries, poll_s

    def submit(self, request: HistoryRequest) -> str:
        """Order a job, which is paid for from here on; gives its id. Not tried again: it could be ordered twice.

        Raises
        ------
        SourceError
            If the vendor refuses or fails; look into the account's jobs before ordering again.
        """
        once = replace(self._retries, attempts=1)
        order = {**request.arguments(), "split_duration": "month"}
        job = call(once, "the batch job", lambda: self._client.batch.submit_job(**order))
        return str(job["id"])

    def wait(self, job_id: str) -> None:
        """Return when a job is done.

        Raises
        ------
        SourceError
            If it is not among the account's jobs, or its files have expired.
        """
        while True:
            jobs = call(self._retries, job_id, lambda: self._client.batch.list_jobs("queued,processing,done,expired"))
            state = next((job["state"] for job in jobs if job["id"] == job_id), "unknown")
            if state == "done":
                return
            if state not in ("received", "queued", "processing"):
                raise SourceError(f"batch job {job_id} is {state}: order it again")
            self._retries.report(f"batch job {job_id} is {state}")
            self._retries.sleep(self._poll_s)

    def fetch(self, job_id: str, folder: Path) -> list[Path]:
        """DBN files of a finished job, each whole and of the vendor's checksum; those there already are not fetched.

        Raises
        ------
        SourceError
            If the vendor refuses or keeps failing, or the job has no DBN file.
        """
        listed = call(self._retries, job_id, lambda: self._client.batch.list_files(job_id))
        wanted = [file for file in listed if file["filename"].endswith(".dbn.zst")]
        if not wanted:
            raise SourceError(f"batch job {job_id} has no DBN files, only {len(listed)} others")
        return [self._fetch_file(job_id, file, folder) for file in wanted]

    def _fetch_file(self, job_id: str, file: dict[str, Any], folder: Path) -> Path:
        name = Path(file["filename"]).name
        path = folder / job_id / name

        def fetch() -> None:
            if not path.exists() or _hash(path) != file["hash"]:
                path.unlink(missing_ok=True)
                self._client.batch.download(job_id, folder, name)
            if _hash(path) != file["hash"]:
                raise CutOffError(f"{name} does not have the vendor's checksum")

        call(self._retries, name, fetch)
        with open_dbn(path):
            return path


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"

"""Batch jobs ordered for a catalog, kept on disk so that none is ordered and paid for twice."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from adapters.databento.batch import DatabentoBatch
from adapters.databento.history import HistoryRequest
from catalogs.cache import written_aside


class BatchJobs:
    """The jobs of one catalog.

    Parameters
    ----------
    catalog : Path
    """

    def __init__(self, catalog: Path) -> None:
        self._folder = catalog / "downloads" / "databento" / "batch"
        self._path = self._folder / "jobs.json"
        self._ids: dict[str, str] = {}
        if self._path.is_file():
            self._ids = msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])

    def not_ordered(self, requests: Sequence[HistoryRequest]) -> list[HistoryRequest]:
        """Requests without a job."""
        return [request for request in requests if _key(request) not in self._ids]

    def files(self, vendor: DatabentoBatch, requests: Sequence[HistoryRequest]) -> list[Path]:
        """Files of all requests: order the missing jobs, wait for them, fetch the missing files.

        Raises
        ------
        SourceError
            If the vendor refuses or fails; jobs ordered so far are kept.
        """
        for request in self.not_ordered(requests):
            self._ids[_key(request)] = vendor.submit(request)
            with written_aside(self._path) as aside:
                aside.write_bytes(msgspec.json.format(msgspec.json.encode(self._ids), indent=2))
        paths = []
        for request in requests:
            job_id = self._ids[_key(request)]
            vendor.wait(job_id)
            paths += vendor.fetch(job_id, self._folder)
        return paths


def _key(request: HistoryRequest) -> str:
    return f"{request.dataset} {request.schema} {','.join(request.symbols)} {request.first} {request.last}"

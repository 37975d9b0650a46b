"""Databento's historical service over TLS: priced first, chunked, resumable, patient; continuous means contracts."""

import base64
import hashlib
import ssl
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import databento_dbn as dbn
import numpy as np
import pytest
import zstandard

from adapters.databento.batch import DatabentoBatch
from adapters.databento.history import DatabentoHistory, HistoryRequest, connect
from adapters.errors import SourceError
from adapters.retries import Retries
from catalogs.instruments.specification import resolve
from catalogs.rolls import read_rolls
from catalogs.storage.arrow import read_bars, stored_bar_types
from configs import instruments_path
from run.cli import main
from run.train.front_month import front_days

Serve = Callable[..., SimpleNamespace]
CONTRACTS = {"ESM5": 11, "ESU5": 12}
MINUTE_NS = 60 * 10**9
ROLL = date(2025, 6, 17)


def noon_minutes(first: date, last: date) -> np.ndarray:
    """Opens of twenty minutes from 15:00 UTC of every weekday, nanoseconds."""
    days = np.arange(np.datetime64(first), np.datetime64(last) + np.timedelta64(1, "D"))
    noons = days[np.is_busday(days)].astype("datetime64[ns]").astype(np.int64) + 15 * 3600 * 10**9
    return (noons[:, None] + MINUTE_NS * np.arange(20)).ravel()


def dbn_bytes(symbol: str, first: date, last: date, points: float = 0.0) -> bytes:
    """Minutes of one contract as Databento sends them: 6,000 points and a tick for every contract number."""
    interval = SimpleNamespace(start_date=date(2025, 1, 1), end_date=date(2026, 1, 1), symbol=str(CONTRACTS[symbol]))
    metadata = dbn.Metadata(
        dataset="GLBX.MDP3", schema=dbn.Schema.OHLCV_1M, symbols=[symbol], start=0,
        stype_in=dbn.SType.RAW_SYMBOL, stype_out=dbn.SType.INSTRUMENT_ID,
        mappings=[SimpleNamespace(raw_symbol=symbol, intervals=[interval])],
    )  # fmt: skip
    price = int((6_000 + points + 0.25 * CONTRACTS[symbol]) * 1e9)
    records = [
        dbn.OHLCVMsg(33, 1, CONTRACTS[symbol], int(ts_ns), price, price, price, price, 5)
        for ts_ns in noon_minutes(first, last)
    ]
    return zstandard.compress(metadata.encode() + b"".join(bytes(record) for record in records))


class Databento:
    """The vendor's addresses; ``faults`` are given out first to downloads."""

    def __init__(self) -> None:
        self.faults: list[object] = []
        self.ordered: list[dict] = []
        self.sent: list[str] = []
        self.spans: list[tuple[str, str]] = []  # first days and numbers of front months, if not one roll
        self.looks, self.url, self.checksum, self.points = 0, "", "", 0.0

    def _content(self, job_id: str) -> bytes:
        form = self.ordered[int(job_id.removeprefix("GLBX-")) - 1]
        first, end = (date.fromisoformat(form[name][:10]) for name in ("start", "end"))
        return dbn_bytes(form["symbols"], first, date.fromordinal(end.toordinal() - 1))

    def _files(self, job_id: str) -> list[dict]:
        content = self._content(job_id)
        checksum = self.checksum or f"sha256:{hashlib.sha256(content).hexdigest()}"
        urls = {"https": f"{self.url}/v0/files/{job_id}"}
        named = [("glbx.ohlcv-1m.dbn.zst", len(content), checksum), ("manifest.json", 2, "sha256:00")]
        return [{"filename": name, "size": size, "hash": digest, "urls": urls} for name, size, digest in named]

    def __call__(self, request: SimpleNamespace) -> object:
        if request.headers["Authorization"] != "Basic " + base64.b64encode(b"db-sesame:").decode():
            return {"status": 401, "body": {"detail": "Authentication failed."}}
        form = {**request.query, **request.form}
        match request.path.rpartition("/v0/")[2]:
            case "metadata.get_cost":
                return {"body": b"0.25"}
            case "symbology.resolve":
                return {"result": {form["symbols"]: self._resolved(form)}, "partial": [], "not_found": []}
            case "batch.submit_job":
                self.ordered.append(form)
                return {"id": f"GLBX-{len(self.ordered)}", "state": "received"}
            case "batch.list_jobs":
                self.looks += 1
                state = "done" if self.looks > 1 else "processing"
                return [{"id": f"GLBX-{number + 1}", "state": state} for number in range(len(self.ordered))]
            case "batch.list_files":
                return self._files(form["job_id"])
            case path if path.startswith("files/"):
                self.sent.append(path)
                return self._content(path.split("/")[1])
            case "timeseries.get_range":
                return self.faults.pop(0) if self.faults else self._bars(form)
        return {"status": 404, "body": {"detail": request.path}}

    def _resolved(self, form: dict) -> list[dict]:
        if form["stype_in"] == "instrument_id":
            name = next(name for name, number in CONTRACTS.items() if str(number) == form["symbols"])
            return [{"d0": form["start_date"], "d1": form["end_date"], "s": name}]
        if form["symbols"] != "ES.v.0":
            return []
        if self.spans:
            begins = [max(first, form["start_date"]) for first, _ in self.spans if first < form["end_date"]]
            ends = [*begins[1:], form["end_date"]]
            numbers = [number for first, number in self.spans if first < form["end_date"]]
            return [{"d0": d0, "d1": d1, "s": s} for d0, d1, s in zip(begins, ends, numbers, strict=True) if d0 < d1]
        return [
            {"d0": form["start_date"], "d1": str(ROLL), "s": "11"}, {"d0": str(ROLL), "d1": form["end_date"], "s": "12"}
        ]  # fmt: skip

    def _bars(self, form: dict) -> object:
        if form["symbols"] not in CONTRACTS:
            return {"status": 422, "body": {"detail": f"Could not resolve {form['symbols']}"}}
        first, end = (date.fromisoformat(form[name][:10]) for name in ("start", "end"))
        return dbn_bytes(form["symbols"], first, date.fromordinal(end.toordinal() - 1), self.points)


@pytest.fixture
def vendor(serve: Serve, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A server whose address and key are in the environment; ``.faults``, ``.requests``."""
    respond = Databento()
    server = serve(respond, tls)
    monkeypatch.setenv("RL_INTRADAY_DATABENTO_URL", server.url)
    monkeypatch.setenv("DATABENTO_API_KEY", "db-sesame")
    server.faults, server.vendor, respond.url = respond.faults, respond, server.url
    return server


def downloads(server: SimpleNamespace) -> list[tuple[str, str, str]]:
    asked = [request.form for request in server.requests if "get_range" in request.path]
    return [(form["symbols"], form["start"][:10], form["end"][:10]) for form in asked]


SUMMER = ("--start", "2025-06-02", "--end", "2025-07-03")


def test_a_continuous_symbol_becomes_its_contracts_and_a_roll_table(
    vendor: SimpleNamespace, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    words = ("data", "fetch", "databento", "--symbols", "ES.v.0", *SUMMER, "--yes", "--catalog", tmp_path)
    told = answer(*words)
    # ESM5 from 21 April (42 days of warm-up), ESU5 from 6 May, in chunks that end on Fridays.
    assert [(name, first[5:], end[5:]) for name, first, end in downloads(vendor)] == [
        ("ESM5", "04-21", "05-17"), ("ESM5", "05-17", "06-14"), ("ESM5", "06-14", "06-17"),
        ("ESU5", "05-06", "05-31"), ("ESU5", "05-31", "06-28"), ("ESU5", "06-28", "07-04"),
    ]  # fmt: skip
    assert told["cost_usd"] == 1.5
    bars = read_bars(tmp_path, "ESU5.XCME-1-MINUTE-LAST-EXTERNAL")
    wanted = noon_minutes(date(2025, 5, 6), date(2025, 7, 3)) + MINUTE_NS
    assert np.array_equal(bars.ts_ns, wanted)
    assert set(bars.close.tolist()) == {4 * 6_000 + 12}
    months = read_rolls(tmp_path, "ES").months
    assert [(month.instrument_id, month.first_session, month.last_session) for month in months] == [
        ("ESM5.XCME", date(2025, 6, 2), date(2025, 6, 16)), ("ESU5.XCME", ROLL, None),
    ]  # fmt: skip
    vendor.requests.clear()
    again = answer(*words)
    assert (again["cost_usd"], downloads(vendor)) == (0, [])
    assert {record["outcome"] for record in again["imports"]} == {"already imported"}


def fronts(catalog: Path) -> list[tuple[str, str, str]]:
    months = read_rolls(catalog, "ES").months
    return [(month.instrument_id[:4], str(month.first_session), str(month.last_session)) for month in months]


def test_a_second_fetch_extends_the_roll_table(
    vendor: SimpleNamespace, tmp_path: Path, answer: Callable[..., dict], refusal: Callable[..., str]
) -> None:
    vendor.vendor.spans = [("2025-01-01", "11"), (str(ROLL), "12")]
    words = ("data", "fetch", "databento", "--symbols", "ES.v.0", "--yes", "--catalog", tmp_path)
    answer(*words, "--start", "2025-06-02", "--end", "2025-06-13")
    assert fronts(tmp_path) == [("ESM5", "2025-06-02", "None")]
    answer(*words, "--start", "2025-06-16", "--end", "2025-07-03")
    whole = [("ESM5", "2025-06-02", "2025-06-16"), ("ESU5", "2025-06-17", "None")]
    assert fronts(tmp_path) == whole
    answer(*words, "--start", "2025-06-02", "--end", "2025-06-13")
    assert fronts(tmp_path) == whole
    line = refusal(*words, "--start", "2025-07-21", "--end", "2025-07-25")
    assert "front months of ES are known until 2025-07-03, the new ones begin on 2025-07-21" in line
    assert fronts(tmp_path) == whole


def test_a_mapping_that_goes_back_is_taken(
    vendor: SimpleNamespace, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    vendor.vendor.spans = [("2025-01-01", "11"), ("2025-06-13", "12"), ("2025-06-16", "11"), ("2025-06-17", "12")]
    told = answer("data", "fetch", "databento", "--symbols", "ES.v.0", *SUMMER, "--yes", "--catalog", tmp_path)
    assert fronts(tmp_path) == [
        ("ESM5", "2025-06-02", "2025-06-12"), ("ESU5", "2025-06-13", "2025-06-13"),
        ("ESM5", "2025-06-16", "2025-06-16"), ("ESU5", "2025-06-17", "None"),
    ]  # fmt: skip
    # Each contract once, over all its days, and one record of each.
    assert [record["bar_type"][:4] for record in told["imports"]] == ["ESM5", "ESU5"]
    assert len(set(downloads(vendor))) == len(downloads(vendor))
    window = date(2025, 6, 2), date(2025, 7, 3)
    june, september = (resolve(name, instruments_path(), window[1]) for name in ("ESM5", "ESU5"))
    assert front_days(june, tmp_path, *window) == (window[0], date(2025, 6, 12))
    assert front_days(september, tmp_path, *window) == (date(2025, 6, 17), window[1])


def test_a_fetch_shows_what_was_mended(
    vendor: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vendor.vendor.points = 0.10  # off the tick
    words = ("data", "fetch", "databento", "--symbols", "ESU5.XCME", "--yes", *SUMMER, "--catalog", str(tmp_path))
    assert main([*words]) == 0
    said = capsys.readouterr().out
    assert "imported: 480 bars of ESU5.XCME-1-MINUTE-LAST-EXTERNAL" in said
    assert said.count("off_tick") == 1
    assert "480" in next(line for line in said.splitlines() if "off_tick" in line)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--yes", "--max-cost", "0.30"), "price must be at most 0.30 USD (--max-cost), was 0.50; nothing was fetched"),
        ((), "price of 0.50 USD needs --yes"),
        (("--yes", "--schema", "trades", "--max-cost", "1"), "was 8.00; nothing was fetched"),
        (("--yes", "--schema", "mbo"), "schema mbo is not imported: single orders of the book are not kept"),
        (("--yes", "--symbols", "ZCQ5"), "root of future ZCQ5 must be one of"),
        (("--yes", "--symbols", "NQ.v.0"), "Databento has no NQ.v.0 in GLBX.MDP3"),
        (("--yes", "--symbols", "NQU5"), "the request is not valid (Could not resolve NQU5)"),
        (("--yes", "--end", "2025-05-01"), "--end must not be before --start"),
        (("--yes", "--end", str(datetime.now(UTC).date())), "--end must be a finished UTC day"),
        (("--yes", "--start", "2025-06-28", "--end", "2025-06-29"), "from 2025-06-28 on; check symbol and days"),
    ],
)
def test_what_cannot_be_fetched_is_one_line_and_the_catalog_unchanged(
    vendor: SimpleNamespace, tmp_path: Path, refusal: Callable[..., str], options: tuple[str, ...], message: str
) -> None:
    words = ("data", "fetch", "databento", "--symbols", "ESU5", *SUMMER, "--catalog", tmp_path / "store")
    assert message in refusal(*words, *options)
    assert stored_bar_types(tmp_path / "store") == []


def test_a_wrong_key_is_told_and_not_shown(
    vendor: SimpleNamespace, tmp_path: Path, refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABENTO_API_KEY", "db-burglar")
    line = refusal("data", "fetch", "databento", "--symbols", "ESU5", *SUMMER, "--yes", "--catalog", tmp_path)
    assert "the key is wrong or missing (Authentication failed.)" in line
    assert "burglar" not in line


REQUEST = HistoryRequest("GLBX.MDP3", "ohlcv-1m", ("ESU5",), date(2025, 7, 1), date(2025, 7, 2))
WHOLE = dbn_bytes("ESU5", date(2025, 7, 1), date(2025, 7, 2))


@pytest.mark.parametrize(
    ("fault", "pause"),
    [
        ({"status": 429, "body": b"{}", "headers": {"Retry-After": "17"}}, 17.0),
        ({"status": 503, "body": b"{}"}, 1.0),
        ({"body": WHOLE, "cut": 80}, 1.0),
        ({"body": WHOLE[:-30]}, 1.0),
        ({"body": zstandard.compress(zstandard.ZstdDecompressor().decompressobj().decompress(WHOLE)[:-9])}, 1.0),
    ],
    ids=["429", "503", "hung-up", "cut-zstd", "cut-record"],
)
def test_what_passes_is_tried_again_and_only_a_whole_file_is_kept(
    vendor: SimpleNamespace, tmp_path: Path, fault: object, pause: float
) -> None:
    vendor.faults.append(fault)
    slept: list[float] = []
    said: list[str] = []
    target = tmp_path / "deep" / "esu5.dbn.zst"
    history = DatabentoHistory(connect("db-sesame", vendor.url), Retries(sleep=slept.append, report=said.append))
    history.download(REQUEST, target)
    assert slept == [pause]
    assert said[0].endswith(f"next attempt in {pause:g} s")
    assert target.read_bytes() == WHOLE
    assert [path.name for path in target.parent.iterdir()] == ["esu5.dbn.zst"]


def test_a_lasting_fault_leaves_nothing_and_says_so(vendor: SimpleNamespace, tmp_path: Path) -> None:
    vendor.faults += [{"body": WHOLE, "cut": 80}] * 3
    history = DatabentoHistory(connect("db-sesame", vendor.url), Retries(attempts=3, sleep=lambda _: None))
    with pytest.raises(SourceError, match=r"in 3 attempts, last: (download cut off|connection lost)"):
        history.download(REQUEST, tmp_path / "esu5.dbn.zst")
    assert list(tmp_path.glob("*.dbn*")) == []


def test_a_notice_of_the_vendor_is_passed_on(vendor: SimpleNamespace, tmp_path: Path) -> None:
    notice = {"X-Warning": '["Warning: the day 2025-07-01 is degraded"]'}
    vendor.faults.append({"body": WHOLE, "headers": notice})
    said: list[str] = []
    DatabentoHistory(connect("db-sesame", vendor.url), Retries(report=said.append)).download(
        REQUEST, tmp_path / "esu5.dbn.zst"
    )
    assert said == ["Databento says: the day 2025-07-01 is degraded"]


def test_a_batch_job_is_ordered_once_and_its_files_imported(
    vendor: SimpleNamespace, tmp_path: Path, answer: Callable[..., dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DatabentoBatch.__init__, "__defaults__", (0.0,))
    words = ("data", "fetch", "databento", "--symbols", "ESU5", *SUMMER, "--yes", "--batch", "--catalog", tmp_path)
    told = answer(*words)
    assert (told["cost_usd"], told["imports"][0]["rows"]) == (0.25, 24 * 20)
    assert vendor.vendor.looks == 2
    assert (vendor.vendor.ordered[0]["split_duration"], vendor.vendor.ordered[0]["end"][:10]) == ("month", "2025-07-04")
    again = answer(*words)
    assert (again["cost_usd"], again["imports"][0]["outcome"]) == (0, "already imported")
    assert (len(vendor.vendor.ordered), vendor.vendor.sent) == (1, ["files/GLBX-1"])


def test_a_batch_file_of_another_checksum_is_refused(vendor: SimpleNamespace, tmp_path: Path) -> None:
    vendor.vendor.checksum = "sha256:beef"
    batch = DatabentoBatch(connect("db-sesame", vendor.url), Retries(attempts=2, sleep=lambda _: None))
    job = batch.submit(REQUEST)
    with pytest.raises(SourceError, match="in 2 attempts, last: download cut off"):
        batch.fetch(job, tmp_path)


def test_a_job_that_is_gone_is_told(vendor: SimpleNamespace) -> None:
    batch = DatabentoBatch(connect("db-sesame", vendor.url), Retries())
    with pytest.raises(SourceError, match="GLBX-9 is unknown: order it again"):
        batch.wait("GLBX-9")

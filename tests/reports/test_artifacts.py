"""The files as they are left on disk: complete, self-contained, the same twice, and never half a report."""

import csv
import math
import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.accounting.account import Traded, build_record
from rl_strategies.accounting.record import Fill, RunRecord
from rl_strategies.analysis.baselines import buy_and_hold
from rl_strategies.analysis.metrics import compute_metrics
from rl_strategies.analysis.trades import build_trades
from run.reports.artifacts import write_artifacts
from run.reports.metadata import ReportMetadata

NAMES = {"summary.json", "portfolio_history.csv", "daily_report.csv", "trades.csv", "report.html", "report.png"}
SPY = InstrumentSpec(
    instrument_id="SPY.EQUS",
    kind="equity",
    tick_size=Decimal("0.01"),
    multiplier=1,
    commission_per_unit=Decimal("0.005"),
    commission_minimum=Decimal(1),
    calendar="NYSE",
)
VOID = {"meta", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """Tags, ids, links and text of a page; fails where tags do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids[value or ""] += 1
            if name in ("src", "href", "xlink:href"):
                self.links.append(value or "")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data


def report(out: Path, record: RunRecord, metadata: ReportMetadata) -> dict[str, Path]:
    trades = build_trades(record)
    return write_artifacts(out, record, trades, compute_metrics(record, trades), metadata)


@pytest.fixture
def full_metadata(make_run, metadata) -> ReportMetadata:
    return replace(
        metadata,
        title="<script>alert(1)</script>",
        synthetic_note="Synthetic data with a planted edge.",
        buy_and_hold=buy_and_hold(make_run(sessions=12)),
        random_policy_pnl=np.concatenate([np.linspace(-90_000, -80_000, 70), np.linspace(80_000, 90_000, 30)]),
        oracle_pnl=4_000.0,
        oracle_note="knows the drift of every bar",
        training=("100,000 samples",),
        left_out_features=(("vwap_distance", "volume is unknown"),),
        notes=("one contract & no more",),
        versions={"nautilus_trader": "1.231.0"},
    )


def test_every_file_is_written_and_agrees(tmp_path: Path, make_run, full_metadata) -> None:
    record = make_run(sessions=12)
    written = report(tmp_path / "run" / "report", record, full_metadata)
    assert set(written) == NAMES == {path.name for path in (tmp_path / "run" / "report").iterdir()}
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["report"]
    summary = msgspec.json.decode(written["summary.json"].read_bytes())
    with written["trades.csv"].open() as lines:
        pnl = sum(float(row["pnl"]) for row in csv.DictReader(lines))
    with written["daily_report.csv"].open() as lines:
        assert sum(float(row["pnl"]) for row in csv.DictReader(lines)) == pytest.approx(pnl)
    with written["portfolio_history.csv"].open() as lines:
        assert float(list(csv.DictReader(lines))[-1]["equity"]) == pytest.approx(100_000 + pnl)
    assert summary["metrics"]["net_pnl_usd"] == pytest.approx(pnl)
    assert summary["window"] == {
        "start": "2024-01-02", "end": "2024-03-01", "sessions": 12, "seen_sessions": 0, "bars": 720, "warmup_bars": 0,
    }  # fmt: skip
    random = summary["baselines"]["random_policy"]
    assert (random["count"], random["as_good_or_better"], random["percentile_of_this"]) == (100, 30, 70.0)
    assert summary["baselines"]["oracle"] == {"pnl_usd": 4_000.0, "note": "knows the drift of every bar"}
    assert summary["refusals"] == {"daily_loss": 3}
    assert summary["metrics"]["annualised_return_pct"] is None
    assert written["report.png"].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_page_needs_nothing_from_outside(tmp_path: Path, make_run, full_metadata) -> None:
    text = report(tmp_path / "report", make_run(sessions=12), full_metadata)["report.html"].read_text()
    page = Page(text)
    assert page.tags["script"] == page.tags["link"] == page.tags["iframe"] == 0
    assert page.tags["svg"] == 6
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert not re.search(r"url\((?!#)|@import", text)
    assert max(page.ids.values()) == 1
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    for said in ("<script>alert(1)</script>", "Synthetic data with a planted edge.", "one contract & no more",
                 "volume is unknown", "daily loss", "nautilus_trader 1.231.0"):  # fmt: skip
        assert said in page.text


def test_same_run_same_bytes(tmp_path: Path, make_run, full_metadata) -> None:
    record = make_run(sessions=12)
    first, second = (report(tmp_path / name, record, full_metadata) for name in ("a", "b"))
    for name in NAMES:
        assert first[name].read_bytes() == second[name].read_bytes(), name


@pytest.mark.parametrize("shape", [{"sessions": 30, "hold": 0}, {"sessions": 1}, {"sessions": 1, "bars": 1, "hold": 0}])
def test_poor_runs_still_make_a_report(tmp_path: Path, make_run, metadata, shape: dict[str, int]) -> None:
    page = Page(report(tmp_path / "report", make_run(**shape), metadata)["report.html"].read_text())
    expected = "no evidence either way" if shape.get("hold", 1) else "No trades in"
    assert expected in page.text
    assert not re.search(r"\b(nan|inf|None)\b", page.text)


def test_all_losses_are_said_plainly(tmp_path: Path, make_run, metadata) -> None:
    record = make_run(sessions=12)
    (leg,) = record.legs
    steady = np.full(len(leg.bars), 20_000)
    bars = replace(leg.bars, open=steady, high=steady, low=steady, close=steady)
    fills = tuple(replace(fill, price_ticks=20_000 + fill.units) for fill in leg.fills)  # a tick lost on each
    cash = np.zeros(len(bars))
    for fill in fills:
        cash[np.searchsorted(bars.ts_ns, fill.ts_ns) :] -= fill.units * fill.price_ticks * 12.5 + 2.10
    equity = 100_000 + cash + leg.position_units * 20_000 * 12.5
    written = report(
        tmp_path / "report", replace(record, legs=(replace(leg, bars=bars, fills=fills),), equity_usd=equity), metadata
    )
    summary = msgspec.json.decode(written["summary.json"].read_bytes())
    assert summary["verdict"].startswith(f"Lost {len(fills) * 14.6:,.2f} USD")
    assert summary["verdict"].endswith("lies below zero: evidence of a loss that is not chance.")
    assert summary["metrics"]["win_rate_pct"] == 0
    assert summary["metrics"]["profit_factor"] == 0


def test_report_of_months_is_light(tmp_path: Path, make_run, metadata) -> None:
    page = report(tmp_path / "report", make_run(sessions=64, bars=390, hold=20), metadata)["report.html"]
    assert page.stat().st_size < 1_500_000


def test_real_minutes_add_up_to_the_cent(tmp_path: Path, shared_data: Path, metadata) -> None:
    frame = pd.read_parquet(shared_data / "spy_1min_202403_202504.parquet").iloc[: 390 * 20]
    ticks = {name: (frame[name] * 100).round().astype(np.int64).to_numpy() for name in ("open", "high", "low", "close")}
    ts_ns = frame["ts_event"].dt.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64) + 60_000_000_000
    volume = frame["volume"].astype(np.int64).to_numpy()
    bars = BarSeries("SPY.EQUS-1-MINUTE-LAST-EXTERNAL", ts_ns, **ticks, volume=volume, volume_known=True, tick_raw=1e14)
    days = ts_ns.astype("datetime64[ns]").astype("datetime64[D]")
    rng = np.random.default_rng(11)
    fills: list[Fill] = []
    for bar in range(5, len(bars) - 20, 23):  # in two parts at two prices, out in two parts: averages and rounding
        if days[bar] != days[bar + 15]:
            continue
        side = int(rng.choice([-1, 1]))
        for offset, units, why in ((0, 2, "entry"), (1, 1, "entry"), (9, -1, "take_profit"), (15, -2, "signal")):
            price = int(ticks["close"][bar + offset]) + side * units // abs(units) * int(rng.integers(0, 4))
            fills.append(Fill(int(ts_ns[bar + offset]), side * units, price, 100, "market", 0, why))
    record = build_record([Traded(SPY, bars, days, fills)], 10_000_000, {})
    written = report(tmp_path / "report", record, metadata)
    metrics = msgspec.json.decode(written["summary.json"].read_bytes())["metrics"]
    assert (metrics["unreconciled_usd"], metrics["trades"], metrics["sessions"]) == (
        0,
        len(fills) // 4,
        len(np.unique(days)),
    )
    with written["trades.csv"].open() as lines:
        pnl = math.fsum(float(row["pnl"]) for row in csv.DictReader(lines))
    assert round(100_000 + pnl, 2) == round(record.equity_usd[-1], 2)


def test_failure_leaves_what_was_there(tmp_path: Path, make_run, metadata) -> None:
    out = tmp_path / "report"
    record = make_run()
    written = report(out, record, metadata)
    before = {path: path.read_bytes() for path in written.values()}
    (out / "mine.txt").write_text("kept")
    (leg,) = record.legs
    elsewhere = replace(leg, instrument=msgspec.structs.replace(leg.instrument, calendar="XLON"))
    unknown_zone = replace(record, legs=(elsewhere,))
    trades = build_trades(record)
    with pytest.raises(KeyError, match="XLON"):
        write_artifacts(out, unknown_zone, trades, compute_metrics(record, trades), metadata)
    assert {path: path.read_bytes() for path in written.values()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    report(out, make_run(seed=1), metadata)
    assert (out / "mine.txt").read_text() == "kept"
    assert written["trades.csv"].read_bytes() != before[written["trades.csv"]]


def test_a_file_is_no_folder(tmp_path: Path, make_run, metadata) -> None:
    (tmp_path / "report").write_text("in the way")
    with pytest.raises(InputError, match=r"report folder .* is a file"):
        report(tmp_path / "report", make_run(), metadata)

"""What ``rl-intraday data`` shows: tables for people, plain data for machines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from adapters.files import FileBars
from catalogs.hygiene.report import RULES, Finding, QualityReport, iso_utc, merge_reports
from catalogs.hygiene.suspicion import SourceComparison
from catalogs.storage.ingest import Imported
from catalogs.storage.inventory import Coverage, StoredBars
from run.console import print_json, print_result, report

MANY_OUTSIDE = 0.1  # of the rows read: more are no stray prints
SHOWN = 10  # sessions listed before "and N more"


def import_record(imported: Imported, catalog: Path) -> dict[str, Any]:
    """Outcome of an import for machines."""
    bars, provenance = imported.bars, imported.provenance
    return {
        "outcome": imported.outcome,
        "catalog": str(catalog),
        "bar_type": bars.bar_type,
        "rows_read": provenance.quality.rows_read,
        "rows": len(bars),
        "new_rows": imported.new_rows,
        "first": iso_utc(int(bars.ts_ns[0])),
        "last": iso_utc(int(bars.ts_ns[-1])),
        "stamp": provenance.stamp,
        "volume_known": bars.volume_known,
        "assume_volume": provenance.assume_volume,
        "findings": msgspec.to_builtins(provenance.quality.findings),
        "sources": msgspec.to_builtins(provenance.sources),
    }


def joined_by_bar_type(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Import records with those of one bar type, fetched in parts and in order of time, made one; others stay."""
    parts: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        name = record.get("bar_type") or f"{record['kind']} {record['instrument_id']} {record['source']}"
        parts.setdefault(name, []).append(record)
    return [_joined(each) for each in parts.values()]


def _joined(records: list[dict[str, Any]]) -> dict[str, Any]:
    if len(records) == 1:
        return records[0]
    total = {name: sum(each[name] for each in records) for name in ("rows_read", "rows", "new_rows")}
    reports = [
        QualityReport(each["rows_read"], each["rows"], msgspec.convert(each["findings"], tuple[Finding, ...]))
        for each in records
    ]
    return {
        **records[0],
        **total,
        # What was new first: "imported", else "appended", if anything was.
        "outcome": next((each["outcome"] for each in records if each["new_rows"]), records[0]["outcome"]),
        "last": records[-1]["last"],
        "volume_known": all(each["volume_known"] for each in records),
        "combined": sum(each.get("combined", 0) for each in records),
        "findings": msgspec.to_builtins(merge_reports(reports).findings),
        "sources": [source for each in records for source in each["sources"]],
    }


def print_records(records: list[dict[str, Any]], as_json: bool) -> None:
    """Outcomes of imports: one JSON object, or what was stored and mended of each."""
    if as_json:
        print_json(records[0] if len(records) == 1 else {"imports": records})
        return
    for record in records:
        print_record(record)


def print_record(record: dict[str, Any]) -> None:
    """Outcome of an import of bars, ticks or a definition for people."""
    if "findings" in record:
        _print_bars(record)
        return
    print_result(f"{record['outcome']}: {record['rows']:,} {record['kind']} of {record['instrument_id']}")
    if record.get("off_tick"):
        _print_findings([{"rule": "off_tick", "treatment": "repaired", "count": record["off_tick"], "first": ""}])


def print_sources(sources: Sequence[FileBars], stamps: Sequence[str]) -> None:
    """How files were understood: one row for each format, with the files that are of it.

    Parameters
    ----------
    sources : sequence of FileBars
    stamps : sequence of str
        End of a bar that the times of each were taken to mark.
    """
    files: dict[tuple[str, ...], set[str]] = {}
    for source, stamp in zip(sources, stamps, strict=True):
        zone = source.time_zone or "in the file"
        prices = "USD" if source.divisor == 1 else f"USD times {source.divisor:,.0f}, converted"
        files.setdefault((source.format.title, f"bar {stamp}s", zone, prices), set()).add(source.path.name)
    table = _table("file", "format", "times mark", "time zone", "prices")
    for row, names in files.items():
        first, more = min(names), len(names) - 1
        table.add_row(first + (f" and {more:,} more" if more else ""), *row)
    print_result(table)


def _print_bars(record: dict[str, Any]) -> None:
    print_result(
        f"{record['outcome']}: {record['rows']:,} bars of {record['bar_type']} in {record['catalog']}\n"
        f"{record['first']} to {record['last']}, {record['rows_read']:,} rows read, "
        f"{record['new_rows']:,} bars new to the catalog"
    )
    if record.get("combined"):
        print_result(
            f"{record['combined']:,} bars combined from several publishers ({', '.join(record['publishers'])}): "
            "highest high, lowest low, sum of the volumes, open and close of the one with most volume (see --publisher)"
        )
    if not record["findings"]:
        print_result("nothing to mend")
        return
    _print_findings(record["findings"])
    if warning := _far_outside(record):
        report(warning, label="warning:", style="yellow")
    if not record["volume_known"]:
        print_result(
            f"volume is unknown: {record['assume_volume']} is stored where it was missing, and features "
            "read it as missing. An entry of more than one unit is granted up to a quarter of it: see --assume-volume."
        )


def _print_findings(findings: list[dict[str, Any]]) -> None:
    table = _table("finding", "treatment", "count", "first (close, UTC)", "meaning")
    for finding in findings:
        meaning = RULES[finding["rule"]][1]
        table.add_row(finding["rule"], finding["treatment"], f"{finding['count']:,}", finding["first"], meaning)
    print_result(table)


def _far_outside(record: dict[str, Any]) -> str:
    outside = sum(finding["count"] for finding in record["findings"] if finding["rule"] == "out_of_session")
    if outside <= MANY_OUTSIDE * record["rows_read"]:
        return ""
    return (
        f"{outside / record['rows_read']:.0%} of the rows lie outside every session and were dropped: bars of extended "
        "hours, or times of another zone than was said (--tz, --stamp)"
    )


def print_inventory(stored: list[StoredBars], catalog: Path) -> None:
    """Contents of a catalog for people."""
    if not stored:
        print_result(f"{catalog} holds no bars; `rl-intraday data import` brings some in")
        return
    table = _table("bar type", "bars", "sessions", "first day", "last day", "volume", "filled")
    for bars in stored:
        volume = "known" if bars.volume_known else "unknown"
        counts = (f"{bars.rows:,}", f"{bars.sessions:,}")
        table.add_row(bars.bar_type, *counts, bars.first[:10], bars.last[:10], volume, f"{bars.filled:,}")
    print_result(table)


def print_rest(rest: dict[str, list[str]]) -> None:
    """What a catalog holds beside bars, and the bundles trained from it; nothing for what there is none of."""
    for what, names in rest.items():
        if names:
            print_result(f"{what}: " + (f"{len(names)} cached matrices" if what == "features" else _listed(names)))


def print_comparison(bar_type: str, comparison: SourceComparison) -> None:
    """Two sources of one bar type for people."""
    clock = "the clocks agree" if not comparison.shift_bars else f"LATE BY {comparison.shift_bars} BARS"
    print_result(
        f"{bar_type} against {comparison.other}: {comparison.common:,} common bars, {clock}; "
        f"{comparison.differing_closes:,} closes differ by more than a tick (at most "
        f"{comparison.largest_difference_ticks:,}); {comparison.only_here:,} bars only here, "
        f"{comparison.only_there:,} only there"
    )


def print_coverage(coverage: Coverage) -> None:
    """Completeness of one bar type for people."""
    zero = coverage.zero_volume_share
    missing = coverage.missing_sessions
    table = Table(title=coverage.bar_type, title_justify="left", show_header=False)
    table.add_row("bars", f"{coverage.rows:,}")
    table.add_row("sessions", f"{coverage.sessions:,}, of which {coverage.complete_sessions:,} complete")
    table.add_row("missing bars", f"{coverage.missing_bars:,} in {len(coverage.incomplete_sessions):,} sessions")
    table.add_row(
        "least complete", _listed([f"{s.session_date} {s.bars}/{s.expected}" for s in coverage.incomplete_sessions])
    )
    table.add_row(
        "missing sessions", f"{len(missing):,}: {_listed([str(day) for day in missing])}" if missing else "none"
    )
    table.add_row("bars of volume 0", "volume unknown" if zero is None else f"{zero:.2%}")
    table.add_row("largest moves", _listed([f"{move.ts} {move.percent:+.2f} %" for move in coverage.largest_moves]))
    table.add_row("outliers", _listed([f"{outlier.ts} {outlier.percent:+.2f} %" for outlier in coverage.outliers]))
    table.add_row("suspected splits", _listed([f"{s.session_date} {s.ratio:g}:1" for s in coverage.splits]))
    table.add_row("level breaks", _listed([f"{step.ts} x {step.ratio:,g}" for step in coverage.level_steps]))
    table.add_row("outside sessions", f"{coverage.outside_sessions:,}")
    if coverage.changed_hours:
        table.add_row("changed hours", f"{coverage.changed_hours:,} files cleaned by other hours: import them again")
    print_result(table)


def _table(*headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for heading in headings:
        is_number = heading in ("count", "bars", "sessions", "filled")
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=heading != "meaning")
    return table


def _listed(items: list[str]) -> str:
    more = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {more:,} more" if more > 0 else "") or "none"

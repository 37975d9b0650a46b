"""A replay finds what was changed in a session, and names what caused it."""

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rl_strategies.live.journal.journal import Journal, read_journal
from run.cli import BAD_INPUT, main
from run.trade.replay.session import Replay, replay_session
from tests.live.conftest import PAPER_DAY, PaperDay

pytestmark = pytest.mark.xdist_group("paper")
Rows = list[dict[str, Any]]


@pytest.fixture
def changed(paper_day: PaperDay, tmp_path: Path) -> Callable[[Callable[[Rows], None]], Path]:
    """``changed(change)``: folder of the session with its journal's rows changed."""

    def make(change: Callable[[Rows], None]) -> Path:
        folder = tmp_path / PAPER_DAY
        folder.mkdir()
        shutil.copy(paper_day.folder / "session.json", folder)
        rows: Rows = read_journal(paper_day.folder / "journal").rows.to_pylist()
        change(rows)
        journal = Journal(folder / "journal", durable=False)
        for row in rows:
            journal.append(row["kind"], row["ts_ns"], row["instrument_id"], row["values"], row["text"])
        journal.close()
        return folder

    return make


def nth(rows: Rows, kind: str, n: int) -> dict[str, Any]:
    return [row for row in rows if row["kind"] == kind][n]


def in_session(rows: Rows, n: int) -> dict[str, Any]:
    """The ``n``-th bar of the day itself."""
    first = next(i for i, row in enumerate(rows) if row["kind"] == "observation")
    return nth(rows[first:], "bar", n)


def held_entry(rows: Rows) -> dict[str, Any]:
    """The execution of an entry that is held for some bars."""
    fills = [row for row in rows if row["kind"] == "fill"]
    return next(
        row
        for row, following in pairwise(fills)
        if json.loads(row["text"])["role"] == "entry" and following["ts_ns"] - row["ts_ns"] > 180 * 10**9
    )


def rewritten(row: dict[str, Any], **changes: Any) -> None:
    row["text"] = json.dumps(json.loads(row["text"]) | changes)


def by_cause(replay: Replay) -> dict[str, int]:
    counts: dict[str, int] = {}
    for divergence in replay.divergences:
        counts[divergence.cause] = counts.get(divergence.cause, 0) + 1
    return counts


def test_a_changed_bar_is_data_where_a_catalog_knows_better(
    changed: Callable[[Callable[[Rows], None]], Path], paper_day: PaperDay
) -> None:
    def higher(rows: Rows) -> None:
        bar = in_session(rows, 50)
        bar["values"][1] += 40
        bar["values"][3] = bar["values"][1]

    folder = changed(higher)
    replay = replay_session(folder, paper_day.catalog)
    first = replay.divergences[0]
    assert (first.cause, first.what) == ("data", "bar: high")
    assert int(first.written) - int(first.made) == 40
    assert by_cause(replay)["data"] == 2
    # Nothing was executed otherwise before the bar, and every decision after it that differs does so by the bar.
    assert set(replay.decisions) == {"data"}
    alone = replay_session(folder)
    assert alone.divergences[0].cause == "feature"
    assert alone.decisions["feature"] == replay.decisions["data"] > 0


def test_a_changed_observation_is_a_feature_or_a_state_and_the_memory_follows(
    changed: Callable[[Callable[[Rows], None]], Path],
) -> None:
    def feature(rows: Rows) -> None:
        nth(rows, "observation", 50)["values"][0] += 0.5

    replay = replay_session(changed(feature))
    assert (replay.divergences[0].cause, replay.divergences[0].what) == ("feature", "return_1")
    assert by_cause(replay)["feature"] == 1
    assert "fill" not in by_cause(replay)
    # The policy remembers what it was shown; its later answers are no fault of its own.
    assert set(replay.decisions) == {"feature"}
    assert 1 < replay.decisions["feature"] <= 204 - 50
    assert replay.equal_observations == 203


def test_a_changed_position_in_an_observation_is_state(changed: Callable[[Callable[[Rows], None]], Path]) -> None:
    def state(rows: Rows) -> None:
        nth(rows, "observation", 50)["values"][-1] += 0.5

    replay = replay_session(changed(state))
    assert (replay.divergences[0].cause, replay.divergences[0].what) == ("state", "target_distance_atr")
    assert set(replay.decisions) == {"state"}
    assert 1 < replay.decisions["state"] <= 204 - 50


@pytest.mark.parametrize(
    ("kind", "n", "what"),
    [("logits", 0, "logits"), ("target", 0, "target"), ("recurrent_state", None, "recurrent state")],
)
def test_a_changed_answer_is_policy(
    changed: Callable[[Callable[[Rows], None]], Path], kind: str, n: int | None, what: str
) -> None:
    def answered(rows: Rows) -> None:
        row = nth(rows, kind, 50)
        if n is None:
            row["text"] = "0" * 64
        else:
            row["values"][n] = -1 if row["values"][n] > 0 else 1

    replay = replay_session(changed(answered))
    assert (replay.divergences[0].cause, replay.divergences[0].what) == ("policy", what)
    assert by_cause(replay)["policy"] == 1
    assert dict(replay.decisions) == {"policy": 1}
    assert replay.other_actions == (kind == "target")


def test_a_changed_price_is_a_fill_and_explains_the_state(changed: Callable[[Callable[[Rows], None]], Path]) -> None:
    def dearer(rows: Rows) -> None:
        row = held_entry(rows)
        rewritten(row, price_ticks=json.loads(row["text"])["price_ticks"] + 3)

    replay = replay_session(changed(dearer))
    assert replay.divergences[0].cause == "fill"
    assert replay.divergences[0].what.endswith("price")
    assert by_cause(replay)["fill"] == 1
    assert set(replay.decisions) == {"fill"}


def test_a_changed_commission_is_cost_and_changes_no_decision(
    changed: Callable[[Callable[[Rows], None]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def dearer(rows: Rows) -> None:
        row = nth(rows, "fill", 20)
        rewritten(row, commission_cents=json.loads(row["text"])["commission_cents"] + 300)

    folder = changed(dearer)
    assert main(["replay", str(folder)]) == 0
    assert "other divergences: 1 of cost" in capsys.readouterr().err
    (cost,) = replay_session(folder).divergences
    assert (cost.cause, cost.written, cost.made) == ("cost", "400", "100")


def test_an_execution_that_is_missing_is_a_fill(changed: Callable[[Callable[[Rows], None]], Path]) -> None:
    replay = replay_session(changed(lambda rows: rows.remove(held_entry(rows))))
    first = replay.divergences[0]
    assert (first.cause, first.written) == ("fill", "not executed")
    assert set(replay.decisions) == {"fill"}


def state_row(ts_ns: int, what: str, **more: str) -> dict[str, Any]:
    text = json.dumps({"what": what, "from": "", "to": "", "reason": "", **more})
    return {"kind": "state", "ts_ns": ts_ns, "instrument_id": "", "values": [], "text": text}


def without_decision(rows: Rows, n: int) -> dict[str, Any]:
    """Take a decision out; returns its bar."""
    ts_ns = nth(rows, "observation", n)["ts_ns"]
    for row in [row for row in rows if row["ts_ns"] == ts_ns and row["kind"] not in ("bar", "order", "fill")]:
        rows.remove(row)
    return next(row for row in rows if (row["kind"], row["ts_ns"]) == ("bar", ts_ns))


def test_a_decision_that_was_skipped_is_state_and_says_why(changed: Callable[[Callable[[Rows], None]], Path]) -> None:
    def skipped(rows: Rows) -> None:
        bar = without_decision(rows, 60)
        rows.insert(rows.index(bar) + 1, state_row(bar["ts_ns"], "decision", to="skipped", reason="disconnected"))

    replay = replay_session(changed(skipped))
    first = replay.divergences[0]
    assert (first.cause, first.what, first.written) == ("state", "decision", "not taken: disconnected")
    assert replay.decisions["state"] == 1


def test_bars_of_before_the_start_are_not_decided_on(changed: Callable[[Callable[[Rows], None]], Path]) -> None:
    def later(rows: Rows) -> None:
        for _ in range(3):
            without_decision(rows, 0)["text"] = "warm-up"

    assert all(each.what != "decision" for each in replay_session(changed(later)).divergences)


def test_an_entry_that_was_not_permitted_is_state_and_the_backtest_does_not_open(
    changed: Callable[[Callable[[Rows], None]], Path],
) -> None:
    def reduced(rows: Rows) -> None:
        entry = nth(rows, "order", 0)
        rows.insert(rows.index(entry), state_row(json.loads(entry["text"])["decision_ns"], "permit", reason="rejects"))

    first, second, *_ = replay_session(changed(reduced)).divergences
    assert (first.cause, first.written) == ("state", "not opened: rejects")
    assert (second.cause, second.what, second.made) == ("fill", "entry", "not executed")


def test_after_ruin_nothing_is_decided(changed: Callable[[Callable[[Rows], None]], Path]) -> None:
    def ruined(rows: Rows) -> None:
        bar = without_decision(rows, 60)
        end = rows.index(bar) + 1
        rows[end:] = [state_row(bar["ts_ns"], "ruin"), *(row for row in rows[end:] if row["kind"] == "bar")]

    assert all(each.what != "decision" for each in replay_session(changed(ruined)).divergences)


def test_a_bar_that_came_too_late_to_be_decided_on_is_data(changed: Callable[[Callable[[Rows], None]], Path]) -> None:
    def late(rows: Rows) -> None:
        without_decision(rows, 60)["text"] = "backfill"

    first = replay_session(changed(late)).divergences[0]
    assert (first.cause, first.written) == ("data", "not taken: the bar came too late, from history")


def test_a_session_that_broke_off_is_replayed_as_far_as_it_goes(
    paper_day: PaperDay, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    folder = tmp_path / PAPER_DAY
    (folder / "journal").mkdir(parents=True)
    shutil.copy(paper_day.folder / "session.json", folder)
    rows: Rows = read_journal(paper_day.folder / "journal").rows.to_pylist()
    written = Journal(tmp_path / "written", durable=False)
    for row in rows[: rows.index(nth(rows, "review", 100)) + 1]:
        written.append(row["kind"], row["ts_ns"], row["instrument_id"], row["values"], row["text"])
        written.flush()
    (segment,) = (tmp_path / "written").glob("*.arrows")
    (folder / "journal" / segment.name).write_bytes(segment.read_bytes()[:-20])
    written.close()
    replay = answer("replay", folder)
    assert replay["torn"]["segment"] == segment.name
    assert replay["torn"]["bytes_lost"] > 0
    assert replay["is_equal"]
    # The last row was the review of the 101st decision.
    assert replay["decisions"] == 100


def test_divergences_of_a_cause_are_capped_in_json(
    changed: Callable[[Callable[[Rows], None]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def features(rows: Rows) -> None:
        for n in range(204):
            nth(rows, "observation", n)["values"][0] += 0.5

    assert main(["replay", str(changed(features)), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    feature = printed["causes"]["feature"]
    assert (printed["is_equal"], feature["decisions"], printed["causes"]["policy"]["decisions"]) == (False, 204, 0)
    assert (feature["divergences"], len(feature["first"])) == (204, 100)
    assert set(feature["first"][0]) == {"row", "time", "instrument_id", "what", "session", "replay"}


def test_bad_input_is_one_line(paper_day: PaperDay, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    no_journal = tmp_path / "no_journal"
    no_journal.mkdir()
    shutil.copy(paper_day.folder / "session.json", no_journal)
    for words, said in (
        ([paper_day.folder.parent], f"name the folder of one day, such as {paper_day.folder}"),
        ([empty], f"no session in {empty}: name the folder of one day\n"),
        ([no_journal], "no journal in session"),
        ([paper_day.folder, "--bundle", tmp_path / "gone"], "name its folder with --bundle"),
        ([paper_day.folder, "--catalog", empty], "no bars of"),
    ):
        assert main(["replay", *map(str, words)]) == BAD_INPUT
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1


def test_a_row_that_is_not_what_it_should_be_is_named(
    changed: Callable[[Callable[[Rows], None]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    places: list[int] = []

    def short(rows: Rows) -> None:
        row = nth(rows, "observation", 50)
        row["values"].pop()
        places.append(rows.index(row))

    folder = changed(short)
    assert main(["replay", str(folder)]) == BAD_INPUT
    assert f"journal: row {places[0]} is not a valid observation" in capsys.readouterr().err

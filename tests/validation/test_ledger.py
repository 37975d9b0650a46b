"""The ledger: whatever is done to its file is seen, and nothing that a writer does damages it."""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.errors import InputError
from training.validation.ledger import ledger as ledger_module
from training.validation.ledger.ledger import ENTRIES, HEADS, append, check, ledger_beside, read_ledger
from training.validation.ledger.merge import merge

COUNT = 4


def filled(folder: Path, count: int = COUNT, seed: int = 0) -> Path:
    for number in range(count):
        append(folder, "training", {"experiment": "spy", "seed": seed + number})
    return folder


def lines_of(folder: Path) -> list[bytes]:
    return (folder / ENTRIES).read_bytes().splitlines(keepends=True)


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield filled(Path(folder) / "runs-ledger")


def chain_of(folder: Path) -> str:
    (chain,) = read_ledger(folder).ends
    return chain


def test_entries_follow_each_other(tmp_path: Path) -> None:
    ledger = check(filled(tmp_path / "l"))
    assert [entry.number for entry in ledger.entries] == [1, 2, 3, 4]
    assert [entry.facts["seed"] for entry in ledger.entries] == [0, 1, 2, 3]
    assert [entry.previous for entry in ledger.entries[1:]] == [entry.hash for entry in ledger.entries[:-1]]


def test_the_hash_is_the_sha_256_of_the_line_before_it(tmp_path: Path) -> None:
    line = lines_of(filled(tmp_path / "l", 1))[0].rstrip(b"\n")
    body, _, rest = line.rpartition(b',"hash":"')
    digest = subprocess.run(["sha256sum"], input=body, capture_output=True, check=True).stdout.split()[0]
    assert rest == digest + b'"}'


def test_a_missing_ledger_is_empty_and_nothing_is_written(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "l").entries == []
    assert list(tmp_path.iterdir()) == []


@given(st.integers(0, COUNT - 1))
def test_a_deleted_entry_is_seen(which: int) -> None:
    with scratch() as folder:
        lines = lines_of(folder)
        (folder / ENTRIES).write_bytes(b"".join(lines[:which] + lines[which + 1 :]))
        assert read_ledger(folder).problems


@given(st.permutations(range(COUNT)).filter(lambda order: list(order) != sorted(order)))
def test_another_order_is_seen(order: list[int]) -> None:
    with scratch() as folder:
        lines = lines_of(folder)
        (folder / ENTRIES).write_bytes(b"".join(lines[at] for at in order))
        assert read_ledger(folder).problems


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte_is_seen(at: int, change: int) -> None:
    with scratch() as folder:
        content = bytearray((folder / ENTRIES).read_bytes())
        content[at % len(content)] ^= change
        (folder / ENTRIES).write_bytes(bytes(content))
        assert read_ledger(folder).problems


@given(st.integers(0, 10**6), st.sampled_from([b" ", b"\n", b"0", b"x"]))
def test_an_inserted_byte_is_seen(at: int, byte: bytes) -> None:
    with scratch() as folder:
        content = (folder / ENTRIES).read_bytes()
        at %= len(content)
        (folder / ENTRIES).write_bytes(content[:at] + byte + content[at:])
        assert read_ledger(folder).problems


@given(st.integers(1, 10**6))
def test_a_cut_end_is_seen(length: int) -> None:
    with scratch() as folder:
        content = (folder / ENTRIES).read_bytes()
        (folder / ENTRIES).write_bytes(content[: -1 - length % len(content)])
        assert read_ledger(folder).problems


def test_an_entry_copied_or_sealed_anew_is_seen(tmp_path: Path) -> None:
    from training.validation.ledger.entries import sealed_line

    folder = filled(tmp_path / "l")
    lines = lines_of(folder)
    (folder / ENTRIES).write_bytes(b"".join([*lines, lines[-1]]))
    assert "entry 5 of chain" in read_ledger(folder).problems[0]
    second = json.loads(lines[1]) | {"facts": {"seed": 7}}
    forged = sealed_line(**{key: value for key, value in second.items() if key != "hash"})
    (folder / ENTRIES).write_bytes(b"".join([lines[0], forged.encode() + b"\n", *lines[2:]]))
    chain = second["chain"]
    assert read_ledger(folder).problems == [
        f"line 3: entry {chain}-3 does not follow the one before it: that one was changed"
    ]


@pytest.mark.parametrize(
    ("name", "line"), [(HEADS, r"is not in heads\.json"), (ENTRIES, "is missing: it had 4 entries, has 0")]
)
def test_a_deleted_file_is_seen(tmp_path: Path, name: str, line: str) -> None:
    folder = filled(tmp_path / "l")
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"ledger .* is damaged: .*{line}"):
        append(folder, "training", {})


def test_a_damaged_ledger_takes_no_entry(tmp_path: Path) -> None:
    folder = filled(tmp_path / "l")
    (folder / ENTRIES).write_bytes(b"".join(lines_of(folder)[1:]))
    before = (folder / ENTRIES).read_bytes()
    with pytest.raises(InputError, match=r"is damaged: line 1: entry 1 of chain \w+ belongs here, was entry 2"):
        append(folder, "training", {})
    assert (folder / ENTRIES).read_bytes() == before


def test_what_an_interrupted_write_left_is_taken_up_by_the_next(tmp_path: Path) -> None:
    folder = filled(tmp_path / "l")
    with (folder / ENTRIES).open("ab") as file:
        file.write('{"chain":"é'.encode())  # the machine went down here
    assert check(folder).cut_off == '{"chain":"é'
    entry = append(folder, "training", {"seed": 9})
    assert entry.number == COUNT + 1
    assert entry.facts == {"seed": 9, "cut_off": '{"chain":"é'}
    assert check(folder).cut_off == ""


def test_half_a_letter_is_taken_up_too(tmp_path: Path) -> None:
    folder = filled(tmp_path / "l")
    with (folder / ENTRIES).open("ab") as file:
        file.write('{"chain":"é'.encode()[:-1])
    assert append(folder, "training", {"file": "caf\udce9"}).facts == {
        "file": "caf\\udce9", "cut_off": '{"chain":"\\udcc3',
    }  # fmt: skip
    assert len(check(folder).entries) == COUNT + 1


def test_a_merge_takes_up_an_interrupted_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = two_machines(tmp_path, monkeypatch)
    with (here / ENTRIES).open("ab") as file:
        file.write(b'{"chain"')
    merge(here, [there])
    assert check(here).entries[-1].facts["cut_off"] == '{"chain"'


def test_heads_that_were_not_written_any_more_are_no_damage(tmp_path: Path) -> None:
    folder = filled(tmp_path / "l")
    before = (folder / HEADS).read_bytes()
    append(folder, "training", {"seed": 9})
    (folder / HEADS).write_bytes(before)  # killed between entry and heads
    assert append(folder, "training", {"seed": 10}).number == COUNT + 2


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = filled(tmp_path / "l")
    before = (folder / ENTRIES).read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ledger_module.os, "fsync", full)
    with pytest.raises(InputError, match="no space left on the disk of"):
        append(folder, "training", {"seed": 9})
    monkeypatch.undo()
    assert (folder / ENTRIES).read_bytes() == before
    assert append(folder, "training", {"seed": 9}).number == COUNT + 1


def test_a_file_in_the_place_of_the_ledger_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "l").write_text("mine")
    with pytest.raises(InputError, match=r"ledger must be a folder; .* is a file"):
        append(tmp_path / "l", "training", {})


def test_facts_are_plain_data_and_numbers_finite(tmp_path: Path) -> None:
    folder = tmp_path / "l"
    with pytest.raises(InputError, match="facts of a ledger entry must be plain data"):
        append(folder, "training", {"at": object()})
    assert append(folder, "training", {"a": float("nan"), "b": [float("inf"), 1.5]}).facts == {
        "a": None,
        "b": [None, 1.5],
    }
    assert check(folder).entries[0].number == 1


WRITER = """
import sys
from pathlib import Path
from training.validation.ledger.ledger import append
for number in range(15):
    append(Path(sys.argv[1]), "trial", {"number": number, "writer": sys.argv[2]})
"""


def test_two_processes_write_one_ledger(tmp_path: Path) -> None:
    folder = tmp_path / "l"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(folder), name]) for name in "ab"]
    while any(writer.poll() is None for writer in writers):
        assert read_ledger(folder).problems == []  # a reader takes no lock
    assert [writer.wait() for writer in writers] == [0, 0]
    ledger = check(folder)
    assert [entry.number for entry in ledger.entries] == list(range(1, 31))
    for name in "ab":
        assert [entry.facts["number"] for entry in ledger.entries if entry.facts["writer"] == name] == list(range(15))


@pytest.mark.parametrize("moment", ["before the entries are read", "after"])
def test_a_reader_meets_a_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    folder, read = tmp_path / "l", ledger_module._text

    def meanwhile(path: Path) -> str:
        monkeypatch.undo()
        text = read(path) if moment == "after" else ""
        append(folder, "trial", {})
        return text or (read(path) if moment != "after" else "")

    for entries in (0, 1):
        monkeypatch.setattr(ledger_module, "_text", meanwhile)
        found = read_ledger(folder)
        assert found.problems == []
        assert len(found.entries) == entries + (moment != "after")


ENDLESS = """
import itertools, sys
from pathlib import Path
from training.validation.ledger.ledger import append
for number in itertools.count():
    append(Path(sys.argv[1]), "trial", {"number": number})
    print(number, flush=True)
"""


def test_a_killed_writer_leaves_a_whole_ledger_with_all_it_was_told_of(tmp_path: Path) -> None:
    folder = tmp_path / "l"
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", ENDLESS, str(folder)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(5)]
        writer.send_signal(signal.SIGKILL)
        told += [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        writer.stdout.close()
        kept = [entry.facts["number"] for entry in check(folder).entries]
        assert kept[-len(told) :] == told or kept[-len(told) - 1 : -1] == told  # one more may be on the disk already
        (folder / "told").write_text(str(kept))
    assert append(folder, "trial", {"number": -1}).number == len(read_ledger(folder).entries)


def test_another_machine_begins_a_chain_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = filled(tmp_path / "l", 2)
    monkeypatch.setattr(ledger_module.platform, "node", lambda: "second")
    append(folder, "backtest", {})
    ledger = check(folder)
    assert [entry.number for entry in ledger.entries] == [1, 2, 1]
    assert len(ledger.ends) == 2


def two_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    here = filled(tmp_path / "here")
    monkeypatch.setattr(ledger_module.platform, "node", lambda: "second")
    there = filled(tmp_path / "there", 3, seed=50)
    monkeypatch.undo()
    return here, there


def test_merging_takes_what_is_new_and_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = two_machines(tmp_path, monkeypatch)
    before = (there / ENTRIES).read_bytes()
    assert merge(here, [there]) == {chain_of(there): 3}
    assert sorted(entry.facts["seed"] for entry in check(here).entries if entry.kind == "training") == [
        0, 1, 2, 3, 50, 51, 52,
    ]  # fmt: skip
    assert (there / ENTRIES).read_bytes() == before
    kept = (here / ENTRIES).read_bytes()
    assert merge(here, [there]) == {}
    assert (here / ENTRIES).read_bytes() == kept
    monkeypatch.setattr(ledger_module.platform, "node", lambda: "second")
    append(there, "backtest", {"seed": 53})
    monkeypatch.undo()
    assert merge(here, [there, there]) == {chain_of(there): 1}
    assert append(here, "training", {}).number == COUNT + 3  # two merges


def test_two_merges_in_either_order_have_the_same_chains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = two_machines(tmp_path, monkeypatch)
    ends = read_ledger(here).ends | read_ledger(there).ends
    merge(tmp_path / "all", [here, there])
    merge(tmp_path / "other", [there, here])
    for folder in (tmp_path / "all", tmp_path / "other"):
        assert {chain: check(folder).ends[chain] for chain in ends} == ends


def test_merged_entries_cannot_be_left_out_even_with_new_heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = two_machines(tmp_path, monkeypatch)
    merge(here, [there])
    foreign = chain_of(there)
    lines = [line for line in lines_of(here) if json.loads(line)["chain"] != foreign]
    (here / ENTRIES).write_bytes(b"".join(lines))
    heads = json.loads((here / HEADS).read_bytes())
    del heads["chains"][foreign]
    (here / HEADS).write_text(json.dumps(heads))
    assert read_ledger(here).problems == [f"the end of chain {foreign} is missing: it had 3 entries, has 0"]


def test_a_chain_that_goes_on_differently_is_refused(tmp_path: Path) -> None:
    here = filled(tmp_path / "here")
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (ENTRIES, HEADS):
        (copy / name).write_bytes((here / name).read_bytes())
    append(copy, "training", {"seed": 77})
    append(here, "training", {"seed": 88})
    before = (here / ENTRIES).read_bytes()
    with pytest.raises(InputError, match=rf"chain {chain_of(here)} goes on differently in .* from entry 5 on"):
        merge(here, [copy])
    assert (here / ENTRIES).read_bytes() == before


def test_wrong_sources_are_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    here, other = tmp_path / "here", filled(tmp_path / "other")
    with pytest.raises(InputError, match=r"nowhere is not a ledger: ledger\.jsonl is missing"):
        merge(here, [tmp_path / "nowhere"])
    (other / ENTRIES).write_bytes(b"".join(lines_of(other)[1:]))
    with pytest.raises(InputError, match=r"ledger .*other is damaged"):
        merge(here, [other])
    with pytest.raises(InputError, match="must be merged into another one"):
        merge(other, [other])
    assert not here.exists()


def test_the_ledger_lies_beside_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ledger_beside(Path("runs")) == tmp_path / "runs-ledger"
    assert ledger_beside(Path("/")) == Path("/runs-ledger")

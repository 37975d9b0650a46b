"""The help of every verb: whole lines within 80 columns, a text for every option, plain placeholders."""

import re
from collections.abc import Callable

import pytest

from run.cli import main

Help = Callable[..., list[str]]

GROUPS = ((), ("data",), ("data", "fetch"), ("features",))


@pytest.fixture
def help_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Help:
    """Lines that a command prints on stdout, with exit code 0 and nothing on stderr."""
    monkeypatch.setenv("COLUMNS", "80")

    def printed(*words: str) -> list[str]:
        assert main(list(words)) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out.splitlines()

    return printed


def listed(lines: list[str]) -> dict[str, str]:
    """Verbs of a group and the lines about them."""
    commands = lines[lines.index("Commands:") + 1 :]
    return dict(line.strip().split(maxsplit=1) for line in commands)


def every_verb(help_of: Help) -> list[tuple[str, ...]]:
    """All groups and verbs, found by following the lists of the groups."""
    found, waiting = [], [()]
    while waiting:
        path = waiting.pop()
        found.append(path)
        lines = help_of(*path, "--help")
        if "Commands:" in lines:
            waiting += [(*path, name) for name in listed(lines)]
    return sorted(found)


def test_every_group_is_known(help_of: Help) -> None:
    found = every_verb(help_of)
    assert set(GROUPS) < set(found)
    assert ("data", "fetch", "databento") in found
    assert len(found) > 30


def test_every_help_fits_80_columns(help_of: Help) -> None:
    for path in every_verb(help_of):
        for line in help_of(*path, "--help"):
            assert len(line) <= 80, (path, line)


def test_h_is_help(help_of: Help) -> None:
    for path in every_verb(help_of):
        assert help_of(*path, "-h") == help_of(*path, "--help")


def test_lines_of_the_overviews_are_whole(help_of: Help) -> None:
    for path in GROUPS:
        for name, text in listed(help_of(*path, "--help")).items():
            assert text.endswith("."), (name, text)
            assert not text.endswith(("...", "…")), (name, text)


def test_a_group_without_a_verb_prints_its_help(help_of: Help) -> None:
    for path in GROUPS:
        assert help_of(*path) == help_of(*path, "--help")


def test_every_argument_and_option_has_a_text_and_a_plain_placeholder(help_of: Help) -> None:
    for path in every_verb(help_of):
        lines = help_of(*path, "--help")
        usage = lines[0].removeprefix(f"Usage: {' '.join(('rl-intraday', *path))} ")
        assert re.fullmatch(r"[A-Z_\[\]. ]+", usage), lines[0]
        assert not any("<" in line for line in lines), path
        for number, line in enumerate(lines):
            if line.startswith(("  -", "  --")):
                name, _, text = line.strip().partition("  ")
                assert re.fullmatch(r"[-a-z, /]+( [A-Z_-]+(=VALUE)?| [a-z]+(\|[a-z]+)+)?", name), (path, line)
                assert text.strip() or lines[number + 1].startswith(" " * 10), (path, line)


def test_every_verb_has_an_example_that_starts_with_its_name(help_of: Help) -> None:
    for path in every_verb(help_of):
        lines = help_of(*path, "--help")
        if "Commands:" not in lines:
            shown = [line for line in lines if line.startswith(f"    {' '.join(('rl-intraday', *path))}")]
            assert shown, path


def test_version_needs_no_verb(help_of: Help) -> None:
    [line] = help_of("--version")
    assert re.fullmatch(r"rl-intraday \d+\.\d+\.\d+.*", line)

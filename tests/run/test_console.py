"""What is printed is shown whole: no text is taken for rich's markup or for the name of an emoji."""

from pathlib import Path

import pytest
from rich.table import Table

from run.cli import main
from run.console import print_error, print_result, progress_bar, report

PATH = "data[bench]/[red]bars[/red]/:memo:.csv"


def table() -> Table:
    made = Table("[bold]column[/bold]", title="[bench] table", box=None)
    made.add_row(PATH)
    return made


def test_errors_and_messages_show_text_in_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(f"{PATH} is missing,\n try again")
    report(PATH)
    report(PATH, label="[warning]", style="yellow")
    report(table())
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[:3] == [f"error: {PATH} is missing, try again", PATH, f"[warning] {PATH}"]
    assert [line.strip() for line in lines[3:]] == ["[bench] table", "[bold]column[/bold]", PATH]


def test_results_show_text_in_brackets_and_are_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(PATH * 9)
    print_result(table())
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == PATH * 9
    assert [line.strip() for line in lines[1:]] == ["[bench] table", "[bold]column[/bold]", PATH]


def test_a_progress_bar_prints_nothing_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress_bar([1, 2], "[bench]")) == [1, 2]
    assert capsys.readouterr().err.strip() == ""


def test_a_refused_path_is_named_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "run[bench]"
    assert main(["resume", str(missing)]) == 2
    assert str(missing) in capsys.readouterr().err

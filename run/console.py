"""The one place that prints: results on stdout, everything else on stderr, every text exactly as it is.

Nothing printed here is read as rich's markup, so ``[bench]`` in a path or a reason stays. Colour is given by ``label``
and ``style``, or by a `rich.text.Text` made on purpose.
"""

import json
from collections.abc import Iterable
from typing import Any

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

WIDTH = 120  # columns where standard output is no terminal

messages = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


def report(shown: RenderableType = "", *, label: str = "", style: str = "") -> None:
    """Print a line, or a table, for people on stderr.

    Parameters
    ----------
    shown : str, Text or Table
        A string is printed as it is.
    label : str
        First words of the line, in ``style``: ``report("no volume", label="warning:", style="yellow")``.
    style : str
        Colour of the label, bold by default; of the whole line if there is no label.
    """
    if label:
        messages.print(Text.assemble((label, style or "bold"), " ", str(shown)))
    else:
        messages.print(shown, style=style or None)


def print_error(message: str, *, as_json: bool = False) -> None:
    """Print an error on stderr, on one line; also as ``{"error": …}`` on stdout for programs that read ``--json``."""
    line = " ".join(message.split())
    report(line, label="error:", style="bold red")
    if as_json:
        print_json({"error": line})


def print_result(shown: RenderableType) -> None:
    """Print a line, or a table, on stdout; lines are never wrapped."""
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print(shown, soft_wrap=not isinstance(shown, Table))


def print_json(content: dict[str, Any]) -> None:
    """Print the one JSON object of a ``--json`` run on stdout."""
    typer.echo(json.dumps(content, indent=2, default=str, allow_nan=False))


def progress_bar[T](items: Iterable[T], title: str, total: int | None = None) -> Iterable[T]:
    """Items one by one, with a bar on stderr while it is a terminal."""
    from rich.progress import track

    return track(items, title, total=total, console=messages, transient=True, disable=not messages.is_terminal)

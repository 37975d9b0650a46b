"""How every verb shows its help: bare placeholders, defaults in one style, no line cut inside a name."""

import inspect
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from catalogs.errors import InputError

DAY = "YYYY-MM-DD"  # placeholder of every option that takes a day

_FACTS = re.compile(r"  \[(?P<facts>[^\[\]]*)\]$")  # typer's own end of a help text: "  [default: 1; x>=0]"
_RANGES = ((re.compile(r"(\S+)<=x<=(\S+)"), r"\1 to \2"), (re.compile(r"x>=(\S+)"), r"at least \1"))
_NUMBER = re.compile(r"<(?:int|float)(?: range)?>")
_CHOICE = re.compile(r"<([^<>]+)>")
_HYPHEN = "\ue000"  # stands for a hyphen while lines are wrapped, so that none is cut at it


class VerbCommand(TyperCommand):
    """A verb; its days, where it takes some, must be in order."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """``[OPTIONS]``, then the arguments, optional ones in brackets."""
        arguments = [param for param in self.get_params(ctx) if param.param_type_name == "argument"]
        pieces = [_name(param) if param.required else f"[{_name(param)}]" for param in arguments]
        many = ["..." if param.nargs != 1 else "" for param in arguments]
        return ["[OPTIONS]", *(piece + dots for piece, dots in zip(pieces, many, strict=True))]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write the text above the lists."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(inspect.cleandoc(self.help or "").replace("-", _HYPHEN))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the lists of arguments and options."""
        for kind in ("argument", "option"):
            rows = [_row(param, ctx) for param in self.get_params(ctx) if param.param_type_name == kind]
            if rows:
                with formatter.section(f"{kind.title()}s"):
                    formatter.write_dl(rows)

    def get_help(self, ctx: Any) -> str:
        """The whole help."""
        return super().get_help(ctx).replace(_HYPHEN, "-")

    def invoke(self, ctx: Any) -> Any:
        """Run the verb.

        Raises
        ------
        InputError
            If ``--end`` is before ``--start``, or a path goes through a file or is a file where a folder is meant.
        """
        for param in self.params:
            _check_path(param, ctx.params.get(param.name))
        start, end = ctx.params.get("start"), ctx.params.get("end")
        if isinstance(start, datetime) and isinstance(end, datetime) and end < start:
            raise InputError(f"--end must not be before --start ({start.date()}), was {end.date()}")
        return super().invoke(ctx)


class VerbGroup(typer.Typer):
    """A group of verbs, which prints its help where no verb is named."""

    def __init__(self, help: str) -> None:
        super().__init__(callback=_help_without_verb, invoke_without_command=True, help=help)

    def command(self, name: str | None = None, **settings: Any) -> Any:
        """Register a function as a verb."""
        return super().command(name, cls=VerbCommand, **settings)


def shown_name(param: Any) -> str:
    """An option as ``--start``, an argument as ``BUNDLE``."""
    return max(param.opts, key=len) if param.param_type_name == "option" else _name(param)


def print_help(context: typer.Context) -> None:
    """Print the help of a group that was called without a verb, and stop."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


def _help_without_verb(context: typer.Context) -> None:
    print_help(context)


def _check_path(param: Any, given: Any) -> None:
    # Asked before anything is read or fetched; what a path holds is for the verb to say.
    for path in given if isinstance(given, list) else [given]:
        if not isinstance(path, Path):
            continue
        if through := next((parent for parent in path.parents if parent.exists() and not parent.is_dir()), None):
            raise InputError(f"{shown_name(param)} {path}: {through} is a file, not a folder")
        if param.metavar == "FOLDER" and path.exists() and not path.is_dir():
            raise InputError(f"{shown_name(param)} must be a folder, {path} is a file")
        if param.metavar == "FILE" and path.is_dir():
            raise InputError(f"{shown_name(param)} must be a file, {path} is a folder")


def _name(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _row(param: Any, context: Any) -> tuple[str, str]:
    name, help = param.get_help_record(context)
    if param.param_type_name == "argument":
        name = _name(param) + ("..." if param.nargs != 1 else "")
    name = _CHOICE.sub(r"\1", _NUMBER.sub("N", name))
    return name, _with_facts(help).replace("-", _HYPHEN)


def _with_facts(help: str) -> str:
    found = _FACTS.search(help)
    if found is None:
        return help
    text, facts = help[: found.start()].rstrip("."), found["facts"]
    for pattern, words in _RANGES:
        facts = pattern.sub(words, facts)
    if text.endswith(")") and "(default:" in text:
        return f"{text[:-1]}; {facts})."
    return f"{text} ({facts})."

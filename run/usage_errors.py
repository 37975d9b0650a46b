"""Errors of the words on the command line: the option, its rule and the value, on one line."""

import re
from typing import Any

import typer

from run.verb import DAY, shown_name

_CHOICES = re.compile(r".* is not one of (?P<names>.+)\.")
_RULES = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:g} or less",
}


def explain_usage(error: typer.TyperException) -> str:
    """Message of an error that typer found in the words of the command line.

    Examples
    --------
    >>> explain_usage(typer.BadParameter("must be even"))
    'Invalid value: must be even'
    """
    param = getattr(error, "param", None)
    if param is None:
        return error.format_message()
    if hasattr(error, "param_type"):  # only errors of missing words have it
        return _missing(param)
    found: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    return _refused(param, found[0]) if found else f"{shown_name(param)}: {error.message}"


def _missing(param: Any) -> str:
    text = str(param.help).removesuffix(".")
    text = text if text[1:2].isupper() else text[:1].lower() + text[1:]
    if param.param_type_name == "option":
        return f"{shown_name(param)} is missing: {text}"
    return f"name the {shown_name(param).lower().replace('_', ' ')}: {text}"


def _refused(param: Any, found: dict[str, Any]) -> str:
    name, given = shown_name(param), found["input"]
    said = str(found["msg"]).removeprefix("Value error, ")
    if param.metavar == DAY:
        return f"{name} must be a day such as 2025-01-31, was {given!r}"
    if choices := _CHOICES.fullmatch(said):
        *names, last = choices["names"].replace("'", "").split(", ")
        return f"{name} must be {', '.join(names)} or {last}, was {given!r}"
    if found["type"] in _RULES:
        rule = _RULES[found["type"]].format(**found.get("ctx", {}))
        return f"{name} {rule}, was {_number_or_quoted(given)}"
    return f"{name}: {said}, was {given!r}"


def _number_or_quoted(given: Any) -> str:
    try:
        float(given)
    except ValueError:
        return repr(given)
    return str(given)

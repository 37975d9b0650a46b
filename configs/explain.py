"""Errors of a configuration file in the words of the file: its keys, not the schema's classes."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_AT = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`")
_MISSING = re.compile(r"Object missing required field `(.+)`")
_TYPE = re.compile(r"Expected `(.+)`, got `(.+)`")
_WORDS = {"object": "mapping", "array": "list", "null": "empty"}
_OURS = re.compile("|".join(_WORDS))


def explain(error: Exception) -> str:
    """Message of a msgspec error, with the key that it is about.

    Examples
    --------
    >>> explain(ValueError("Object contains unknown field `lots` - at `$.trading`"))
    'unknown key trading.lots'
    >>> explain(ValueError("Expected `int`, got `str` - at `$.seed`"))
    'seed must be int, was str'
    >>> explain(ValueError("Expected `object`, got `array` - at `$.trading`"))
    'trading must be mapping, was list'
    >>> explain(ValueError("units must be above 0, was 0 - at `$.trading`"))
    'trading: units must be above 0, was 0'
    """
    found = _AT.fullmatch(" ".join(str(error).split()))
    assert found is not None
    what, path = found["what"], found["path"] or ""
    if key := _UNKNOWN.fullmatch(what):
        return f"unknown key {_joined(path, key[1])}"
    if key := _MISSING.fullmatch(what):
        return f"key {_joined(path, key[1])} is missing"
    if types := _TYPE.fullmatch(what):
        expected, found_type = (_OURS.sub(lambda word: _WORDS[word[0]], name) for name in types.groups())
        return f"{path or 'content'} must be {expected}, was {found_type}"
    return f"{path}: {what}" if path and not what.startswith(f"{path}.") else what


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End of an error about an unknown name: the nearest known one, or nothing.

    Examples
    --------
    >>> did_you_mean("fulll", ["default", "full"])
    "; did you mean 'full'?"
    """
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key

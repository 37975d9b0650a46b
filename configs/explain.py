"""Errors of a configuration file in the words of the file: its keys, not the schema's classes."""

import re

_AT = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`")
_MISSING = re.compile(r"Object missing required field `(.+)`")
_TYPE = re.compile(r"Expected `(.+)`, got `(.+)`")


def explain(error: Exception) -> str:
    """Message of a msgspec error, with the key that it is about.

    Examples
    --------
    >>> explain(ValueError("Object contains unknown field `lots` - at `$.trading`"))
    'unknown key trading.lots'
    >>> explain(ValueError("Expected `int`, got `str` - at `$.seed`"))
    'seed must be int, was str'
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
        return f"{path or 'content'} must be {types[1]}, was {types[2]}"
    return f"{path}: {what}" if path else what


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key

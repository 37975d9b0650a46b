"""Errors of a configuration file in the words of the file: its keys, not the schema's classes."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import msgspec

_AT = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`")
_MISSING = re.compile(r"Object missing required field `(.+)`")
_CHOICE = re.compile(r"Invalid enum value (.+)")
_TYPE = re.compile(r"Expected `(.+)`, got `(.+)`")
_KEY = re.compile(r"[^.\[]+|\[[^]]*\]")
QUOTES = "'\""
_WORDS = {"object": "mapping", "array": "list", "null": "empty"}
_OURS = re.compile("|".join(_WORDS))


def explain(error: Exception, schema: Any = None) -> str:
    """Message of a msgspec error, with the key that it is about.

    Parameters
    ----------
    error : Exception
    schema : type, optional
        Struct that was read, to name the values that a key allows.

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
        return f"{path or 'content'} must be {_listed(schema, path) or expected}, was {found_type}"
    if (choice := _CHOICE.fullmatch(what)) and (allowed := _listed(schema, path)):
        return f"{path} must be {allowed}, was {choice[1].strip(QUOTES)}"
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


def _listed(schema: Any, path: str) -> str:
    *names, last = [str(value) for value in _choices(schema, path)] or [""]
    return f"{', '.join(names)} or {last}" if names else last


def _choices(schema: Any, path: str) -> tuple[Any, ...]:
    found = [] if schema is None else [msgspec.inspect.type_info(schema)]
    for key in _KEY.findall(path):
        found = [inner for each in found for inner in _inside(each, key)]
    kinds = [
        inner for each in found for inner in (each.types if isinstance(each, msgspec.inspect.UnionType) else [each])
    ]
    return next((kind.values for kind in kinds if isinstance(kind, msgspec.inspect.LiteralType)), ())


def _inside(kind: msgspec.inspect.Type, key: str) -> list[msgspec.inspect.Type]:
    match kind:
        case msgspec.inspect.UnionType(types=types):
            return [inner for each in types for inner in _inside(each, key)]
        case msgspec.inspect.StructType(fields=fields):
            return [field.type for field in fields if field.encode_name == key]
        case msgspec.inspect.ListType(item_type=inner) | msgspec.inspect.VarTupleType(item_type=inner):
            return [inner] if key.startswith("[") else []
        case msgspec.inspect.DictType(value_type=inner):
            return [inner]
    return []


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key

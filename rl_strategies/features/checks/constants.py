"""Constants of feature code that were computed when its file was imported: from a file, from data or by chance.

Such a value carries what the whole history knew into every row, and no check on a recording can see it: it is the same
before and after every cut. So a constant must follow from the text of the code alone.
"""

import ast
import functools
import inspect
import math
import operator
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from importlib.util import resolve_name
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from catalogs.errors import InputError
from rl_strategies.features.kernel import Kernel, Part, Window
from rl_strategies.features.source_hash import functions_used, values_used

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_CALLS: dict[str, Callable[..., Any]] = {"int": int, "float": float, "abs": abs, "min": min, "max": max, "round": round}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class _ComputedError(Exception):
    """The value does not follow from the text alone."""


def check_constants(kernels: Iterable[Kernel]) -> None:
    """Refuse kernels that use a value which is no literal.

    Allowed are numbers and texts, arithmetic on them, ``math``, and other such constants, also imported ones.

    Parameters
    ----------
    kernels : iterable of Kernel
        Checked with everything that they call.

    Raises
    ------
    InputError
        If a constant, the default of a parameter or a number of a part was computed, is set in more than one place, or
        is not what its text says.
    """
    for kernel in kernels:
        for function, name, value, expression in _values(kernel):
            if not _follows(sys.modules[function.__module__], expression, value):
                raise InputError(_refusal(kernel, function, name, value))


def _values(kernel: Kernel) -> Iterator[tuple[FunctionType, str, Any, ast.expr | None]]:
    # The function, the name, the value in use, and where the text says it; None where it does not.
    lengths = [part.rows for part in kernel.parts.values() if isinstance(part, Window) and callable(part.rows)]
    for function in (*functions_used(kernel.function), *(each for each in lengths if isinstance(each, FunctionType))):
        yield from ((function, *found) for found in _constants(function))
    for function in functions_used(kernel.function):
        yield from ((function, *found) for found in _defaults(function))
    yield from ((functions_used(kernel.function)[0], *found) for found in _numbers_of_parts(kernel))


def _constants(function: FunctionType) -> Iterator[tuple[str, Any, ast.expr | None]]:
    # What an enclosing function binds is never a literal of the file.
    enclosing = inspect.getclosurevars(function).nonlocals
    for name, value in values_used(function).items():
        yield name, value, None if name in enclosing else ast.Name(name, ast.Load())


def _defaults(function: FunctionType) -> Iterator[tuple[str, Any, ast.expr | None]]:
    definition = _definition(function)
    values = {name: p.default for name, p in inspect.signature(function).parameters.items() if p.default is not p.empty}
    written = definition.args
    last = [argument.arg for argument in (*written.posonlyargs, *written.args)][-len(written.defaults) :]
    expressions = dict(zip(last, written.defaults, strict=False))
    expressions |= {a.arg: d for a, d in zip(written.kwonlyargs, written.kw_defaults, strict=True) if d is not None}
    yield from ((name, value, expressions.get(name)) for name, value in values.items())


def _numbers_of_parts(kernel: Kernel) -> Iterator[tuple[str, Any, ast.expr | None]]:
    calls = [each for each in _definition(kernel.function).decorator_list if isinstance(each, ast.Call)]
    parts = [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "parts"]
    written = _items(parts[0] if parts else None)
    for name, part in kernel.parts.items():
        if isinstance(part, Part):
            params = _items(_argument(written.get(name), 1, "params"))
            numbers = ((key, value) for key, value in part.params.items() if not isinstance(value, str))
            yield from ((f"{name}.{key}", value, params.get(key)) for key, value in numbers)
        elif isinstance(part.rows, int):
            yield f"{name}.rows", part.rows, _argument(written.get(name), 2, "rows")


def _items(node: ast.expr | None) -> dict[str, ast.expr]:
    if not isinstance(node, ast.Dict):
        return {}
    pairs = zip(node.keys, node.values, strict=True)
    return {str(key.value): value for key, value in pairs if isinstance(key, ast.Constant)}


def _argument(call: ast.expr | None, place: int, name: str) -> ast.expr | None:
    if not isinstance(call, ast.Call):
        return None
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    return call.args[place] if len(call.args) > place else named.get(name)


def _definition(function: Callable[..., Any]) -> ast.FunctionDef:
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(definition, ast.FunctionDef)  # hashing the function has refused everything else
    return definition


def _follows(module: ModuleType, expression: ast.expr | None, value: Any) -> bool:
    if expression is None:
        return False
    try:
        said = _evaluated(module, expression)
    except (_ComputedError, ArithmeticError, AttributeError, TypeError, ValueError):
        return False
    return bool(said == value or (said != said and value != value))  # or both NaN


def _evaluated(module: ModuleType, node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _of_module(module, name)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluated(module, operand))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluated(module, left), _evaluated(module, right))
        case ast.Attribute(value=ast.Name(id=name), attr=attribute):
            return _of_library(vars(module).get(name), attribute)
        case ast.Call(func=function, args=arguments, keywords=[]):
            return _called(module, function)(*(_evaluated(module, argument) for argument in arguments))
    raise _ComputedError


def _of_module(module: ModuleType, name: str) -> Any:
    tree = _tree(inspect.getsource(module))
    bindings = [node for node in _run_at_import(tree) if name in _bound(node)]
    match bindings:
        case [ast.ImportFrom() as binding]:
            [source] = [alias.name for alias in binding.names if (alias.asname or alias.name) == name]
            origin = sys.modules[resolve_name("." * binding.level + (binding.module or ""), module.__package__)]
            return _of_library(origin, source) if origin in (math, np) else _of_module(origin, source)
        case [ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value)] if bindings[0] in tree.body:
            return _evaluated(module, value)
    raise _ComputedError


def _of_library(library: Any, attribute: str) -> float:
    value = getattr(library, attribute) if library in (math, np) else None
    if type(value) is not float:
        raise _ComputedError
    return value


def _called(module: ModuleType, function: ast.expr) -> Callable[..., Any]:
    match function:
        case ast.Name(id=name) if name in _CALLS and name not in vars(module):
            return _CALLS[name]
        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if vars(module).get(name) is math:
            called: Callable[..., Any] = getattr(math, attribute)
            return called
    raise _ComputedError


def _run_at_import(tree: ast.AST) -> Iterator[ast.AST]:
    # Of functions only what they declare global: it can be set from there.
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, _FUNCTIONS):
            yield from (inner for inner in ast.walk(node) if isinstance(inner, ast.Global))
        else:
            yield node
            yield from _run_at_import(node)


def _bound(node: ast.AST) -> set[str]:
    match node:
        case ast.Global(names=names):
            return set(names)
        case ast.ImportFrom(names=aliases) | ast.Import(names=aliases):
            return {alias.asname or alias.name for alias in aliases}
        case ast.Assign(targets=[*targets]):
            return {name for target in targets for name in _stored(target)}
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target) | ast.NamedExpr(target=target):
            return _stored(target)
        case ast.For(target=target):
            return _stored(target)
        case ast.withitem(optional_vars=ast.expr() as target):
            return _stored(target)
    return set()


def _stored(target: ast.expr) -> set[str]:
    return {each.id for each in ast.walk(target) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


@functools.cache
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


def _refusal(kernel: Kernel, function: FunctionType, name: str, value: Any) -> str:
    file = function.__code__.co_filename.rpartition("/")[2]
    return (
        f"feature {kernel.kind!r}: {name} of {file} must be a literal or arithmetic on literals, as what is computed "
        f"at import may know the future; was {value!r}"
    )

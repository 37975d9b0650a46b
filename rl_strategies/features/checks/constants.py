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
from rl_strategies.features.kernel import Kernel
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
        If a constant or the default of a parameter was computed, is set in more than one place, or is not what its text
        says.
    """
    for kernel in kernels:
        for function in functions_used(kernel.function):
            for name, value, expression in (*_constants(function), *_defaults(function)):
                if not _follows(sys.modules[function.__module__], expression, value):
                    raise InputError(_refusal(kernel, function, name, value))


def _constants(function: FunctionType) -> Iterator[tuple[str, Any, ast.expr | None]]:
    # What an enclosing function binds is never a literal of the file.
    enclosing = inspect.getclosurevars(function).nonlocals
    for name, value in values_used(function).items():
        yield name, value, None if name in enclosing else ast.Name(name, ast.Load())


def _defaults(function: FunctionType) -> Iterator[tuple[str, Any, ast.expr | None]]:
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(definition, ast.FunctionDef)  # hashing the function has refused everything else
    values = {name: p.default for name, p in inspect.signature(function).parameters.items() if p.default is not p.empty}
    written = definition.args
    last = [argument.arg for argument in (*written.posonlyargs, *written.args)][-len(written.defaults) :]
    expressions = dict(zip(last, written.defaults, strict=False))
    expressions |= {a.arg: d for a, d in zip(written.kwonlyargs, written.kw_defaults, strict=True) if d is not None}
    yield from ((name, value, expressions.get(name)) for name, value in values.items())


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

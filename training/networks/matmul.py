"""Products of matrices whose sums stay in registers: what an LSTM on a CPU spends its time on.

The products of a recurrent layer are small, one per step, and general libraries reach half of what the processor can
do on them. Here a tile of the result, `TILE_ROWS` by `PANEL`, is held in vector registers while the whole depth passes
by. The tile is written in the compiler's own vector operations, since no loop is turned into them reliably.
"""

from typing import Any, Final

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from catalogs.compiled import inlined

_VECTOR: Final = 16 if llvm.get_host_cpu_features().get("avx512f") else 8  # float32 values in a register
_VECTORS: Final = 2
PANEL: Final = _VECTOR * _VECTORS
# As many rows as registers hold sums of: 32 registers, or 16 of them.
TILE_ROWS: Final = 8 if _VECTOR == 16 else 6


def panels(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """A matrix float32[depth, columns] as `product` reads it: float32[panels, depth, PANEL], zeros at the end."""
    depth, columns = weight.shape
    wide = np.zeros((depth, padded(columns)), np.float32)
    wide[:, :columns] = weight
    return np.ascontiguousarray(wide.reshape(depth, wide.shape[1] // PANEL, PANEL).swapaxes(0, 1))


def padded(columns: int) -> int:
    """The next multiple of `PANEL`."""
    return -(-columns // PANEL) * PANEL


def _tile(rows: int) -> Any:
    @intrinsic
    def tile(context, out, left, right, add):  # type: ignore[no-untyped-def]
        signature = types.void(out, left, right, add)

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            out, left, right = (_Matrix(context, builder, signature.args[k], arguments[k]) for k in range(3))
            _emit(builder, rows, out, left, right, arguments[3])
            return context.get_dummy_value()

        return signature, generate

    return tile


class _Matrix:
    # Where the elements of an array with two axes lie.

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self._builder = builder
        self._data = builder.ptrtoint(array.data, _I64)
        self._strides = cgutils.unpack_tuple(builder, array.strides, 2)
        self.depth = cgutils.unpack_tuple(builder, array.shape, 2)[1]

    def address(self, row: Any, column: Any, kind: Any) -> Any:
        at = self._data
        for place, stride in zip((row, column), self._strides, strict=True):
            at = self._builder.add(at, self._builder.mul(place, stride))
        return self._builder.inttoptr(at, kind.as_pointer())


_I32, _I64, _F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()
_LANES = ir.VectorType(_F32, _VECTOR)


def _emit(builder: Any, rows: int, out: _Matrix, left: _Matrix, right: _Matrix, add: Any) -> None:
    # out[:rows, :PANEL] = (out if add else 0) + left[:rows] @ right
    fma = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_LANES, [_LANES] * 3), f"llvm.fmuladd.v{_VECTOR}f32"
    )
    places = [(i, j * _VECTOR) for i in range(rows) for j in range(_VECTORS)]
    outs = [out.address(_I64(i), _I64(j), _LANES) for i, j in places]
    with builder.if_else(add) as (then, otherwise):
        with then:
            given, from_given = [builder.load(at, align=4) for at in outs], builder.block
        with otherwise:
            from_nothing = builder.block
    nothing = ir.Constant(_LANES, [0.0] * _VECTOR)
    first = []
    for value in given:
        sums = builder.phi(_LANES)
        sums.add_incoming(value, from_given)
        sums.add_incoming(nothing, from_nothing)
        first.append(sums)
    before = builder.block
    head, body, done = (builder.append_basic_block(name) for name in ("depth", "product", "store"))
    builder.branch(head)
    builder.position_at_end(head)
    k, sums = builder.phi(_I64), [builder.phi(_LANES) for _ in places]
    builder.cbranch(builder.icmp_signed("<", k, left.depth), body, done)
    builder.position_at_end(body)
    row = [builder.load(right.address(k, _I64(j * _VECTOR), _LANES), align=4) for j in range(_VECTORS)]
    column = [_spread(builder, builder.load(left.address(_I64(i), k, _F32))) for i in range(rows)]
    after = [builder.call(fma, [column[i], row[j // _VECTOR], sums[n]]) for n, (i, j) in enumerate(places)]
    following = builder.add(k, _I64(1))
    builder.branch(head)
    for value, start, end in zip([k, *sums], [_I64(0), *first], [following, *after], strict=True):
        value.add_incoming(start, before)
        value.add_incoming(end, body)
    builder.position_at_end(done)
    for value, at in zip(sums, outs, strict=True):
        builder.store(value, at, align=4)


def _spread(builder: Any, value: Any) -> Any:
    nothing = ir.Constant(_LANES, ir.Undefined)
    one = builder.insert_element(nothing, value, _I32(0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(_I32, _VECTOR), [0] * _VECTOR))


_one, _two, _three, _four, _five, _six, _seven, _eight = (_tile(rows) for rows in range(1, 9))


@inlined
def product(out, left, right, add):  # type: ignore[no-untyped-def]
    """``out = left @ right``, or ``out += left @ right`` if ``add``.

    ``out`` float32[rows, panels * PANEL] with columns side by side; ``left`` float32[rows, depth], any strides;
    ``right`` float32[panels, depth, PANEL] with columns side by side. Sums run in the order of the depth, fused.
    """
    for p in range(right.shape[0]):
        _column(out[:, p * PANEL :], left, right[p], add)


@inlined
def product_of_rows(out, left, right, add):  # type: ignore[no-untyped-def]
    """As `product`, but of ``right`` as it lies: float32[depth, panels * PANEL]."""
    for p in range(right.shape[1] // PANEL):
        _column(out[:, p * PANEL :], left, right[:, p * PANEL :], add)


@inlined
def _column(out, left, panel, add):  # type: ignore[no-untyped-def]
    for i in range(0, left.shape[0], TILE_ROWS):
        _rows(left.shape[0] - i, out[i:], left[i:], panel, add)


@inlined
def _rows(count, out, left, right, add):  # type: ignore[no-untyped-def]
    if count >= TILE_ROWS:
        if TILE_ROWS == 8:
            _eight(out, left, right, add)
        else:
            _six(out, left, right, add)
    elif count == 7:
        _seven(out, left, right, add)
    elif count == 6:
        _six(out, left, right, add)
    elif count == 5:
        _five(out, left, right, add)
    elif count == 4:
        _four(out, left, right, add)
    elif count == 3:
        _three(out, left, right, add)
    elif count == 2:
        _two(out, left, right, add)
    else:
        _one(out, left, right, add)

"""Matrix products whose sums stay in registers: where an LSTM on a CPU spends its time.

A recurrent layer multiplies one small matrix per step, and general libraries reach half of what the processor can do
on those. Here a block of the result, `BLOCK_ROWS` by `PANEL`, stays in vector registers over the whole depth of the
sum, and the right-hand matrix is packed into panels of that width. The block is written in LLVM's vector operations,
because no loop was reliably compiled to them.
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
# As many rows as fit into the 32 (AVX-512) or 16 vector registers.
BLOCK_ROWS: Final = 8 if _VECTOR == 16 else 6


def pack_panels(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pack a matrix float32[depth, columns] for `matmul`: float32[panels, depth, PANEL], zero-padded at the end."""
    depth, columns = weight.shape
    wide = np.zeros((depth, padded(columns)), np.float32)
    wide[:, :columns] = weight
    return np.ascontiguousarray(wide.reshape(depth, wide.shape[1] // PANEL, PANEL).swapaxes(0, 1))


def padded(columns: int) -> int:
    """``columns`` rounded up to a multiple of `PANEL`."""
    return -(-columns // PANEL) * PANEL


def _block(rows: int) -> Any:
    @intrinsic
    def block(context, out, left, right, add):  # type: ignore[no-untyped-def]
        signature = types.void(out, left, right, add)

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            out, left, right = (_Matrix(context, builder, signature.args[k], arguments[k]) for k in range(3))
            _emit(builder, rows, out, left, right, arguments[3])
            return context.get_dummy_value()

        return signature, generate

    return block


class _Matrix:
    # Addresses of the elements of a two-dimensional array.

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
_VECTOR_TYPE = ir.VectorType(_F32, _VECTOR)


def _emit(builder: Any, rows: int, out: _Matrix, left: _Matrix, right: _Matrix, add: Any) -> None:
    # out[:rows, :PANEL] = (out if add else 0) + left[:rows] @ right
    fma = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_VECTOR_TYPE, [_VECTOR_TYPE] * 3), f"llvm.fmuladd.v{_VECTOR}f32"
    )
    places = [(i, j * _VECTOR) for i in range(rows) for j in range(_VECTORS)]
    outs = [out.address(_I64(i), _I64(j), _VECTOR_TYPE) for i, j in places]
    with builder.if_else(add) as (then, otherwise):
        with then:
            given, from_given = [builder.load(at, align=4) for at in outs], builder.block
        with otherwise:
            from_nothing = builder.block
    nothing = ir.Constant(_VECTOR_TYPE, [0.0] * _VECTOR)
    first = []
    for value in given:
        sums = builder.phi(_VECTOR_TYPE)
        sums.add_incoming(value, from_given)
        sums.add_incoming(nothing, from_nothing)
        first.append(sums)
    before = builder.block
    head, body, done = (builder.append_basic_block(name) for name in ("depth", "product", "store"))
    builder.branch(head)
    builder.position_at_end(head)
    k, sums = builder.phi(_I64), [builder.phi(_VECTOR_TYPE) for _ in places]
    builder.cbranch(builder.icmp_signed("<", k, left.depth), body, done)
    builder.position_at_end(body)
    row = [builder.load(right.address(k, _I64(j * _VECTOR), _VECTOR_TYPE), align=4) for j in range(_VECTORS)]
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
    nothing = ir.Constant(_VECTOR_TYPE, ir.Undefined)
    one = builder.insert_element(nothing, value, _I32(0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(_I32, _VECTOR), [0] * _VECTOR))


_one, _two, _three, _four, _five, _six, _seven, _eight = (_block(rows) for rows in range(1, 9))


@inlined
def matmul(out, left, right, add):  # type: ignore[no-untyped-def]
    """``out = left @ right``, or ``out += left @ right`` if ``add``.

    ``out`` float32[rows, panels * PANEL] with columns side by side; ``left`` float32[rows, depth], any strides;
    ``right`` float32[panels, depth, PANEL] with columns side by side. Sums run along the depth, multiply-add fused.
    """
    for p in range(right.shape[0]):
        _column(out[:, p * PANEL :], left, right[p], add)


@inlined
def matmul_unpacked(out, left, right, add):  # type: ignore[no-untyped-def]
    """As `matmul`, but of an unpacked ``right``, float32[depth, panels * PANEL]."""
    for p in range(right.shape[1] // PANEL):
        _column(out[:, p * PANEL :], left, right[:, p * PANEL :], add)


@inlined
def _column(out, left, panel, add):  # type: ignore[no-untyped-def]
    for i in range(0, left.shape[0], BLOCK_ROWS):
        _rows(left.shape[0] - i, out[i:], left[i:], panel, add)


@inlined
def _rows(count, out, left, right, add):  # type: ignore[no-untyped-def]
    if count >= BLOCK_ROWS:
        if BLOCK_ROWS == 8:
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

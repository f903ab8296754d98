"""Convolution and pooling over images, (…, height, width, channels)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from neurograph.compiler.operations.table import Operation, lead_dims, register
from neurograph.compiler.program import Dim, Program, Ref, Statement

if TYPE_CHECKING:
    from neurograph.compiler.backward import Backward
    from neurograph.compiler.emit import Emitter
    from neurograph.kernels.geometry import Geometry2D


def _images(e: Emitter, ref: Ref, shape: tuple[int, int, int]) -> tuple[str, int]:
    """Return an operand as (images, height, width, channels), and how many images."""
    count = e.size(ref) // math.prod(shape)
    if e.shape(ref) == (count, *shape):
        return e.name(ref), count
    text = f"{e.name(ref)}.reshape({count}, {', '.join(map(str, shape))})"
    return (text if ref.offset is not None else e.alias(ref, "images", text)), count


def _workspace(e: Emitter, statement: Statement, kind: str, count: int, geometry: str = "") -> str:
    geometry = geometry or e.constant(statement.get("geometry"))
    return e.top(
        f"{geometry}_workspace", f"{kind}({geometry}, {count}, np.{e.dtype(statement.out)}, team)"
    )


# convolve: out (+)= convolution of x with a kernel (rows, columns, channels / groups, filters)


def _gradient_convolve(backward: Backward, statement: Statement) -> None:
    x, kernel = statement.inputs
    d_out, geometry = backward.of(statement.out), statement.get("geometry")
    if backward.wanted(kernel):
        backward.add("convolve_weights", backward.of(kernel), x, d_out, geometry=geometry)
    if backward.wanted(x):
        backward.add("convolve_inputs", backward.of(x), d_out, kernel, geometry=geometry)


def _emit_convolve(e: Emitter, statement: Statement) -> None:
    x, kernel = statement.inputs
    geometry: Geometry2D = e.constant_value(statement.get("geometry"))
    images, count = _images(e, x, geometry.in_shape)
    workspace = _workspace(e, statement, "ConvolutionWorkspace", count)
    out, _ = _images(e, statement.out, geometry.out_shape)
    target = e.scratch((count, *geometry.out_shape)) if statement.accumulate else out
    e.line(f"convolve({images}, {e.name(kernel)}, {target}, {workspace})")
    if statement.accumulate:
        e.line(f"np.add({out}, {target}, out={out})")


def _emit_convolve_weights(e: Emitter, statement: Statement) -> None:
    x, d = statement.inputs
    geometry: Geometry2D = e.constant_value(statement.get("geometry"))
    images, count = _images(e, x, geometry.in_shape)
    deltas, _ = _images(e, d, geometry.out_shape)
    workspace = _workspace(e, statement, "ConvolutionWorkspace", count)
    add = ", accumulate=True" if statement.accumulate else ""
    e.line(
        f"convolve_weight_gradient({images}, {deltas}, {e.name(statement.out)}, {workspace}{add})"
    )


def _emit_convolve_inputs(e: Emitter, statement: Statement) -> None:
    d, kernel = statement.inputs
    geometry: Geometry2D = e.constant_value(statement.get("geometry"))
    deltas, count = _images(e, d, geometry.out_shape)
    out, _ = _images(e, statement.out, geometry.in_shape)
    workspace = _workspace(e, statement, "ConvolutionWorkspace", count)
    add = ", accumulate=True" if statement.accumulate else ""
    e.line(f"convolve_input_gradient({deltas}, {e.name(kernel)}, {out}, {workspace}{add})")


def _flops(program: Program, statement: Statement, size: Callable[[tuple[Dim, ...]], int]) -> int:
    geometry: Geometry2D = program.constants[str(statement.get("geometry"))]
    array = program.arrays[
        statement.inputs[0].name if statement.op == "convolve_weights" else statement.out.name
    ]
    return geometry.flops * size(lead_dims(array))


register(Operation("convolve", _emit_convolve, _gradient_convolve, flops=_flops))
register(Operation("convolve_weights", _emit_convolve_weights, flops=_flops))
register(Operation("convolve_inputs", _emit_convolve_inputs, flops=_flops))


# pool: out = the largest or the mean of a window of one channel


def _gradient_pool(backward: Backward, statement: Statement) -> None:
    (x,) = statement.inputs
    if not backward.wanted(x):
        return
    d_out = backward.of(statement.out)
    kept = (x, statement.out) if statement.get("kind") == "max" else ()
    backward.add("pool_gradient", backward.of(x), d_out, *kept, given=dict(statement.attributes))


def _windows(e: Emitter, statement: Statement) -> tuple[str, Geometry2D]:
    """Return the geometry of a pooling. With the nodes first, a sample is a channel of its own."""
    name = e.constant(statement.get("geometry"))
    geometry: Geometry2D = e.constant_value(statement.get("geometry"))
    if not e.nodes_first(statement.out):
        return name, geometry
    height, width, channels = geometry.in_shape
    wide = channels * e.batch
    geometry = replace(geometry, in_shape=(height, width, wide), filters=wide, groups=wide)
    return e.top(f"{name}_of_rows", repr(geometry)), geometry


def _emit_pool(e: Emitter, statement: Statement) -> None:
    name, geometry = _windows(e, statement)
    images, count = _images(e, statement.inputs[0], geometry.in_shape)
    out, _ = _images(e, statement.out, geometry.out_shape)
    workspace = _workspace(e, statement, "PoolingWorkspace", count, name)
    kernel = {"max": "max_pool", "mean": "average_pool"}[statement.get("kind")]
    e.line(f"{kernel}({images}, {out}, {workspace})")


def _emit_pool_gradient(e: Emitter, statement: Statement) -> None:
    name, geometry = _windows(e, statement)
    d, *kept = statement.inputs
    deltas, count = _images(e, d, geometry.out_shape)
    d_x, _ = _images(e, statement.out, geometry.in_shape)
    workspace = _workspace(e, statement, "PoolingWorkspace", count, name)
    add = ", accumulate=True" if statement.accumulate else ""
    if statement.get("kind") == "max":
        x, _ = _images(e, kept[0], geometry.in_shape)
        out, _ = _images(e, kept[1], geometry.out_shape)
        e.line(f"max_pool_gradient({x}, {out}, {deltas}, {d_x}, {workspace}{add})")
    else:
        e.line(f"average_pool_gradient({deltas}, {d_x}, {workspace}{add})")


def _pool_flops(
    program: Program, statement: Statement, size: Callable[[tuple[Dim, ...]], int]
) -> int:
    geometry: Geometry2D = program.constants[str(statement.get("geometry"))]
    windows = math.prod(geometry.out_shape) * size(lead_dims(program.arrays[statement.out.name]))
    return windows * math.prod(geometry.kernel)


register(Operation("pool", _emit_pool, _gradient_pool, flops=_pool_flops))
register(Operation("pool_gradient", _emit_pool_gradient, flops=_pool_flops))

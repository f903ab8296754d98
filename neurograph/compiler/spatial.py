"""How convolution and pooling bundles are lowered."""

from __future__ import annotations

from neurograph.compiler.lower import BUNDLES, Lowering
from neurograph.compiler.program import Ref
from neurograph.graph.spatial import ConvolutionConnections, PoolingConnections


def _convolution(lowering: Lowering, bundle: ConvolutionConnections, net: Ref) -> None:
    geometry, builder = bundle.geometry, lowering.builder
    kernel = builder.reshape(lowering.parameter(bundle.parameter), geometry.kernel_shape)
    source = lowering.read(bundle.source, bundle.delay)
    x = lowering.reshaped(source, geometry.in_shape)
    out = lowering.reshaped(net, geometry.out_shape)
    name = builder.constant("convolution", geometry)
    rows, columns = geometry.kernel
    lowering.note(bundle, "convolve", f"windows of {rows}x{columns} share one kernel")
    if bundle.target.sequence and not bundle.source.sequence:
        once = builder.array(f"{bundle.target.name}_once", ("B", *geometry.out_shape))
        builder.emit("convolve", once, x, kernel, geometry=name)
        builder.emit("copy", out, once)
        return
    builder.emit("convolve", out, x, kernel, geometry=name)


def _pooling(lowering: Lowering, bundle: PoolingConnections, net: Ref) -> None:
    geometry, builder = bundle.geometry, lowering.builder
    source = lowering.read(bundle.source, bundle.delay)
    x = lowering.reshaped(source, geometry.in_shape)
    out = lowering.reshaped(net, geometry.out_shape)
    name = builder.constant("pooling", geometry)
    rows, columns = geometry.kernel
    kind = bundle.target.aggregation
    lowering.note(bundle, f"{kind} pool", f"windows of {rows}x{columns}")
    builder.emit("pool", out, x, accumulate=False, geometry=name, kind=kind)


BUNDLES[ConvolutionConnections] = _convolution
BUNDLES[PoolingConnections] = _pooling

"""How the plain bundles are lowered; spatial and temporal ones have files of their own."""

from __future__ import annotations

import numpy as np

from neurograph.compiler.lower import BUNDLES, Lowering
from neurograph.compiler.program import Ref
from neurograph.compiler.recognise import FULL, SMALL, padded
from neurograph.graph.bundles import BiasConnections, DenseConnections, OneToOneConnections

# A layer's product runs on its own layout, edges on that of nodes first: below this share of edges
# they win in spite of the transposes (784 to 1024 nodes, 128 samples: even at 6 %, 1.7 at 2 %).
THIN = 0.05


def _dense(lowering: Lowering, bundle: DenseConnections, net: Ref) -> None:
    builder = lowering.builder
    if bundle.source.role == "const" or (bundle.parameter is None and not _spreads(bundle)):
        lowering.irregular.add_bundle(bundle, net)
        return
    if bundle.parameter is None:
        out = lowering.reshaped(net, (bundle.positions, bundle.units))
        source = lowering.read(bundle.source, bundle.delay)
        x = lowering.reshaped(source, (bundle.positions,))
        lowering.note(bundle, "spread", "one node feeds a row of nodes")
        builder.emit("spread", out, x)
        return
    if lowering.is_looked_up(bundle.source):
        _lookup(lowering, bundle, net)
        return
    if _is_thin(bundle):
        lowering.irregular.add_bundle(bundle, net)
        return
    kernel = lowering.parameter(bundle.parameter)
    columns = (bundle.first_column, bundle.first_column + bundle.units)
    kernel = builder.part(kernel, ((0, None), columns))
    if bundle.mask is not None:
        kernel = _without(lowering, bundle, kernel)
    source = lowering.read(bundle.source, bundle.delay)
    positions = () if bundle.positions == 1 else (bundle.positions,)
    x = lowering.reshaped(source, (*positions, bundle.inputs))
    lowering.note(bundle, "product", _reason(bundle))
    out = lowering.reshaped(net, (*positions, bundle.units))
    if bundle.target.sequence and not bundle.source.sequence:
        once = builder.array(f"{bundle.target.name}_once", ("B", *positions, bundle.units))
        builder.emit("product", once, x, kernel)
        builder.emit("copy", out, once)
        return
    builder.emit("product", out, x, kernel)


def _is_thin(bundle: DenseConnections) -> bool:
    """Whether so much is pruned that the rest is faster edge by edge."""
    whole = bundle.inputs * bundle.units
    thin = bundle.mask is not None and whole > SMALL and len(bundle) < THIN * whole
    return thin and not bundle.target.sequence


def _reason(bundle: DenseConnections) -> str:
    if bundle.mask is None:
        return FULL
    return padded(len(bundle) / bundle.mask.size)


def _spreads(bundle: DenseConnections) -> bool:
    same_time = bundle.source.sequence == bundle.target.sequence
    return bundle.inputs == 1 and bundle.constant == 1.0 and same_time


def _lookup(lowering: Lowering, bundle: DenseConnections, net: Ref) -> None:
    """Take rows of the kernel by the index that the one-hot source was made from."""
    index = bundle.source.incoming[0].source
    positions, units = bundle.positions, bundle.units
    x = lowering.reshaped(lowering.read(index), (positions,))
    out = lowering.reshaped(net, (positions, units))
    assert bundle.parameter is not None
    lowering.note(bundle, "lookup", "the source is one-hot: rows of the kernel by index")
    lowering.builder.emit("lookup", out, x, lowering.parameter(bundle.parameter))


def _without(lowering: Lowering, bundle: DenseConnections, kernel: str) -> str:
    """Return the kernel with the removed connections taken out."""
    dims = (bundle.inputs, bundle.units)
    kept = lowering.table(f"{bundle.target.name}_kept", ~np.asarray(bundle.mask), dims)
    pruned = lowering.builder.array(f"{bundle.target.name}_pruned", dims)
    with lowering.builder.outside_loop():
        lowering.builder.emit("multiply", pruned, kernel, kept, accumulate=False)
    return pruned


def _bias(lowering: Lowering, bundle: BiasConnections, net: Ref) -> None:
    if bundle.source.role != "const":
        lowering.irregular.add_bundle(bundle, net)
        return
    if bundle.parameter is None:
        ones = np.full(bundle.channels, bundle.constant)
        vector = lowering.table(f"{bundle.target.name}_ones", ones, (bundle.channels,))
    else:
        vector = lowering.weights(bundle.parameter, bundle.first, bundle.channels)
    lowering.note(bundle, "bias", "the ConstNode feeds every node")
    size = bundle.target.size
    out = net
    if bundle.target.shape[-1:] != (bundle.channels,):
        dims = (size // bundle.channels, bundle.channels)
        out = lowering.reshaped(net, dims if dims[0] > 1 else (size,))
    lowering.builder.emit("bias", out, vector)


def _one_to_one(lowering: Lowering, bundle: OneToOneConnections, net: Ref) -> None:
    builder = lowering.builder
    source = lowering.read(bundle.source, bundle.delay)
    source = lowering.reshaped(source, bundle.source_shape)
    out = lowering.reshaped(net, bundle.target_shape)
    source = _block(lowering, source, bundle.source_start, bundle.block)
    out = _block(lowering, out, bundle.target_start, bundle.block)
    lowering.note(bundle, "copy" if bundle.parameter is None else "scale", "node i feeds node i")
    if bundle.parameter is None:
        factor = None if bundle.constant == 1.0 else {"factor": bundle.constant}
        builder.emit("copy", out, source, given=factor)
        return
    weights = lowering.weights(bundle.parameter, 0, bundle.parameter.size)
    if bundle.parameter.size != bundle.block[-1]:
        rest = int(np.prod(bundle.block)) // bundle.parameter.size
        dims = (rest, bundle.parameter.size) if rest > 1 else (bundle.parameter.size,)
        source = lowering.reshaped(source, dims)
        out = lowering.reshaped(out, dims)
    if bundle.target.sequence and not bundle.source.sequence:
        once = builder.array(f"{bundle.target.name}_once", builder.arrays[source.name].dims)
        builder.emit("scale", once, source, weights)
        builder.emit("copy", out, once)
        return
    builder.emit("scale", out, source, weights)


def _block(lowering: Lowering, ref: Ref, start: tuple[int, ...], block: tuple[int, ...]) -> Ref:
    array = lowering.builder.arrays[ref.name]
    leading: list[tuple[int, int | None]] = [(0, None)] * array.lead
    ranges = [(low, low + width) for low, width in zip(start, block, strict=True)]
    return Ref(lowering.builder.part(ref.name, (*leading, *ranges)), ref.offset)


BUNDLES[DenseConnections] = _dense
BUNDLES[BiasConnections] = _bias
BUNDLES[OneToOneConnections] = _one_to_one

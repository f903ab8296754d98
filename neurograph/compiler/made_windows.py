"""How windows made by hand are lowered, from rows of nodes to rows of nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from neurograph.compiler.blocks import Block
from neurograph.compiler.edge_kernels import Into
from neurograph.compiler.made_pooling import MadePooling
from neurograph.compiler.program import Ref
from neurograph.compiler.recognise import Edges
from neurograph.compiler.windows import Grid, convolution_of, grid_of
from neurograph.kernels.geometry import Geometry2D
from neurograph.parameter import Parameter

if TYPE_CHECKING:
    from neurograph.compiler.handmade import Irregular


def pool(irregular: Irregular, pooling: MadePooling, block: Block, net: Ref, name: str) -> None:
    """Lower a pooling, whose nodes are those of a block.

    Rows of nodes by place are pictures with a channel for each sample, as they lie.
    """
    builder, arrangement = irregular.builder, irregular.arrangement
    into = Into(name, arrangement.label(block), arrangement.label_of)
    rows = arrangement.row[pooling.sources]
    apart = irregular.group.sequence  # then some of the rows do not lie in one piece
    if apart:
        pixels = Ref(irregular.rows_array(f"{name}_pixels", len(rows)))
        index = builder.constant(f"{name}_pixel_rows", rows)
        builder.emit("gather", pixels, irregular.rows, accumulate=False, rows=index)
    else:
        pixels = irregular.kernels.rows(irregular.source_rows(-1, 0), rows, into)
    maps = Ref(irregular.rows_array(f"{name}_maps", len(pooling.nodes))) if apart else net
    label = builder.constant("pooling", pooling.geometry)
    builder.emit("pool", maps, pixels, accumulate=False, geometry=label, kind=block.aggregation)
    if apart:
        builder.emit("copy", net, maps)
    height, width = pooling.geometry.kernel
    edges = arrangement.all_edges(pooling.edges)
    irregular.kernels.note(
        into.block(rows),
        f"{block.aggregation} pool",
        f"windows of {height}x{width} in a grid, with weights 1 that are not trained",
        edges,
    )
    irregular.kernels.keep_constants(edges, np.ones(len(edges)))


def convolve(irregular: Irregular, block: Block, target: Ref, edges: Edges, name: str) -> Edges:
    """Lower what is a convolution from one block to another; return the edges that are left."""
    nodes = irregular.network.handmade.nodes
    grid = grid_of([nodes[index].position for index in block.nodes])
    if grid is None:
        return edges
    blocks = [b for ranks in irregular.arrangement.blocks.values() for rank in ranks for b in rank]
    for source in blocks:
        inside = (edges.ups >= source.start) & (edges.ups < source.stop)
        image = grid_of([nodes[index].position for index in source.nodes])
        if image is None or not inside.any():
            continue
        some = edges.where(inside)
        local = replace(some, ups=some.ups - source.start)
        parameter = irregular.kernels.parameters[int(some.owners[0])]
        geometry = convolution_of(local, image, grid, parameter.size)
        if geometry is not None:
            _emit_convolution(irregular, source, image, grid, geometry, parameter, target, name)
            rows, columns = geometry.kernel
            reason = f"nodes in a grid, windows of {rows}x{columns} share one kernel"
            irregular.kernels.note(
                f"{irregular.arrangement.label(source)} -> {irregular.arrangement.label(block)}",
                "convolve",
                reason,
                some,
            )
            edges = edges.where(~inside)
    return edges


def _emit_convolution(
    irregular: Irregular,
    source: Block,
    image: Grid,
    grid: Grid,
    geometry: Geometry2D,
    parameter: Parameter,
    target: Ref,
    name: str,
) -> None:
    builder, label_of = irregular.builder, irregular.arrangement.label_of
    pixels = source.start + image.nodes
    rows = irregular.kernels.rows(irregular.source_rows(-1, 0), pixels, Into(name, name, label_of))
    x = builder.array(f"{name}_image", ("B", *geometry.in_shape))
    builder.emit("transpose", x, rows)
    kernel = builder.reshape(irregular.lowering.parameter(parameter), geometry.kernel_shape)
    maps = builder.array(f"{name}_maps", ("B", *geometry.out_shape))
    label = builder.constant("convolution", geometry)
    builder.emit("convolve", maps, x, kernel, geometry=label)
    if np.array_equal(grid.nodes, np.arange(len(grid.nodes))):
        builder.emit("transpose", target, maps)
        return
    turned = irregular.rows_array(f"{name}_map_rows", len(grid.nodes))
    builder.emit("transpose", turned, maps)
    index = builder.constant(f"{name}_nodes", grid.nodes)
    builder.emit("scatter", target, turned, rows=index)

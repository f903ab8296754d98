"""Products and maxima over explicit edges: one operand for the k-th connection into each node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurograph.compiler.program import Ref
from neurograph.compiler.recognise import Edges
from neurograph.errors import GraphError
from neurograph.graph.layer import Layer

if TYPE_CHECKING:
    from neurograph.compiler.handmade import Irregular

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Incoming:
    """All connections into some nodes: where each comes from, sorted by node, then in order."""

    sources: Indices
    delays: Indices
    edges: Edges

    def where(self, chosen: Indices) -> Incoming:
        """Return some of the connections."""
        return Incoming(self.sources[chosen], self.delays[chosen], self.edges.where(chosen))


def combine(
    irregular: Irregular, incoming: Incoming, kind: str, nodes: int, net: Ref, name: str
) -> None:
    """Set ``net`` to the product or maximum of what comes into each node.

    Every node has connections of the same sources and delays, in the same order.
    """
    fan_in = len(incoming.sources) // nodes
    operands = []
    for k in range(fan_in):
        column = incoming.where(np.arange(k, len(incoming.sources), fan_in))
        rows = irregular.source_rows(int(column.sources[0]), int(column.delays[0]))
        operands.append(irregular.kernels.signals(rows, column.edges, f"{name}_{k}"))
    operation = {"product": "multiply", "max": "maximum"}[kind]
    irregular.kernels.note(name, operation, f"{fan_in} connections into each node", incoming.edges)
    irregular.builder.emit(operation, net, *operands, accumulate=False)


def check_fed(aggregation: str, counts: Indices, label: Callable[[int], str]) -> None:
    """Refuse nodes without connections where the aggregation of nothing is not defined."""
    if not counts.all():
        name = label(int(np.flatnonzero(counts == 0)[0]))
        raise GraphError(f"{name}: a node that takes the {aggregation} needs incoming connections")


def aggregate_layer(irregular: Irregular, layer: Layer, net: Ref) -> None:
    """Lower a library layer that takes the product, maximum or mean of explicit edges."""
    incoming = irregular.incoming(layer)
    counts = np.bincount(incoming.edges.downs, minlength=layer.size)
    check_fed(layer.aggregation, counts, layer.node_label)
    rows = irregular.rows_like(f"{layer.name}_rows_net", layer)
    if layer.aggregation == "mean":
        total = irregular.rows_like(f"{layer.name}_sum", layer)
        for source, delay in sorted(
            set(zip(incoming.sources.tolist(), incoming.delays.tolist(), strict=True))
        ):
            some = np.flatnonzero((incoming.sources == source) & (incoming.delays == delay))
            edges = incoming.edges.where(some)
            irregular.add_edges(total, source, delay, edges, layer.size, (layer.name, layer.name))
        shares = irregular.lowering.table(f"{layer.name}_shares", 1.0 / counts, (layer.size,))
        irregular.builder.emit("scale", rows, total, shares)
    else:
        _by_pattern(irregular, layer, incoming, counts, rows)
    irregular.builder.emit("transpose", net, rows)


def _by_pattern(
    irregular: Irregular, layer: Layer, incoming: Incoming, counts: Indices, rows: Ref
) -> None:
    starts = np.concatenate([[0], counts.cumsum()])
    groups: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for node in range(layer.size):
        some = slice(starts[node], starts[node + 1])
        pattern = tuple(
            zip(incoming.sources[some].tolist(), incoming.delays[some].tolist(), strict=True)
        )
        groups.setdefault(pattern, []).append(node)
    for number, nodes in enumerate(groups.values()):
        chosen = np.concatenate([np.arange(starts[n], starts[n + 1]) for n in nodes])
        part = incoming.where(chosen)
        name = f"{layer.name}_{number}"
        if len(groups) == 1:
            combine(irregular, part, layer.aggregation, len(nodes), rows, name)
            return
        net = irregular.rows_like(f"{name}_net", layer, len(nodes))
        combine(irregular, part, layer.aggregation, len(nodes), net, name)
        index = irregular.builder.constant(f"{name}_nodes", np.array(nodes))
        irregular.builder.emit("scatter", rows, net, rows=index)

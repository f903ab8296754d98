"""Irregular: hand-made nodes and connections, and whatever bundle has no pattern.

The values of all hand-made nodes are the rows of one array, (nodes, B) or (T, nodes, B); see
``blocks``. Layers of the library that take part are transposed to rows when they are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurograph.compiler.aggregate import Incoming, check_fed, combine
from neurograph.compiler.backward import shifted
from neurograph.compiler.blocks import Arrangement, Block
from neurograph.compiler.edge_kernels import EdgeKernels, Into
from neurograph.compiler.made_cells_lower import lower_made_cell
from neurograph.compiler.made_windows import convolve, pool
from neurograph.compiler.names import joint_name
from neurograph.compiler.program import Ref, View
from neurograph.compiler.recognise import Edges
from neurograph.errors import GraphError
from neurograph.graph.connections import Bundle
from neurograph.graph.layer import Layer
from neurograph.graph.network import Port
from neurograph.graph.node import ConstNode

if TYPE_CHECKING:
    from neurograph.compiler.lower import Lowering

Indices = NDArray[np.int64]
EDGE_FIELDS = ("ups", "downs", "owners", "addresses")


class Irregular:
    """The hand-made part of a lowering."""

    def __init__(self, lowering: Lowering) -> None:
        self.lowering = lowering
        self.builder = lowering.builder
        self.network = lowering.network
        self.group = self.network.handmade.group
        self.arrangement = Arrangement(
            self.network, fuse=not lowering.keep, late=lowering.truncate is None
        )
        self.row = self.arrangement.row
        self.kernels = EdgeKernels(lowering, list(self.arrangement.table.parameters))
        self._library = self.arrangement.library
        self._imported: dict[int, str] = {}

    def declare(self) -> None:
        """Declare the rows of the hand-made nodes, and the inputs among them."""
        if not self.group.size:
            return
        group, builder, height = self.group, self.builder, self.arrangement.height
        from_group = self.arrangement.delays_within()
        before = max(0, int(from_group.max(initial=0)))
        after = max(0, int(-from_group.min(initial=0)))
        if not group.sequence:
            dims: tuple[int | str, ...] = (height, "B")
            self.rows = builder.array("nodes", dims, nodes_first=True)
        elif not before and not after:
            symbol = self.lowering.symbol[id(group)]
            self.rows = builder.array("nodes", (symbol, height, "B"), nodes_first=True)
        else:
            total = f"{self.lowering.symbol[id(group)]}+{before + after}"
            base = builder.array("nodes_all", (total, height, "B"), nodes_first=True)
            self.rows = builder.part(base, ((before, -after if after else None),), "nodes")
            for count, name, place in (
                (before, "nodes_initial", (0, before)),
                (after, "nodes_final", (-after, None)),
            ):
                if count:
                    self._declare_initial(builder.part(base, (place,), name))
        self.lowering.values[group.name, "output"] = self.rows
        self.lowering.outputs[id(group)] = self.rows
        self._declare_inputs()

    def _declare_initial(self, place: str) -> None:
        initial = np.zeros(self.group.size)
        nodes = self.network.handmade.nodes
        initial[self.row] = [node.initial for node in nodes]
        constant = [k for k, node in enumerate(nodes) if isinstance(node, ConstNode)]
        initial[self.row[constant]] = 1.0
        initial = initial[: self.arrangement.height]
        if not initial.any():
            self.builder.emit("fill", place, accumulate=False, value=0)
            return
        name = self.builder.array("nodes_state", (len(initial), 1), "table", nodes_first=True)
        self.builder.constants[f"{name}_table"] = initial[:, None].astype(self.lowering.dtype)
        self.builder.emit("copy", place, name)

    def _declare_inputs(self) -> None:
        fed = {index for port in self.network.inputs for index in port.indices or ()}
        lead = self.lowering.lead(self.group)
        for block in self.arrangement.blocks[0][0]:
            if block.kind == "input":
                self._check_fed(block, fed)
                place = f"in:{block.start}:{block.stop}"
                part = self.part(block.start, block.stop)
                self.lowering.values[self.group.name, place] = part
        for port in self.network.inputs:
            if port.indices is None:
                continue
            name = self.builder.array("inputs", (*lead, len(port.indices)), "input")
            self.lowering.outputs[-1] = name
            start = int(self.row[port.indices[0]])
            rows = self.row[list(port.indices)]
            if np.array_equal(rows, start + np.arange(len(rows))):
                part = self.part(start, start + len(rows))
                self.builder.emit("transpose", part, name)
            else:
                turned = self.rows_array("input_nodes", len(rows))
                self.builder.emit("transpose", turned, name)
                index = self.builder.constant("input_rows", rows)
                self.builder.emit("scatter", self.rows, turned, rows=index)

    def _check_fed(self, block: Block, fed: set[int]) -> None:
        """Refuse an input node that is not among the inputs of the network."""
        for index in block.nodes:
            if index not in fed:
                raise GraphError(
                    f"network {self.network.name!r}: "
                    f"{self.network.handmade.nodes[index].label!r} is an input that is not among "
                    f"the inputs of the network, so nothing feeds it"
                )

    def part(self, start: int, stop: int) -> str:
        """Return some of the rows."""
        lead: list[tuple[int, int | None]] = [(0, None)] if self.group.sequence else []
        name = joint_name(range(start, stop), self.arrangement.label_of)
        return self.builder.part(self.rows, (*lead, (start, stop)), name)

    def rows_array(self, name: str, count: int, layer: Layer | None = None) -> str:
        """Declare rows with the time of a library layer, or of the hand-made nodes."""
        *time, batch = self.lowering.lead(self.group if layer is None else layer)
        return self.builder.array(name, (*time, count, batch), nodes_first=True)

    def _ref(self, name: str, sequence: bool) -> Ref:
        return Ref(name, 0 if self.lowering.looping and sequence else None)

    def feeds(self, layer: Layer) -> bool:
        """Whether hand-made connections lead into a library layer."""
        return len(self.arrangement.edges_into_layer(layer)) > 0

    def add_edges(
        self, net: Ref, source: int, delay: int, edges: Edges, nodes: int, into: tuple[str, str]
    ) -> None:
        """Add edges from one source (-1: the hand-made nodes) with one delay to some rows.

        ``into`` are the name and the label of the nodes below.
        """
        if len(edges):
            names = Into(*into, self.arrangement.labels_in(source), delay)
            self.kernels.add(net, self.source_rows(source, delay), edges, nodes, names)

    def lower_rank(self, stage: int, rank: int) -> None:
        """Lower the hand-made nodes of one rank of a stage."""
        if stage in self.arrangement.blocks:
            for block in self.arrangement.blocks[stage][rank]:
                if block.kind == "const":
                    part = self.part(block.start, block.stop)
                    self.builder.emit("fill", part, accumulate=False, value=1)
                elif block.kind in ("units", "pooling"):
                    self._lower_block(block)

    def lower_cell(self, stage: int) -> bool:
        """Lower the nodes of a cycle as one cell; return False if they are none."""
        cell = self.arrangement.cells.get(stage)
        if cell is None:
            return False
        lower_made_cell(self, cell, self.arrangement.blocks[stage][0][0])
        return True

    def output(self, port: Port) -> str:
        """Return the array of some hand-made nodes as outputs, nodes last."""
        assert port.indices is not None
        rows = self.row[list(port.indices)]
        lead = self.lowering.lead(self.group)
        if np.array_equal(rows, rows[0] + np.arange(len(rows))):
            part = self.part(int(rows[0]), int(rows[0]) + len(rows))
        else:
            part = self.rows_array("output_nodes", len(rows))
            index = self.builder.constant("output_rows", rows)
            self.builder.emit("gather", part, self.rows, accumulate=False, rows=index)
        name = self.builder.array("outputs", (*lead, len(rows)))
        self.builder.emit("transpose", name, part)
        return name

    def add_to(self, layer: Layer, net: Ref) -> None:
        """Add what hand-made connections bring to the net input of a library layer."""
        chosen = self.arrangement.edges_into_layer(layer)
        if len(chosen):
            downs = self.arrangement.table.downs[chosen] - layer.offset
            parts = self.arrangement.edges(chosen, downs)
            self._add_rows(layer, net, parts, layer.name)

    def add_bundle(self, bundle: Bundle, net: Ref) -> None:
        """Lower a bundle that has no kernel of its own by its edges, where any are left."""
        if not len(bundle):
            return
        parts = {(self._library.index(bundle.source), bundle.delay): self._edges_of(bundle)}
        self._add_rows(bundle.target, net, parts, bundle.target.name)

    def _edges_of(self, bundle: Bundle) -> Edges:
        ups, downs, addresses = bundle.edges()
        if bundle.parameter is None:
            addresses = np.zeros_like(ups)
        owner = self.kernels.owner(bundle.parameter, bundle.constant)
        return Edges(ups, downs, np.full(len(ups), owner), addresses)

    def source_rows(self, source: int, delay: int) -> Ref:
        """Return the rows of a source (-1: the hand-made nodes), ``delay`` steps late."""
        if source < 0:
            name, sequence = self.rows, self.group.sequence
        else:
            layer = self._library[source]
            name, sequence = self._import(layer), layer.sequence
        if self.lowering.looping and sequence:
            return Ref(name, -delay)
        if delay and sequence:
            return Ref(shifted(self.builder, name, -delay))
        return Ref(name)

    def _import(self, layer: Layer) -> str:
        """Return the outputs of a library layer as rows."""
        known = self._imported.get(id(layer))
        if known is None:
            known = self._imported[id(layer)] = self._declare_import(layer)
            if layer.role != "const" and id(layer) not in self.lowering.inside:
                with self.builder.outside_loop():
                    self.builder.emit(
                        "transpose",
                        self.builder.whole(known),
                        self.builder.whole(self.lowering.outputs[id(layer)]),
                    )
        return known

    def _declare_import(self, layer: Layer) -> str:
        builder = self.builder
        if layer.role == "const":
            one = builder.array(f"{layer.name}_rows", (1, "B"), nodes_first=True)
            with builder.outside_loop():
                builder.emit("fill", one, accumulate=False, value=1)
            return one
        values = self.lowering.outputs[id(layer)]
        if builder.whole(values) == values:  # a fused cell keeps its history to itself
            return self.rows_array(f"{layer.name}_rows", layer.size, layer)
        before, after = self.lowering.history(layer)
        symbol = self.lowering.symbol[id(layer)]
        dims = (f"{symbol}+{before + after}", layer.size, "B")
        base = builder.array(f"{layer.name}_rows_all", dims, nodes_first=True)
        inside = (before, -after if after else None)
        return builder.part(base, (inside,), f"{layer.name}_rows")

    def after_step(self, layer: Layer) -> None:
        """Inside a loop: keep the rows of a library layer that hand-made connections read."""
        if not self._is_read_as_rows(layer):
            return
        rows, values = self._import(layer), self.lowering.outputs[id(layer)]
        self.builder.emit("transpose", Ref(rows, 0), Ref(values, 0))
        array = self.builder.arrays[rows]
        if array.view is not None:
            self._import_ends(array.view, self.builder.arrays[values].view)

    def _import_ends(self, rows: View, values: View | None) -> None:
        """Turn what is before the first step and after the last into rows, before the loop."""
        assert values is not None
        assert rows.index is not None
        (low, high), *_ = rows.index
        ends: list[tuple[int, int | None]] = [(0, low)] if low else []
        ends += [(high, None)] if high is not None else []
        with self.builder.outside_loop():
            for end in ends:
                self.builder.emit(
                    "transpose",
                    self.builder.part(rows.base, (end,)),
                    self.builder.part(values.base, (end,)),
                )

    def _is_read_as_rows(self, layer: Layer) -> bool:
        return bool(self.arrangement.delays_from(layer)) or any(
            self.lowering.goes_by_edges(bundle) for bundle in layer.outgoing
        )

    def _lower_block(self, block: Block) -> None:
        chosen, label_of = self.arrangement.edges_into(block), self.arrangement.label_of
        name = self.arrangement.name(block)
        sequence = self.group.sequence
        out = self._ref(self.part(block.start, block.stop), sequence)
        plain = block.activation.name == "identity"
        net = out
        if not plain:
            net = self._ref(self.rows_array(f"{name}_net", len(block.nodes)), sequence)
        self.lowering.values[self.group.name, f"net:{block.start}:{block.stop}"] = net.name
        downs = self.arrangement.downs_in(block, chosen)
        if block.aggregation != "sum":
            counts = np.bincount(downs, minlength=len(block.nodes))
            check_fed(block.aggregation, counts, lambda k: label_of(block.start + k))
        if not len(chosen):
            self.builder.emit("fill", net, accumulate=False, value=0)
        elif block.kind == "pooling":
            pool(self, self.arrangement.poolings[block.start], block, net, name)
        elif block.aggregation in ("sum", "mean"):
            target = net
            if block.aggregation == "mean":
                target = self._ref(self.rows_array(f"{name}_sum", len(block.nodes)), sequence)
            for (source, delay), edges in self.arrangement.edges(chosen, downs).items():
                if source < 0 and not sequence:
                    edges = convolve(self, block, target, edges, name)
                into = name, self.arrangement.label(block)
                self.add_edges(target, source, delay, edges, len(block.nodes), into)
            if block.aggregation == "mean":
                shares = self.lowering.table(f"{name}_shares", 1.0 / counts, (len(counts),))
                self.builder.emit("scale", net, target, shares)
        else:
            self._combine(block, chosen, net, name)
        if not plain:
            function = self.builder.constant(block.activation.name, block.activation)
            self.builder.emit("activate", out, net, accumulate=False, function=function)

    def _combine(self, block: Block, chosen: Indices, net: Ref, name: str) -> None:
        """Lower a block of maximum or product nodes, all with the same pattern of sources."""
        downs = self.arrangement.downs_in(block, chosen)
        chosen = chosen[np.argsort(downs, kind="stable")]
        incoming = self.arrangement.incoming(chosen, np.sort(downs))
        combine(self, incoming, block.aggregation, len(block.nodes), net, name)

    def incoming(self, layer: Layer) -> Incoming:
        """Return all connections into a library layer, bundles first, sorted by node."""
        parts = []
        for bundle in layer.incoming:
            edges = self._edges_of(bundle)
            source = np.full(len(edges), self._library.index(bundle.source))
            parts.append(Incoming(source, np.full(len(edges), bundle.delay), edges))
        chosen = self.arrangement.edges_into_layer(layer)
        if len(chosen):
            downs = self.arrangement.table.downs[chosen] - layer.offset
            parts.append(self.arrangement.incoming(chosen, downs))

        def joined(arrays: list[Indices]) -> Indices:
            return np.concatenate(arrays) if arrays else np.empty(0, dtype=np.int64)

        edges = Edges(*(joined([getattr(p.edges, f) for p in parts]) for f in EDGE_FIELDS))
        whole = Incoming(
            joined([p.sources for p in parts]), joined([p.delays for p in parts]), edges
        )
        return whole.where(np.argsort(edges.downs, kind="stable"))

    def rows_like(self, name: str, layer: Layer, count: int | None = None) -> Ref:
        """Declare an array of rows for (some) nodes of a library layer."""
        size = layer.size if count is None else count
        return self._ref(self.rows_array(name, size, layer), layer.sequence)

    def _add_rows(
        self, layer: Layer, net: Ref, parts: dict[tuple[int, int], Edges], name: str
    ) -> None:
        """Add edges into a library layer: as rows, then transposed."""
        rows = self._ref(self.rows_array(f"{name}_extra", layer.size, layer), layer.sequence)
        for (source, delay), edges in parts.items():
            self.add_edges(rows, source, delay, edges, layer.size, (name, name))
        self.builder.emit("transpose", net, rows)

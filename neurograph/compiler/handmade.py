"""Irregular: hand-made nodes and connections, and whatever bundle has no pattern.

The values of all hand-made nodes are the rows of one array, (nodes, B) or (T, nodes, B), in order
of calculation; like nodes of one rank form a block, which is calculated at once. Layers of the
library that take part are transposed to rows when they are read.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurograph.compiler.aggregate import Incoming, aggregate_layer, combine
from neurograph.compiler.backward import shifted
from neurograph.compiler.operations.edges import SparseTable, WeightIndex
from neurograph.compiler.program import Ref
from neurograph.compiler.recognise import Edges, Pattern, affine, recognise
from neurograph.compiler.windows import Grid, convolution_of, grid_of
from neurograph.functions import Activation
from neurograph.graph.connections import Bundle
from neurograph.graph.layer import Layer
from neurograph.graph.network import Port
from neurograph.graph.node import ConstNode, InputNode, Node
from neurograph.kernels.geometry import Geometry2D
from neurograph.parameter import Parameter

if TYPE_CHECKING:
    from neurograph.compiler.lower import Lowering

Indices = NDArray[np.int64]
EDGE_FIELDS = ("ups", "downs", "owners", "addresses")


@dataclass(frozen=True, slots=True)
class Block:
    """Like hand-made nodes that are calculated at once: rows ``start : start + len(nodes)``."""

    kind: str
    nodes: tuple[int, ...]
    start: int
    activation: Activation
    aggregation: str

    @property
    def stop(self) -> int:
        """The row after the last."""
        return self.start + len(self.nodes)


class Irregular:
    """The hand-made part of a lowering."""

    def __init__(self, lowering: Lowering) -> None:
        self.lowering = lowering
        self.builder = lowering.builder
        self.network = lowering.network
        self.group = self.network.handmade.group
        self.table = self.network.handmade.table()
        self.parameters: list[Parameter] = list(self.table.parameters)
        self._imported: dict[int, str] = {}
        self._library = [layer for layer in self.network.layers if layer is not self.group]
        self._node_layer = np.repeat(
            np.arange(len(self._library)), [layer.size for layer in self._library]
        )
        self._group_start = self.group.offset if self.group.size else self._node_layer.size
        self._blocks: dict[int, list[list[Block]]] = {}
        self._arrange()
        self._sort_edges()

    # arranging --------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Give every hand-made node a row, block by block in order of calculation."""
        first = len(self._library) if self.group.size else 0
        self.row = np.zeros(self.group.size, dtype=np.int64)
        keys = self._keys() if self.group.size else []
        at = 0
        for number, stage in enumerate(self.network.stages() if self.group.size else []):
            ranks = []
            for rank in stage.ranks:
                nodes = rank[rank >= first] - first
                groups: dict[Hashable, list[int]] = {}
                for index in nodes.tolist():
                    groups.setdefault(keys[index], []).append(index)
                blocks = []
                for members in groups.values():
                    blocks.append(self._block(members, at))
                    self.row[members] = np.arange(at, at + len(members))
                    at += len(members)
                ranks.append(sorted(blocks, key=lambda block: block.start))
            self._blocks[number] = ranks

    def _block(self, members: list[int], start: int) -> Block:
        node = self.network.handmade.nodes[members[0]]
        kind = {InputNode: "input", ConstNode: "const"}.get(type(node), "units")
        return Block(kind, tuple(members), start, node.activation, node.aggregation)

    def _keys(self) -> list[Hashable]:
        """Return for each node what it must share with the other nodes of its block."""
        into: list[list[tuple[int, int]]] = [[] for _ in range(self.group.size)]
        plain = all(node.aggregation in ("sum", "mean") for node in self.network.handmade.nodes)
        if not plain:
            inside = self.table.downs >= self._group_start
            downs = (self.table.downs[inside] - self._group_start).tolist()
            sources = self._source_of(self.table.ups[inside]).tolist()
            for down, source, delay in zip(
                downs, sources, self.table.delays[inside].tolist(), strict=True
            ):
                into[down].append((source, delay))

        def key(index: int, node: Node) -> Hashable:
            if not isinstance(node, Node) or isinstance(node, (InputNode, ConstNode)):
                return type(node).__name__
            if node.aggregation in ("sum", "mean"):
                return (node.activation.name, node.aggregation)
            return (node.activation.name, node.aggregation, tuple(into[index]))

        return [key(index, node) for index, node in enumerate(self.network.handmade.nodes)]

    def _source_of(self, ups: Indices) -> Indices:
        """Return the number of the library layer of each node, -1 for hand-made nodes."""
        found = np.full(len(ups), -1, dtype=np.int64)
        inside = ups < self._node_layer.size
        found[inside] = self._node_layer[ups[inside]]
        return found

    def _sort_edges(self) -> None:
        """Sort the edges by the row of their lower end; those into library layers go by layer."""
        table = self.table
        self._sources = self._source_of(table.ups)
        self._lower_layer = self._source_of(table.downs)
        place = table.downs - self._group_start
        inside = self._lower_layer < 0
        target = np.full(len(table.downs), -1, dtype=np.int64)
        target[inside] = self.row[place[inside]]
        self._order = np.argsort(target, kind="stable")
        self._targets = target[self._order]

    def _edges_into(self, block: Block) -> Indices:
        low, high = np.searchsorted(self._targets, [block.start, block.stop])
        return self._order[low:high]

    # declaring --------------------------------------------------------------------------------

    def declare(self) -> None:
        """Declare the rows of the hand-made nodes, and the inputs among them."""
        if not self.group.size:
            return
        group, builder = self.group, self.builder
        from_group = self.table.delays[self._sources < 0]
        before = max(0, int(from_group.max(initial=0)))
        after = max(0, int(-from_group.min(initial=0)))
        if not group.sequence:
            dims: tuple[int | str, ...] = (group.size, "B")
            self.rows = builder.array("nodes", dims, nodes_first=True)
        elif not before and not after:
            self.rows = builder.array("nodes", ("T", group.size, "B"), nodes_first=True)
        else:
            total = f"T+{before + after}"
            base = builder.array("nodes_all", (total, group.size, "B"), nodes_first=True)
            self.rows = builder.part(base, ((before, -after if after else None),), "nodes")
            for count, name, place in (
                (before, "nodes_initial", (0, before)),
                (after, "nodes_final", (-after, None)),
            ):
                if count:
                    self._declare_initial(builder.part(base, (place,), name), count)
        self.lowering.values[group.name, "output"] = self.rows
        self.lowering.outputs[id(group)] = self.rows
        self._declare_inputs()

    def _declare_initial(self, place: str, count: int) -> None:
        initial = np.zeros(self.group.size)
        nodes = self.network.handmade.nodes
        initial[self.row] = [node.initial for node in nodes]
        constant = [k for k, node in enumerate(nodes) if isinstance(node, ConstNode)]
        initial[self.row[constant]] = 1.0
        if not initial.any():
            self.builder.emit("fill", place, accumulate=False, value=0)
            return
        name = self.builder.array("nodes_state", (self.group.size, 1), "table", nodes_first=True)
        self.builder.constants[f"{name}_table"] = initial[:, None].astype(self.lowering.dtype)
        self.builder.emit("copy", place, name)

    def _declare_inputs(self) -> None:
        lead = self.lowering.lead(self.group.sequence)
        for block in self._blocks[0][0]:
            if block.kind == "input":
                place = f"in:{block.start}:{block.stop}"
                part = self._part(block.start, block.stop)
                self.lowering.values[self.group.name, place] = part
        for port in self.network.inputs:
            if port.indices is None:
                continue
            name = self.builder.array("x", (*lead, len(port.indices)), "input")
            self.lowering.outputs[-1] = name
            start = int(self.row[port.indices[0]])
            rows = self.row[list(port.indices)]
            if np.array_equal(rows, start + np.arange(len(rows))):
                part = self._part(start, start + len(rows))
                self.builder.emit("transpose", part, name)
            else:
                turned = self._rows_array("x_rows", len(rows))
                self.builder.emit("transpose", turned, name)
                index = self.builder.constant("input_rows", rows)
                self.builder.emit("scatter", self.rows, turned, rows=index)

    def _part(self, start: int, stop: int, name: str = "") -> str:
        lead: list[tuple[int, int | None]] = [(0, None)] if self.group.sequence else []
        return self.builder.part(self.rows, (*lead, (start, stop)), name or "nodes_part")

    def _rows_array(self, name: str, count: int, sequence: bool | None = None) -> str:
        through_time = self.group.sequence if sequence is None else sequence
        dims = ("T", count, "B") if through_time else (count, "B")
        return self.builder.array(name, dims, nodes_first=True)

    def _ref(self, name: str, sequence: bool) -> Ref:
        return Ref(name, 0 if self.lowering.looping and sequence else None)

    # what the lowering asks -------------------------------------------------------------------

    def delays_from(self, layer: Layer) -> list[int]:
        """Return the delays of hand-made connections out of a library layer."""
        if layer not in self._library or not len(self.table.ups):
            return []
        chosen = self._sources == self._library.index(layer)
        return [int(each) for each in np.unique(self.table.delays[chosen])]

    def feeds(self, layer: Layer) -> bool:
        """Whether hand-made connections lead into a library layer."""
        if not len(self.table.downs) or layer not in self._library:
            return False
        return bool((self._lower_layer == self._library.index(layer)).any())

    def lower_rank(self, stage: int, rank: int) -> None:
        """Lower the hand-made nodes of one rank of a stage."""
        if stage in self._blocks:
            for block in self._blocks[stage][rank]:
                if block.kind == "const":
                    part = self._part(block.start, block.stop)
                    self.builder.emit("fill", part, accumulate=False, value=1)
                elif block.kind == "units":
                    self._lower_block(block)

    def output(self, port: Port) -> str:
        """Return the array of some hand-made nodes as outputs, nodes last."""
        assert port.indices is not None
        rows = self.row[list(port.indices)]
        lead = self.lowering.lead(self.group.sequence)
        if np.array_equal(rows, rows[0] + np.arange(len(rows))):
            part = self._part(int(rows[0]), int(rows[0]) + len(rows))
        else:
            part = self._rows_array("outputs", len(rows))
            index = self.builder.constant("output_rows", rows)
            self.builder.emit("gather", part, self.rows, accumulate=False, rows=index)
        name = self.builder.array("y", (*lead, len(rows)))
        self.builder.emit("transpose", name, part)
        return name

    def add_to(self, layer: Layer, net: Ref) -> None:
        """Add what hand-made connections bring to the net input of a library layer."""
        if self.feeds(layer):
            chosen = np.flatnonzero(self._lower_layer == self._library.index(layer))
            self._add_rows(layer, net, self._edges(chosen, layer.offset), layer.name)

    def add_bundle(self, bundle: Bundle, net: Ref) -> None:
        """Lower a bundle that has no kernel of its own by its edges."""
        ups, downs, addresses = bundle.edges()
        owner = self._owner(bundle.parameter, bundle.constant)
        edges = Edges(ups, downs, np.full(len(ups), owner), addresses)
        parts = {(self._library.index(bundle.source), bundle.delay): edges}
        self.lowering.note(bundle, "edges", "an explicit table")
        self._add_rows(bundle.target, net, parts, bundle.target.name)

    def aggregate_layer(self, layer: Layer, net: Ref) -> None:
        """Lower a library layer with another aggregation than the sum by its explicit edges."""
        aggregate_layer(self, layer, net)

    # blocks -----------------------------------------------------------------------------------

    def _edges(self, chosen: Indices, start: int) -> dict[tuple[int, int], Edges]:
        """Split edges by source and delay; ``start`` is the number of the first lower node."""
        table = self.table
        parts: dict[tuple[int, int], Edges] = {}
        sources, delays = self._sources[chosen], table.delays[chosen]
        for source, delay in sorted(set(zip(sources.tolist(), delays.tolist(), strict=True))):
            some = chosen[(sources == source) & (delays == delay)]
            ups = table.ups[some]
            if source < 0:
                ups = self.row[ups - self._group_start]
            else:
                ups = ups - self._library[source].offset
            downs = table.downs[some]
            if start < 0:
                downs = self.row[downs - self._group_start] + start
            else:
                downs = downs - start
            parts[source, delay] = Edges(ups, downs, table.owners[some], table.addresses[some])
        return parts

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
            one = builder.array(f"{layer.name}_rows", (1, 1), "table", nodes_first=True)
            builder.constants[f"{one}_table"] = np.ones((1, 1), dtype=self.lowering.dtype)
            return one
        before, after = self.lowering.history(layer)
        if not before and not after:
            return self._rows_array(f"{layer.name}_rows", layer.size, layer.sequence)
        dims = (f"T+{before + after}", layer.size, "B")
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
            source = self.builder.arrays[values].view
            assert source is not None and array.view.index is not None
            (low, high), *_ = array.view.index
            with self.builder.outside_loop():
                for place in ((0, low), (high, None)):
                    if place[0] is not None and place != (0, 0):
                        self.builder.emit(
                            "transpose",
                            self.builder.part(array.view.base, (place,)),
                            self.builder.part(source.base, (place,)),
                        )

    def _is_read_as_rows(self, layer: Layer) -> bool:
        return bool(self.delays_from(layer)) or any(
            self.lowering.goes_by_edges(bundle) for bundle in layer.outgoing
        )

    def _lower_block(self, block: Block) -> None:
        chosen = self._edges_into(block)
        name = self._block_name(block)
        sequence = self.group.sequence
        out = self._ref(self._part(block.start, block.stop), sequence)
        plain = block.activation.name == "identity"
        net = out
        if not plain:
            net = self._ref(self._rows_array(f"{name}_net", len(block.nodes)), sequence)
        self.lowering.values[self.group.name, f"net:{block.start}:{block.stop}"] = net.name
        if not len(chosen):
            self.builder.emit("fill", net, accumulate=False, value=0)
        elif block.aggregation in ("sum", "mean"):
            target = net
            if block.aggregation == "mean":
                target = self._ref(self._rows_array(f"{name}_sum", len(block.nodes)), sequence)
            for (source, delay), edges in self._edges(chosen, -block.start).items():
                if source < 0 and not sequence:
                    edges = self._convolve(block, target, edges, name)
                self.add_edges(target, source, delay, edges, len(block.nodes), name)
            if block.aggregation == "mean":
                downs = self.row[self.table.downs[chosen] - self._group_start] - block.start
                counts = np.bincount(downs, minlength=len(block.nodes))
                shares = self.lowering.table(f"{name}_shares", 1.0 / counts, (len(counts),))
                self.builder.emit("scale", net, target, shares)
        else:
            self._combine(block, chosen, net, name)
        if not plain:
            function = self.builder.constant(block.activation.name, block.activation)
            self.builder.emit("activate", out, net, accumulate=False, function=function)

    def _convolve(self, block: Block, target: Ref, edges: Edges, name: str) -> Edges:
        """Lower what is a convolution from one block to another; return the edges that are left."""
        nodes = self.network.handmade.nodes
        grid = grid_of([nodes[index].position for index in block.nodes])
        if grid is None:
            return edges
        blocks = [b for ranks in self._blocks.values() for rank in ranks for b in rank]
        for source in blocks:
            inside = (edges.ups >= source.start) & (edges.ups < source.stop)
            image = grid_of([nodes[index].position for index in source.nodes])
            if image is None or not inside.any():
                continue
            some = edges.where(inside)
            local = replace(some, ups=some.ups - source.start)
            parameter = self.parameters[int(some.owners[0])]
            geometry = convolution_of(local, image, grid, parameter.size)
            if geometry is not None:
                self._emit_convolution(source, image, grid, geometry, parameter, target, name)
                rows, columns = geometry.kernel
                reason = f"nodes in a grid, windows of {rows}x{columns} share one kernel"
                self.note(f"{self._block_name(source)} -> {name}", "convolve", reason, some)
                edges = edges.where(~inside)
        return edges

    def _emit_convolution(
        self,
        source: Block,
        image: Grid,
        grid: Grid,
        geometry: Geometry2D,
        parameter: Parameter,
        target: Ref,
        name: str,
    ) -> None:
        builder = self.builder
        rows = self._rows_array(f"{name}_pixels", len(image.nodes))
        index = builder.constant(f"{name}_pixel_rows", source.start + image.nodes)
        builder.emit("gather", rows, self.rows, accumulate=False, rows=index)
        x = builder.array(f"{name}_image", ("B", *geometry.in_shape))
        builder.emit("transpose", x, rows)
        kernel = builder.reshape(self.lowering.parameter(parameter), geometry.kernel_shape)
        maps = builder.array(f"{name}_maps", ("B", *geometry.out_shape))
        label = builder.constant("convolution", geometry)
        builder.emit("convolve", maps, x, kernel, geometry=label)
        turned = self._rows_array(f"{name}_map_rows", len(grid.nodes))
        builder.emit("transpose", turned, maps)
        index = builder.constant(f"{name}_nodes", grid.nodes)
        builder.emit("scatter", target, turned, rows=index)

    def _block_name(self, block: Block) -> str:
        if len(block.nodes) <= 3:
            nodes = self.network.handmade.nodes
            return "_".join(nodes[index].label for index in block.nodes)
        return f"{block.activation.name}_{block.start}_{block.stop}"

    def _combine(self, block: Block, chosen: Indices, net: Ref, name: str) -> None:
        """Lower a block of maximum or product nodes, all with the same pattern of sources."""
        table = self.table
        downs = self.row[table.downs[chosen] - self._group_start] - block.start
        chosen = chosen[np.argsort(downs, kind="stable")]
        incoming = self._incoming(chosen, np.sort(downs))
        combine(self, incoming, block.aggregation, len(block.nodes), net, name)

    def _incoming(self, chosen: Indices, downs: Indices) -> Incoming:
        table = self.table
        sources, ups = self._sources[chosen], table.ups[chosen].copy()
        made = sources < 0
        ups[made] = self.row[ups[made] - self._group_start]
        offsets = np.array([layer.offset for layer in self._library], dtype=np.int64)
        ups[~made] -= offsets[sources[~made]]
        edges = Edges(ups, downs, table.owners[chosen], table.addresses[chosen])
        return Incoming(sources, table.delays[chosen], edges)

    def incoming(self, layer: Layer) -> Incoming:
        """Return all connections into a library layer, bundles first, sorted by node."""
        parts = []
        for bundle in layer.incoming:
            ups, downs, addresses = bundle.edges()
            owners = np.full(len(ups), self._owner(bundle.parameter, bundle.constant))
            source = np.full(len(ups), self._library.index(bundle.source))
            delays = np.full(len(ups), bundle.delay)
            parts.append(Incoming(source, delays, Edges(ups, downs, owners, addresses)))
        if self.feeds(layer):
            chosen = np.flatnonzero(self._lower_layer == self._library.index(layer))
            parts.append(self._incoming(chosen, self.table.downs[chosen] - layer.offset))

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
        return self._ref(self._rows_array(name, size, layer.sequence), layer.sequence)

    def note(self, block: str, kernel: str, reason: str, edges: Edges) -> None:
        """Add a row to the table of ``model.explain()``."""
        weights = len(np.unique(edges.owners * (1 << 40) + edges.addresses))
        self.lowering.add_row(block, kernel, reason, len(edges), weights)

    def signals(self, rows: Ref, edges: Edges, name: str) -> Ref:
        """Return weight * output of one connection into each node, as rows."""
        array = self.builder.arrays[rows.name]
        step = None if rows.offset is None else 0
        dims = (*array.dims[:-2], len(edges), array.dims[-1])
        picked = Ref(self.builder.array(f"{name}_from", dims, nodes_first=True), step)
        index = self.builder.constant(f"{name}_rows", edges.ups)
        self.builder.emit("gather", picked, rows, accumulate=False, rows=index)
        weights = self.weights(edges, (len(edges),), name)
        signal = Ref(self.builder.array(f"{name}_signal", dims, nodes_first=True), step)
        self.builder.emit("scale", signal, picked, weights)
        return signal

    def _add_rows(
        self, layer: Layer, net: Ref, parts: dict[tuple[int, int], Edges], name: str
    ) -> None:
        """Add edges into a library layer: as rows, then transposed."""
        rows = self._ref(
            self._rows_array(f"{name}_extra", layer.size, layer.sequence), layer.sequence
        )
        for (source, delay), edges in parts.items():
            self.add_edges(rows, source, delay, edges, layer.size, name)
        self.builder.emit("transpose", net, rows)

    def add_edges(
        self, net: Ref, source: int, delay: int, edges: Edges, nodes: int, name: str
    ) -> None:
        """Add edges from one source with one delay to the rows ``net``, by the kernel that fits."""
        if not len(edges):
            return
        x = self.source_rows(source, delay)
        pattern = recognise(edges, nodes)
        ordered = edges.where(pattern.order)
        through = len(self.builder.arrays[net.name].dims) == 3
        narrow = self.builder.arrays[x.name].dims[-1] == 1
        if (through and len(self.builder.arrays[x.name].dims) == 2) or narrow:
            self._add_repeated(net, x, pattern, ordered, nodes, name)
            return
        origin = self.group.name if source < 0 else self._library[source].name
        late = f" [delay {delay}]" if delay else ""
        label = f"{origin} -> {name}{late}"
        self.note(label, pattern.kind, pattern.reason, edges)
        self._kernel(net, x, pattern, ordered, nodes, name)

    def _add_repeated(
        self, net: Ref, x: Ref, pattern: Pattern, ordered: Edges, nodes: int, name: str
    ) -> None:
        """Add edges from a source without time (or batch) to rows that have it."""
        array = self.builder.arrays[x.name]
        once = self.builder.array(f"{name}_once", (nodes, *array.dims[1:]), nodes_first=True)
        self._kernel(Ref(once), Ref(x.name), pattern, ordered, nodes, name)
        self.builder.emit("copy", net, once)

    def _kernel(
        self, net: Ref, x: Ref, pattern: Pattern, ordered: Edges, nodes: int, name: str
    ) -> None:
        rows = pattern.rows
        if pattern.kind == "sparse":
            weights = self.weights(ordered, (len(ordered),), name)
            counts = np.bincount(ordered.downs, minlength=nodes)
            table = SparseTable(
                np.concatenate([[0], counts.cumsum()]).astype(np.int32),
                ordered.ups.astype(np.int32),
                ordered.downs.astype(np.int32),
            )
            label = self.builder.constant(f"{name}_edges", table)
            self.builder.emit("sparse", net, x, weights, table=label)
            return
        if np.array_equal(rows, rows[0] + np.arange(len(rows))):
            x = self._some_rows(x, int(rows[0]), int(rows[0]) + len(rows))
        else:
            index = self.builder.constant(f"{name}_rows", rows)
            array = self.builder.arrays[x.name]
            dims = (*array.dims[:-2], len(rows), array.dims[-1])
            step = None if x.offset is None else 0
            picked = Ref(self.builder.array(f"{name}_from", dims, nodes_first=True), step)
            self.builder.emit("gather", picked, x, accumulate=False, rows=index)
            x = picked
        if pattern.kind == "one-to-one":
            self.builder.emit("scale", net, x, self.weights(ordered, (nodes,), name))
            return
        shape = (nodes, len(rows))
        matrix = (
            self.weights(ordered, shape, name)
            if pattern.kind == "dense"
            else self._gathered(ordered, pattern.places, shape, name)
        )
        self.builder.emit("product", net, x, matrix, turned=1)

    def _some_rows(self, x: Ref, start: int, stop: int) -> Ref:
        lead: list[tuple[int, int | None]] = []
        if len(self.builder.arrays[x.name].dims) == 3:
            lead = [(0, None)]
        return Ref(self.builder.part(x.name, (*lead, (start, stop)), f"{x.name}_part"), x.offset)

    # weights ----------------------------------------------------------------------------------

    def _owner(self, parameter: Parameter | None, constant: float) -> int:
        """Return the number of a parameter; constants become one that is never trained."""
        if parameter is None:
            parameter = Parameter(constant, name="constant", trainable=False)
        for number, known in enumerate(self.parameters):
            if known is parameter:
                return number
        self.parameters.append(parameter)
        return len(self.parameters) - 1

    def _flat(self, owner: int) -> str:
        parameter = self.parameters[owner]
        if parameter.name == "constant" and not parameter.trainable:
            return self.lowering.table("constant", parameter.value, (1,))
        name = self.lowering.parameter(parameter)
        return self.builder.reshape(name, (parameter.size,))

    def weights(self, edges: Edges, shape: tuple[int, ...], name: str) -> str:
        """Return the weights of ordered edges as an array: a view where the addresses allow it."""
        owners = np.unique(edges.owners)
        if len(owners) == 1:
            view = self._weight_view(int(owners[0]), edges.addresses, shape)
            if view is not None:
                return view
        return self._gathered(edges, np.arange(len(edges)), shape, name)

    def _weight_view(self, owner: int, addresses: Indices, shape: tuple[int, ...]) -> str | None:
        matrix = shape if len(shape) == 2 else (1, *shape)
        found = affine(addresses, (matrix[0], matrix[1]))
        if found is None:
            return None
        start, stride = found
        size = self.parameters[owner].size
        if len(shape) == 1:
            return self.builder.part(self._flat(owner), ((start, start + shape[0]),), "weights")
        shift = max(0, start + shape[0] * stride - size)
        if shift > start or shift + shape[1] > stride:
            return None
        low = start - shift
        rows = self.builder.part(self._flat(owner), ((low, low + shape[0] * stride),), "weights")
        rows = self.builder.reshape(rows, (shape[0], stride), "weights")
        return self.builder.part(rows, ((0, None), (shift, shift + shape[1])), "weights")

    def _gathered(self, edges: Edges, places: Indices, shape: tuple[int, ...], name: str) -> str:
        """Return a weight array that is gathered anew before every run."""
        array = self.builder.array(f"{name}_weights", shape)
        with self.builder.outside_loop():
            self._take(array, edges, places, shape, name)
        return array

    def _take(
        self, array: str, edges: Edges, places: Indices, shape: tuple[int, ...], name: str
    ) -> None:
        for owner in np.unique(edges.owners).tolist():
            some = edges.owners == owner
            index = np.zeros(int(np.prod(shape)), dtype=np.int64)
            index[places[some]] = edges.addresses[some]
            present = np.zeros(len(index), dtype=bool)
            present[places[some]] = True
            table = WeightIndex(
                index.reshape(shape),
                None if present.all() else present.reshape(shape),
                len(np.unique(edges.addresses[some])) == int(some.sum()),
            )
            label = self.builder.constant(f"{name}_index", table)
            self.builder.emit("take", array, self._flat(owner), index=label)

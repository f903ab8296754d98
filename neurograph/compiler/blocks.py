"""Blocks: which hand-made nodes are calculated at once, and the rows that hold their values.

The values of all hand-made nodes are the rows of one array, in order of calculation; like nodes of
one rank form a block.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurograph.compiler.aggregate import Incoming
from neurograph.compiler.made_cells import CellFinder, MadeCell
from neurograph.compiler.made_pooling import MadePooling, find_poolings
from neurograph.compiler.names import joint_label, joint_name
from neurograph.compiler.recognise import Edges
from neurograph.functions import Activation
from neurograph.graph.distinct import distinct
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.graph.node import ConstNode, InputNode, Node

Indices = NDArray[np.int64]


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


class Arrangement:
    """The hand-made nodes of a network in blocks, and its edge table by block and source.

    Parameters
    ----------
    network : Network
    fuse : bool
        Whether cells are found.
    late : bool
        Even those that read their features some steps late.

    Attributes
    ----------
    row : array of int
        The row of each hand-made node.
    blocks : dict
        Stage number to the blocks of each of its ranks.
    height : int
        The number of rows. Nodes inside a fused cell have no values: their rows would come after.
    cells : dict
        Stage number to the cell that its nodes are, where they are one.
    poolings : dict
        The first row of a block to the pooling that it is.
    library : list of Layer
        All layers but the group of hand-made nodes.
    """

    def __init__(self, network: Network, fuse: bool = True, late: bool = True) -> None:
        self.network = network
        self.group = network.handmade.group
        self.table = network.handmade.table()
        self.library = [layer for layer in network.all_layers if layer is not self.group]
        self._node_layer = np.repeat(
            np.arange(len(self.library)), [layer.size for layer in self.library]
        )
        self._group_start = self.group.offset if self.group.size else self._node_layer.size
        self.blocks: dict[int, list[list[Block]]] = {}
        self.cells: dict[int, MadeCell] = {}
        stages = network.stages() if self.group.size and fuse else []
        if any(stage.direction for stage in stages):
            finder = CellFinder(network, self.table)
            found = {number: finder.find(stage) for number, stage in enumerate(stages)}
            self.cells = {
                number: cell
                for number, cell in found.items()
                if cell is not None and (late or not cell.late.any())
            }
        self.poolings: dict[int, MadePooling] = {}
        self._arrange(fuse)
        self._node_in = np.argsort(self.row)
        self._sort_edges()

    def _arrange(self, fuse: bool) -> None:
        """Give every hand-made node a row, block by block in order of calculation."""
        first = len(self.library) if self.group.size else 0
        self.row = np.zeros(self.group.size, dtype=np.int64)
        self._block_of = np.full(self.group.size, -1)
        self.height = 0
        keys = self._keys() if self.group.size else []
        for number, stage in enumerate(self.network.stages() if self.group.size else []):
            if number in self.cells:
                self.blocks[number] = [[self._block(self.cells[number].hidden, "cell")]]
                continue
            pools = fuse and stage.direction == 0
            members = [np.sort(rank[rank >= first] - first) for rank in stage.ranks]
            self.blocks[number] = [self._rank(nodes, keys, pools) for nodes in members]
        after = self.height
        for cell in self.cells.values():
            self.row[cell.inner] = np.arange(after, after + len(cell.inner))
            after += len(cell.inner)

    def _rank(self, nodes: Indices, keys: list[Hashable], pools: bool) -> list[Block]:
        """Return the blocks of nodes that do not feed each other."""
        blocks = []
        if pools:
            for pooling in find_poolings(
                self.network.handmade.nodes, self.table, self._group_start, nodes, self._block_of
            ):
                blocks.append(self._block(pooling.nodes, "pooling"))
                self.poolings[blocks[-1].start] = pooling
                nodes = np.setdiff1d(nodes, pooling.nodes)
        groups: dict[Hashable, list[int]] = {}
        for index in nodes.tolist():
            groups.setdefault(keys[index], []).append(index)
        return blocks + [self._block(np.array(members)) for members in groups.values()]

    def _block(self, members: Indices, kind: str = "") -> Block:
        """Give some nodes the next rows."""
        node, start = self.network.handmade.nodes[members[0]], self.height
        kind = kind or {InputNode: "input", ConstNode: "const"}.get(type(node), "units")
        self.row[members] = np.arange(start, start + len(members))
        self._block_of[members] = start
        self.height += len(members)
        return Block(kind, tuple(members.tolist()), start, node.activation, node.aggregation)

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
                return (node.activation, node.aggregation)
            return (node.activation, node.aggregation, tuple(into[index]))

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

    def edges_into(self, block: Block) -> Indices:
        """Return which edges of the table lead into a block."""
        low, high = np.searchsorted(self._targets, [block.start, block.stop])
        return self._order[low:high]

    def edges_into_layer(self, layer: Layer) -> Indices:
        """Return which hand-made connections lead into a library layer."""
        if not len(self.table.downs) or layer not in self.library:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(self._lower_layer == self.library.index(layer))

    def delays_from(self, layer: Layer) -> list[int]:
        """Return the delays of hand-made connections out of a library layer."""
        if layer not in self.library or not len(self.table.ups):
            return []
        chosen = self._sources == self.library.index(layer)
        return [int(each) for each in distinct(self.table.delays[chosen])]

    def delays_within(self) -> Indices:
        """Return the delays of the connections out of hand-made nodes, but those inside cells."""
        counts = self._sources < 0
        for cell in self.cells.values():
            counts[cell.within] = False
        return self.table.delays[counts]

    def downs_in(self, block: Block, chosen: Indices) -> Indices:
        """Return for edges into a block the numbers of their lower ends in it."""
        return self.row[self.table.downs[chosen] - self._group_start] - block.start

    def edges(self, chosen: Indices, downs: Indices) -> dict[tuple[int, int], Edges]:
        """Split edges by source and delay; ``downs`` are the numbers of their lower ends."""
        table = self.table
        parts: dict[tuple[int, int], Edges] = {}
        sources, delays = self._sources[chosen], table.delays[chosen]
        for source, delay in sorted(set(zip(sources.tolist(), delays.tolist(), strict=True))):
            here = (sources == source) & (delays == delay)
            some = chosen[here]
            ups = table.ups[some]
            if source < 0:
                ups = self.row[ups - self._group_start]
            else:
                ups = ups - self.library[source].offset
            owners, addresses = table.owners[some], table.addresses[some]
            parts[source, delay] = Edges(ups, downs[here], owners, addresses)
        return parts

    def incoming(self, chosen: Indices, downs: Indices) -> Incoming:
        """Return some edges with where they come from; ``downs`` are their lower ends."""
        table = self.table
        sources, ups = self.rows_of(table.ups[chosen])
        edges = Edges(ups, downs, table.owners[chosen], table.addresses[chosen])
        return Incoming(sources, table.delays[chosen], edges)

    def all_edges(self, chosen: Indices) -> Edges:
        """Return some edges, both ends as nodes of the network."""
        table = self.table
        columns = (table.ups, table.downs, table.owners, table.addresses)
        return Edges(*(column[chosen] for column in columns))

    def rows_of(self, numbers: Indices) -> tuple[Indices, Indices]:
        """Return the source (-1: the hand-made nodes) and the row of nodes of the network."""
        sources, rows = self._source_of(numbers), numbers.copy()
        made = sources < 0
        rows[made] = self.row[rows[made] - self._group_start]
        offsets = np.array([layer.offset for layer in self.library], dtype=np.int64)
        rows[~made] -= offsets[sources[~made]]
        return sources, rows

    def labels_in(self, source: int) -> Callable[[int], str]:
        """Return what names the node in a row of a source."""
        return self.label_of if source < 0 else self.library[source].node_label

    def label_of(self, row: int) -> str:
        """Return the name of the node whose values are in a row."""
        return self.network.handmade.nodes[int(self._node_in[row])].label

    def name(self, block: Block) -> str:
        """Return a name for a block: its nodes, if they are few."""
        return joint_name(range(block.start, block.stop), self.label_of)

    def label(self, block: Block) -> str:
        """Return how a block is spoken of."""
        return joint_label(range(block.start, block.stop), self.label_of)

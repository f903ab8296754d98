"""Edge kernels: explicit edges lowered to products, scalings or sparse products on rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurograph.compiler.operations.edges import SparseTable, WeightIndex
from neurograph.compiler.program import Ref
from neurograph.compiler.recognise import Edges, Pattern, affine, recognise
from neurograph.parameter import Parameter

if TYPE_CHECKING:
    from neurograph.compiler.lower import Lowering

Indices = NDArray[np.int64]


class EdgeKernels:
    """Emits the kernel that fits a set of edges, with their weights from wherever they live.

    ``parameters`` are those that the edges' owners count; others join at the end.
    """

    def __init__(self, lowering: Lowering, parameters: list[Parameter]) -> None:
        self.lowering = lowering
        self.builder = lowering.builder
        self.parameters = parameters

    def note(self, block: str, kernel: str, reason: str, edges: Edges) -> None:
        """Add a row to the table of ``model.explain()``."""
        weights = len(np.unique(edges.owners * (1 << 40) + edges.addresses))
        self.lowering.add_row(block, kernel, reason, len(edges), weights)

    def add(self, net: Ref, x: Ref, edges: Edges, nodes: int, name: str, origin: str) -> None:
        """Add edges from the rows ``x`` to the rows ``net``, by the kernel that fits."""
        if not len(edges):
            return
        pattern = recognise(edges, nodes)
        ordered = edges.where(pattern.order)
        array = self.builder.arrays[x.name]
        through = len(self.builder.arrays[net.name].dims) == 3
        if through and len(array.dims) == 2:
            self._add_repeated(net, x, pattern, ordered, nodes, name)
            return
        self.note(f"{origin} -> {name}", pattern.kind, pattern.reason, edges)
        self._kernel(net, x, pattern, ordered, nodes, name)

    def _add_repeated(
        self, net: Ref, x: Ref, pattern: Pattern, ordered: Edges, nodes: int, name: str
    ) -> None:
        """Add edges from a source without time to rows that have it."""
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

    # weights ----------------------------------------------------------------------------------

    def owner(self, parameter: Parameter | None, constant: float) -> int:
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

"""Edge kernels: explicit edges lowered to products, scalings or sparse products on rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurograph.compiler.names import joint_label, joint_name, late_name
from neurograph.compiler.operations.edges import SparseTable, WeightIndex
from neurograph.compiler.program import Ref
from neurograph.compiler.recognise import Edges, Pattern, affine, constant_weights, recognise
from neurograph.graph.distinct import all_differ, distinct
from neurograph.parameter import Parameter

if TYPE_CHECKING:
    from neurograph.compiler.lower import Lowering

Indices = NDArray[np.int64]
LONG = 40  # letters of a name that is still read


@dataclass(frozen=True, slots=True)
class Into:
    """Names for edges into some nodes, from anywhere.

    ``name`` and ``label`` are those of the nodes below; ``label_of`` returns the name of the node
    in a row of the source, which is read ``late`` steps later.
    """

    name: str
    label: str
    label_of: Callable[[int], str]
    late: int = 0

    def source(self, rows: Indices) -> str:
        """Return a name for the values of a source."""
        return late_name(joint_name(rows, self.label_of), -self.late)

    def weights(self, rows: Indices) -> str:
        """Return a name for the weights of edges."""
        name = f"{self.source(rows)}_into_{self.name}"
        return name if len(name) <= LONG else f"into_{self.name}"

    def block(self, rows: Indices) -> str:
        """Return how the edges are spoken of: ``a, b -> h [delay 1]``."""
        late = f" [delay {self.late}]" if self.late else ""
        return f"{joint_label(rows, self.label_of)} -> {self.label}{late}"


class EdgeKernels:
    """Emits the kernel that fits a set of edges, with their weights from wherever they live.

    ``parameters`` are those that the edges' owners count; others join at the end.
    """

    def __init__(self, lowering: Lowering, parameters: list[Parameter]) -> None:
        self.lowering = lowering
        self.builder = lowering.builder
        self.parameters = parameters
        self._constants: dict[float, Parameter] = {}

    def note(self, block: str, kernel: str, reason: str, edges: Edges) -> None:
        """Add a row to the table of ``model.explain()``."""
        weights = len(distinct(edges.owners * (1 << 40) + edges.addresses))
        self.lowering.add_row(block, kernel, reason, len(edges), weights)

    def add(self, net: Ref, x: Ref, edges: Edges, nodes: int, into: Into) -> None:
        """Add edges from the rows ``x`` to the rows ``net``, by the kernel that fits."""
        pattern = recognise(edges, nodes)
        ordered = edges.where(pattern.order)
        self.note(into.block(pattern.rows), pattern.kind, pattern.reason, edges)
        array = self.builder.arrays[x.name]
        if len(self.builder.arrays[net.name].dims) == 3 and len(array.dims) == 2:
            once = self.builder.array(f"{into.name}_once", (nodes, "B"), nodes_first=True)
            self._kernel(Ref(once), Ref(x.name), pattern, ordered, nodes, into)
            self.builder.emit("copy", net, once)  # what has no time goes to every step of it
        else:
            self._kernel(net, x, pattern, ordered, nodes, into)

    def _kernel(
        self, net: Ref, x: Ref, pattern: Pattern, ordered: Edges, nodes: int, into: Into
    ) -> None:
        name = into.weights(pattern.rows)
        if pattern.kind == "sparse":
            self._sparse(net, x, ordered, nodes, name)
            return
        x = self.rows(x, pattern.rows, into)
        if pattern.kind == "one-to-one":
            self.builder.emit("scale", net, x, self.weights(ordered, (nodes,), name))
            return
        shape = (nodes, len(pattern.rows))
        matrix = (
            self.weights(ordered, shape, name)
            if pattern.kind == "dense"
            else self.gathered(ordered, pattern.places, shape, name)
        )
        self.builder.emit("product", net, x, matrix, turned=1)

    def _sparse(self, net: Ref, x: Ref, ordered: Edges, nodes: int, name: str) -> None:
        weights = self.weights(ordered, (len(ordered),), name)
        counts = np.bincount(ordered.downs, minlength=nodes)
        table = SparseTable(
            np.concatenate([[0], counts.cumsum()]).astype(np.int32),
            ordered.ups.astype(np.int32),
            ordered.downs.astype(np.int32),
        )
        label = self.builder.constant(f"{name}_edges", table)
        self.builder.emit("sparse", net, x, weights, table=label)

    def rows(self, x: Ref, rows: Indices, into: Into) -> Ref:
        """Return some rows: a part where they lie together, else a copy of them."""
        late = x.offset is not None
        return self._picked(x, rows, joint_name(rows, into.label_of) if late else into.source(rows))

    def _picked(self, x: Ref, rows: Indices, name: str) -> Ref:
        array = self.builder.arrays[x.name]
        if np.array_equal(rows, rows[0] + np.arange(len(rows))):
            lead: list[tuple[int, int | None]] = [(0, None)] * (len(array.dims) - 2)
            place = (int(rows[0]), int(rows[0]) + len(rows))
            return Ref(self.builder.part(x.name, (*lead, place), name), x.offset)
        index = self.builder.constant(f"{name}_rows", rows)
        dims = (*array.dims[:-2], len(rows), array.dims[-1])
        step = None if x.offset is None else 0
        picked = Ref(self.builder.array(f"{name}_picked", dims, nodes_first=True), step)
        self.builder.emit("gather", picked, x, accumulate=False, rows=index)
        return picked

    def signals(self, rows: Ref, edges: Edges, name: str) -> Ref:
        """Return weight * output of one connection into each node, as rows."""
        if self._are_ones(edges):
            return self._picked(rows, edges.ups, f"{name}_from")
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

    def _are_ones(self, edges: Edges) -> bool:
        """Whether all weights are 1 for good, and nobody asks for their gradients."""
        weights = constant_weights(self.parameters, edges.owners, edges.addresses)
        if self.lowering.keep or (weights != 1.0).any():
            return False
        self.keep_constants(edges, weights)
        return True

    def keep_constants(self, edges: Edges, weights: NDArray[np.float64]) -> None:
        """Note that the program is right only while some edges have these weights."""
        for owner in distinct(edges.owners).tolist():
            some, parameter = edges.owners == owner, self.parameters[owner]
            if not self._is_constant(parameter):
                self.lowering.take_as_constant(parameter, edges.addresses[some], weights[some])

    # weights ----------------------------------------------------------------------------------

    def owner(self, parameter: Parameter | None, constant: float) -> int:
        """Return the number of a parameter; constants become one that is never trained."""
        if parameter is None:
            fresh = Parameter(constant, name="constant", trainable=False)
            parameter = self._constants.setdefault(constant, fresh)
        for number, known in enumerate(self.parameters):
            if known is parameter:
                return number
        self.parameters.append(parameter)
        return len(self.parameters) - 1

    def _is_constant(self, parameter: Parameter) -> bool:
        """Whether it stands for the constant weight of bundles."""
        return any(parameter is each for each in self._constants.values())

    def _flat(self, owner: int) -> str:
        parameter = self.parameters[owner]
        if self._is_constant(parameter):
            return self.lowering.table("constant", parameter.value, (1,))
        name = self.lowering.parameter(parameter)
        return self.builder.reshape(name, (parameter.size,))

    def weights(self, edges: Edges, shape: tuple[int, ...], name: str) -> str:
        """Return the weights of ordered edges as an array: a view where the addresses allow it."""
        owners = distinct(edges.owners)
        if len(owners) == 1:
            view = self._weight_view(int(owners[0]), edges.addresses, shape, name)
            if view is not None:
                return view
        return self.gathered(edges, np.arange(len(edges)), shape, name)

    def _weight_view(
        self, owner: int, addresses: Indices, shape: tuple[int, ...], name: str
    ) -> str | None:
        matrix = shape if len(shape) == 2 else (1, *shape)
        found = affine(addresses, (matrix[0], matrix[1]))
        if found is None:
            return None
        start, stride = found
        size = self.parameters[owner].size
        if len(shape) == 1:
            return self.builder.part(self._flat(owner), ((start, start + shape[0]),), name)
        shift = max(0, start + shape[0] * stride - size)
        if shift > start or shift + shape[1] > stride:
            return None
        low = start - shift
        run = (low, low + shape[0] * stride)
        whole = shape[1] == stride
        rows = self.builder.part(self._flat(owner), (run,), f"{name}_flat")
        rows = self.builder.reshape(rows, (shape[0], stride), name if whole else f"{name}_wide")
        return self.builder.part(rows, ((0, None), (shift, shift + shape[1])), name)

    def gathered(self, edges: Edges, places: Indices, shape: tuple[int, ...], name: str) -> str:
        """Return a weight array, 0 but at ``places``, that is gathered anew before every run."""
        array = self.builder.array(name, shape)
        with self.builder.outside_loop():
            self._take(array, edges, places, shape, name)
        return array

    def _take(
        self, array: str, edges: Edges, places: Indices, shape: tuple[int, ...], name: str
    ) -> None:
        for owner in distinct(edges.owners).tolist():
            some = edges.owners == owner
            index = np.zeros(int(np.prod(shape)), dtype=np.int64)
            index[places[some]] = edges.addresses[some]
            present = np.zeros(len(index), dtype=bool)
            present[places[some]] = True
            table = WeightIndex(
                index.reshape(shape),
                None if present.all() else present.reshape(shape),
                all_differ(edges.addresses[some]),
            )
            label = self.builder.constant(name, table)
            self.builder.emit("take", array, self._flat(owner), index=label)

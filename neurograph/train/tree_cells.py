"""Tree cells: the arrays of a tree layer for a batch, run forward and back by the kernels.

Rows of the arrays are nodes by height, as the plan of the batch orders them. Arrays grow with the
largest batch seen and are used in part for smaller ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurograph.functions import ACTIVATIONS, Activation
from neurograph.graph.layer import Layer
from neurograph.graph.tree import Array
from neurograph.kernels import recurrent
from neurograph.kernels.trees import ChildSumPlan, TreePlan
from neurograph.kernels.trees_lstm import (
    HALVED,
    by_gate,
    child_sum_backward,
    child_sum_forward,
    child_sum_shapes,
    child_sum_weight_gradient,
    child_sum_weights,
)
from neurograph.kernels.trees_recursive import (
    recursive_backward,
    recursive_forward,
    recursive_shapes,
    recursive_weight_gradient,
)
from neurograph.train.forest import Forest

SPARE = 1.25  # how much larger arrays become than they have to
Kept = dict[str, dict[str, Array]]  # part -> net, output, delta -> (nodes, shape)


class TreeCell:
    """What the cells share: room for a batch, and the way between rows and nodes.

    Parameters
    ----------
    layer : Layer
        That of the recipe.
    dtype : str
    """

    def __init__(self, layer: Layer, dtype: str) -> None:
        self.layer = layer
        self.dtype = dtype
        self.parameters = layer.parameters
        self.arrays: dict[str, Array] = {}
        self._room = (0, 0)

    def _shapes(self, rows: int, others: int) -> dict[str, tuple[int, ...]]:
        raise NotImplementedError

    def _make_room(self, rows: int, others: int) -> None:
        if rows > self._room[0] or others > self._room[1]:
            self._room = (
                max(self._room[0], int(SPARE * rows)),
                max(self._room[1], int(SPARE * others)),
            )
            shapes = self._shapes(*self._room)
            self.arrays = {name: np.zeros(shape, self.dtype) for name, shape in shapes.items()}

    def _value(self, name: str) -> Any:
        found = self.parameters.get(name)
        return None if found is None else found.value

    def _gradient(self, name: str) -> Any:
        found = self.parameters.get(name)
        return None if found is None else found.gradient

    def penalties(self) -> float:
        """Add the gradients of the regularizers; return their share of the loss."""
        total = 0.0
        for parameter in self.parameters.values():
            if parameter.regularizer is not None and parameter.trainable:
                parameter.gradient += parameter.regularizer.gradient(parameter.value)
                total += float(parameter.regularizer(parameter.value))
        return total

    def outputs(self, forest: Forest, roots: bool) -> Array:
        """Return the vectors of the roots, or of all nodes in their own order."""
        rows, plan = self._rows(forest), forest.plan
        if roots:
            return rows[plan.roots]
        return self._by_node(plan, rows)

    def _by_node(self, plan: TreePlan | ChildSumPlan, rows: Array) -> Array:
        found = np.empty_like(rows)
        found[plan.order] = rows
        return found

    def _rows(self, forest: Forest) -> Array:
        raise NotImplementedError

    # to be given by each kind -------------------------------------------------------------------

    def forward(self, forest: Forest, x: Array) -> None:
        """Run a batch whose given nodes have the vectors x, (given nodes, features)."""
        raise NotImplementedError

    def backward(self, forest: Forest, d_outputs: Array, roots: bool) -> None:
        """Set the gradients of the parameters."""
        raise NotImplementedError

    def d_x(self, forest: Forest) -> Array:
        """Return the gradient of x, (given nodes, features), after ``backward``."""
        raise NotImplementedError

    def kept(self, forest: Forest, backward: bool) -> Kept:
        """Return net, output and delta of every part at every node, 0 where there is no copy."""
        raise NotImplementedError


class RecursiveCell(TreeCell):
    """The cell of ``Recursive``."""

    def __init__(self, layer: Layer, dtype: str) -> None:
        super().__init__(layer, dtype)
        self.units, self.children = layer.size, int(layer.config["children"])
        self.activate, self.slope = _in_place(layer.parts["inner"].activation)

    def _shapes(self, rows: int, others: int) -> dict[str, tuple[int, ...]]:
        return recursive_shapes(rows, rows - others, self.units, self.children)

    def _rows(self, forest: Forest) -> Array:
        return self.arrays["values"][: forest.nodes]

    def forward(self, forest: Forest, x: Array) -> None:
        """Run a batch whose leaves have the vectors x."""
        plan = forest.plan
        assert isinstance(plan, TreePlan)
        leaves = plan.bounds[1]
        self._make_room(forest.nodes, forest.nodes - leaves)
        a = self.arrays
        a["values"][:leaves] = x
        recursive_forward(
            plan, self._value("kernel"), self._value("bias"), a["values"], a["joined"], a["net"],
            self.activate,
        )  # fmt: skip

    def backward(self, forest: Forest, d_outputs: Array, roots: bool) -> None:
        """Set the gradients of the parameters."""
        plan, a = forest.plan, self.arrays
        assert isinstance(plan, TreePlan)
        d_values = a["d_values"][: forest.nodes]
        if roots:
            d_values[...] = 0
            d_values[plan.roots] = d_outputs
        else:
            np.take(d_outputs, plan.order, axis=0, out=d_values, mode="clip")
        recursive_backward(
            plan, self._value("kernel"), a["values"], a["net"], self.slope,
            a["d_values"], a["d_net"], a["d_joined"], a["work"],
        )  # fmt: skip
        recursive_weight_gradient(
            plan, a["joined"], a["d_net"], self._gradient("kernel"), self._gradient("bias")
        )

    def d_x(self, forest: Forest) -> Array:
        """Return the gradient of the leaves' vectors."""
        return self.arrays["d_values"][: forest.plan.bounds[1]]

    def kept(self, forest: Forest, backward: bool) -> Kept:
        """Return net, output and delta of every part at every node."""
        plan, a, nodes = forest.plan, self.arrays, forest.nodes
        leaves, inner = plan.bounds[1], nodes - plan.bounds[1]

        def spread(rows: Array) -> Array:
            found = np.zeros((nodes, rows.shape[1]), rows.dtype)
            found[plan.order[leaves:]] = rows
            return found

        hidden = self._by_node(plan, a["values"][:nodes])
        joined = spread(a["joined"][:inner])
        found = {
            "hidden": {"net": hidden, "output": hidden},
            "joined": {"net": joined, "output": joined},
            "inner": {
                "net": spread(a["net"][:inner]),
                "output": spread(a["values"][leaves:nodes]),
            },
        }
        if backward:
            d_net = a["d_net"][:inner]
            found["hidden"]["delta"] = -self._by_node(plan, a["d_values"][:nodes])
            found["inner"]["delta"] = -spread(d_net)
            found["joined"]["delta"] = -spread(d_net @ self._value("kernel").T)
        return found


class ChildSumCell(TreeCell):
    """The cell of ``ChildSumTreeLSTM``."""

    def __init__(self, layer: Layer, dtype: str) -> None:
        super().__init__(layer, dtype)
        self.units = layer.size
        self.features = self.parameters["kernel"].shape[0]
        self.biased = "bias" in self.parameters
        self._by_row: Array = np.empty(0, np.intp)  # the given nodes, sorted by their rows
        self.rows_given: Any = slice(0, 0)
        self.leaves_given = 0  # so many of those rows, the first, are leaves, without a gate f

    def _shapes(self, rows: int, others: int) -> dict[str, tuple[int, ...]]:
        columns = self.features + self.biased
        return child_sum_shapes(rows, others, self.units) | {
            "x": (rows, columns),
            "weights": (4, columns, self.units),
            "ones": (rows,),
        }

    def _rows(self, forest: Forest) -> Array:
        return self.arrays["h"][: forest.nodes]

    def _make_room(self, rows: int, others: int) -> None:
        before = self.arrays
        super()._make_room(rows, others)
        if self.arrays is not before:
            self.arrays["x"][:, self.features :] = self.arrays["ones"][:, None] = 1

    def forward(self, forest: Forest, x: Array) -> None:
        """Run a batch whose given nodes have the vectors x."""
        plan, nodes = forest.plan, forest.nodes
        assert isinstance(plan, ChildSumPlan)
        self._make_room(nodes, len(plan.child))
        a, given = self.arrays, len(x)
        place = _row_of_node(plan)[forest.given]
        self._by_row = by_row = np.argsort(place, kind="stable")
        rows = place[by_row]
        a["x"][:given, : self.features] = x[by_row]
        self._weigh()
        leading = given and rows[-1] == given - 1  # leaves alone, or all nodes
        self.rows_given = slice(0, given) if leading else rows
        self.leaves_given = plan.bounds[1] if leading else 0
        self.project(a["gates"][:, :nodes], given, self.leaves_given)
        names = ("halved", "gates", "h", "c", "h_sum", "tanh_c", "h_child", "c_child", "forget")
        child_sum_forward(plan, *(a[each] for each in (*names, "d_forget", "step")))

    def _weigh(self) -> None:
        """Take the weights gate by gate, halved for sigmoids: those of x and the bias together."""
        a = self.arrays
        child_sum_weights(self._value("recurrent_kernel"), a["halved"])
        child_sum_weights(self._value("kernel"), a["weights"][:, : self.features])
        if self.biased:
            child_sum_weights(self._value("bias")[None], a["weights"][:, self.features :])

    def project(self, net: Array, given: int, leaves: int) -> None:
        """Write the input projections: the bias alone for nodes that are not given.

        The gate f of the first ``leaves`` rows is left out: they have nothing to forget.
        """
        x, weights, rows = self.arrays["x"][:given], self.arrays["weights"], self.rows_given
        bias = weights[:, self.features :].sum(axis=1, keepdims=True)
        if not isinstance(rows, slice):
            net[...] = bias
            net[:, rows] = np.matmul(x, weights)
            return
        net[:, given:] = bias
        np.matmul(x, weights[:3], out=net[:3, :given])
        if given > leaves:
            np.matmul(x[leaves:], weights[3], out=net[3, leaves:given])

    def backward(self, forest: Forest, d_outputs: Array, roots: bool) -> None:
        """Set the gradients of the parameters."""
        plan, nodes, a = forest.plan, forest.nodes, self.arrays
        assert isinstance(plan, ChildSumPlan)
        if not roots:
            np.take(d_outputs, plan.order, axis=0, out=a["d_h"][:nodes], mode="clip")
        names = ["gates", "h", "tanh_c", "forget", "d_h", "d_c", "d_net", "d_forget"]
        names += ["d_h_child", "c_child", "work", "step", "turned"]
        child_sum_backward(
            plan, self._value("recurrent_kernel"), *(a[each] for each in names),
            d_roots=d_outputs if roots else None,
        )  # fmt: skip
        child_sum_weight_gradient(
            plan, a["h_sum"], a["h_child"], a["d_net"], a["d_forget"],
            self._gradient("recurrent_kernel"),
        )  # fmt: skip
        d_net, x = a["d_net"][:, :nodes], a["x"][: len(forest.given), : self.features]
        d_given, above = d_net[:, self.rows_given], self.leaves_given
        d_kernel = by_gate(self._gradient("kernel"))
        np.matmul(x.T, d_given[:3], out=d_kernel[:3])
        np.matmul(x[above:].T, d_given[3, above:], out=d_kernel[3])
        if self.biased:
            np.matmul(a["ones"][:nodes], d_net, out=self._gradient("bias").reshape(4, -1))

    def d_x(self, forest: Forest) -> Array:
        """Return the gradient of the vectors of the given nodes."""
        d_net, above = self.arrays["d_net"][:, self.rows_given], self.leaves_given
        turned = by_gate(self._value("kernel")).transpose(0, 2, 1)
        rows = np.matmul(d_net[:3], turned[:3]).sum(axis=0)
        rows[above:] += d_net[3, above:] @ turned[3]
        d_x = np.empty((len(forest.given), self.features), self.dtype)
        d_x[self._by_row] = rows
        return d_x

    def kept(self, forest: Forest, backward: bool) -> Kept:
        """Return net, output and delta of every part at every node."""
        return _ChildSumValues(self, forest, backward).kept()


def _row_of_node(plan: ChildSumPlan) -> Array:
    found = np.empty(len(plan.order), np.intp)
    found[plan.order] = np.arange(len(found))
    return found


GATES = ("input", "output", "candidate")


class _ChildSumValues:
    """Net, output and delta of the parts of a child-sum LSTM, from what its kernels left."""

    def __init__(self, cell: ChildSumCell, forest: Forest, backward: bool) -> None:
        assert isinstance(forest.plan, ChildSumPlan)
        self.plan, self.backward, self.units = forest.plan, backward, cell.units
        self.nodes, self.edges = forest.nodes, len(forest.plan.child)
        self.given = len(forest.given)
        self.u = by_gate(cell.parameters["recurrent_kernel"].value)
        self.cell, self.arrays = cell, cell.arrays

    def _rows(self, name: str) -> Array:
        return self.arrays[name][: self.nodes]

    def _at_edges(self, values: Array) -> Array:
        """Return values of edges as those of their lower nodes, as rows; 0 at the roots."""
        found = np.zeros((self.nodes, self.units), values.dtype)
        found[self.plan.child] = values[: self.edges]
        return found

    def _of_parents(self, rows: Array) -> Array:
        """Return for every row that of its parent, 0 at the roots."""
        parents = np.zeros(self.nodes, np.intp)
        for start, runs in zip(self.plan.bounds, self.plan.runs, strict=False):
            for first, count, places in runs:
                edges = slice(first, first + count * places)
                parents[self.plan.child[edges]] = start + np.tile(np.arange(count), places)
        found = rows[parents].copy()
        found[self.plan.roots] = 0
        return found

    def kept(self) -> Kept:
        """Return them by part, by node."""
        rows = self._rows
        i, o, u, forget_input = self._projected()
        forget_net = self._of_parents(forget_input) + rows("h") @ self.u[3]
        forget_net[self.plan.roots] = 0
        forget = self._at_edges(self.arrays["forget"])
        keep = forget * rows("c")
        opened, out, candidate = self.arrays["gates"][:3, : self.nodes]
        write = opened * candidate
        found: Kept = {
            name: {"net": net + rows("h_sum") @ weights, "output": output}
            for name, net, weights, output in zip(
                GATES, (i, o, u), self.u, (opened, out, candidate), strict=False
            )
        }
        found |= {
            "children": {"net": rows("h_sum"), "output": rows("h_sum")},
            "forget_input": {"net": forget_input, "output": forget_input},
            "forget": {"net": forget_net, "output": forget},
            "keep": {"net": keep, "output": keep},
            "write": {"net": write, "output": write},
            "cell": {"net": rows("c"), "output": rows("c")},
            "squash": {"net": rows("c"), "output": rows("tanh_c")},
            "hidden": {"net": rows("h"), "output": rows("h")},
        }
        if self.backward:
            self._add_deltas(found)
        return {
            part: {what: self._by_node(values) for what, values in row.items()}
            for part, row in found.items()
        }

    def _projected(self) -> Array:
        """Return what the gates get from x and the bias: (4, nodes, units)."""
        net = np.empty((4, self.nodes, self.units), self.u.dtype)
        self.cell.project(net, self.given, 0)
        net[HALVED, :] *= 2
        return net

    def _add_deltas(self, found: Kept) -> None:
        rows = self._rows
        d_net, d_h, d_c, tanh_c = (
            self.arrays["d_net"][:, : self.nodes], rows("d_h"), rows("d_c"), rows("tanh_c"),
        )  # fmt: skip
        deltas = dict(zip((*GATES, "forget_input"), d_net, strict=True))
        deltas |= {
            "children": sum(d @ u.T for d, u in zip(d_net[:3], self.u, strict=False)),
            "forget": self._at_edges(self.arrays["d_forget"]),
            "keep": self._of_parents(d_c),
            "write": d_c,
            "cell": d_c,
            "squash": d_h * self.arrays["gates"][1, : self.nodes] * (1 - tanh_c**2),
            "hidden": d_h,
        }
        for name, values in deltas.items():
            found[name]["delta"] = -values

    def _by_node(self, rows: Array) -> Array:
        found = np.empty((self.nodes, rows.shape[1]), rows.dtype)
        found[self.plan.order] = rows
        return found


CELLS: dict[str, type[TreeCell]] = {
    "recursive": RecursiveCell,
    "child_sum_tree_lstm": ChildSumCell,
}


def _in_place(activation: Activation) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return an activation and its derivative as functions that write into an array."""
    name = activation.name
    if name in recurrent.ACTIVATIONS and ACTIVATIONS.get(name) is activation:
        return recurrent.ACTIVATIONS[name]

    def activate(net: Array, output: Array) -> None:
        np.copyto(output, activation.function(net))

    def slope(net: Array, output: Array, slopes: Array) -> None:
        np.copyto(slopes, activation.derivative(net, output))

    return activate, slope

"""Layers that go along trees: recursive networks and the child-sum tree LSTM.

A tree layer stands for a cell of which there is one copy at every node of a tree, all with the same
weights. Its input gives values to the nodes of a tree; what is below works on each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurograph.errors import GraphError, OptionError, ShapeError
from neurograph.graph.bundles import BiasConnections, DenseConnections, OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.graph.trees import (
    ChildConnections,
    InnerConnections,
    LeafConnections,
    ParentConnections,
    RootConnections,
    TreeConnections,
)
from neurograph.layers.cell import cell_parameters
from neurograph.layers.recipe import ActivationSpec, Recipe, put_under
from neurograph.layers.recurrent_cells import ForgetBias


@dataclass(frozen=True, eq=False)
class TreeRecipe(Recipe):
    """What the tree layers share."""

    def at_nodes(self, source: Any) -> Layer:
        """Return a layer as one with a copy at every node of a tree, all below it included."""
        layer = self.one(source)
        below = _below(layer)
        if any(isinstance(bundle, TreeConnections) for each in below for bundle in each.incoming):
            raise GraphError(
                f"{self.label}: there is a tree layer below it already; a network has one"
            )
        if len(layer.shape) != 1:
            raise ShapeError(
                f"{self.label}: {layer.name or layer.kind!r} has shape {layer.shape} at each "
                f"node of a tree, expected (features,)"
            )
        fixed = next((each for each in below if each.sequence and each.steps is not None), None)
        if fixed is not None:
            raise ShapeError(
                f"{self.label}: {fixed.name or fixed.kind!r} is a sequence of {fixed.steps} steps; "
                f"trees have any number of nodes, give ng.Input((None, {layer.shape[0]}))"
            )
        for each in below:
            if each.role != "const":
                each.sequence = True
            if each.role == "input":
                each.config["trees"] = True
        return layer

    def above(self, hidden: Layer) -> Layer:
        """Return the layer of a tree's root."""
        root = self.make(hidden.shape, [hidden], sequence=False)
        RootConnections(hidden, root)
        return root

    def finish(self, root: Layer, parts: dict[str, Layer], cell: str) -> Layer:
        """Put the parts of a cell under its layer."""
        for name, part in parts.items():
            if part is root:
                root.parts[name] = root
            else:
                put_under(root, name, part)
        root.config["cell"] = cell
        return root


def _below(layer: Layer) -> list[Layer]:
    found = {id(layer): layer}
    stack = [layer]
    while stack:
        each = stack.pop()
        for other in [bundle.source for bundle in each.incoming] + list(each.parts.values()):
            if id(other) not in found:
                found[id(other)] = other
                stack.append(other)
    return list(found.values())


@dataclass(frozen=True, eq=False)
class Recursive(TreeRecipe):
    """A node's vector is made of its children's: ``f([c1; c2; …] @ W + b)``; a leaf's is given.

    Pollack (1990); Goller & Küchler (1996); Socher and others (2011). Leaves and nodes have vectors
    of the same length, so that the same weights serve at every node.

    Parameters
    ----------
    units : int
    children : int
        How many children a node has that is no leaf.
    activation : str, Activation or None
    use_bias : bool
    kernel_initializer, bias_initializer : see ``neurograph.initializers``
    kernel_regularizer, bias_regularizer : see ``neurograph.regularizers``
    return_sequences : bool
        Whether the layer's values are the vectors of all nodes, or that of the root alone.

    Notes
    -----
    Weights: kernel (children * units, units), whose first rows belong to the first child; bias
    (units,). Parts: ``joined`` (the children's vectors side by side), ``inner`` (the vector made of
    them), ``hidden`` (that, or a leaf's own).

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> layer = Recursive(3)(Input((None, 3)))
    >>> layer.shape, layer.parameters["kernel"].shape
    ((3,), (6, 3))
    """

    units: int
    children: int = 2
    activation: ActivationSpec = "tanh"
    use_bias: bool = True
    kernel_initializer: Any = "glorot_uniform"
    bias_initializer: Any = "zeros"
    kernel_regularizer: Any = None
    bias_regularizer: Any = None
    return_sequences: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("units", "children")

    def __call__(self, source: Any) -> Layer:
        """Return the layer above the values of a tree's leaves.

        Raises
        ------
        ShapeError
            The leaves' vectors have another length than the layer.
        """
        source = self.at_nodes(source)
        if source.size != self.units:
            raise ShapeError(
                f"{self.label}: the leaves' vectors {source.name or source.kind!r} have length "
                f"{source.size}, those of the layer {self.units}; they must be as long, "
                f"ng.Dense({self.units}) before it makes them so"
            )
        shape, joined_size = (self.units,), self.children * self.units
        hidden = self._hidden(shape, source)
        joined = Layer((joined_size,), kind="joined", sequence=True)
        inner = Layer(shape, kind="inner", activation=self.activation, sequence=True)
        if inner.function is not None:
            raise OptionError(f"{self.label}: {inner.function.name} is no activation of one node")
        for child in range(self.children):
            ChildConnections(hidden, joined, child=child, start=child * self.units)
        kernel = self.parameter(
            "kernel", (joined_size, self.units), self.kernel_initializer, self.kernel_regularizer
        )
        DenseConnections(joined, inner, kernel)
        LeafConnections(source, hidden)
        InnerConnections(inner, hidden)
        root = hidden if self.return_sequences else self.above(hidden)
        root.parameters["kernel"] = kernel
        parts = {"joined": joined, "inner": inner, "hidden": hidden}
        if self.use_bias:
            bias = self.parameter(
                "bias", (self.units,), self.bias_initializer, self.bias_regularizer
            )
            root.parameters["bias"] = bias
            parts["const"] = Layer((1,), kind="const", role="const")
            BiasConnections(parts["const"], inner, bias)
        return self.finish(root, parts, "recursive")

    def _hidden(self, shape: tuple[int, ...], source: Layer) -> Layer:
        if self.return_sequences:
            return self.make(shape, [source])
        return Layer(shape, kind="hidden", sequence=True)


@dataclass(frozen=True, eq=False)
class ChildSumTreeLSTM(TreeRecipe):
    """A long short-term memory along trees whose nodes have any number of children.

    Tai, Socher & Manning (2015), equations 2 to 8: with s the sum of the children's states,
    ``i, o = sigmoid(x W + s U + b)``, ``g = tanh(x W + s U + b)``, for each child k a forget gate
    ``f_k = sigmoid(x W + h_k U + b)``; ``c = i g + sum of f_k c_k``, ``h = o tanh(c)``. A node
    without a value has no x.

    Parameters
    ----------
    units : int
    use_bias : bool
    unit_forget_bias : bool
        Whether the bias of the forget gates begins at 1.
    kernel_initializer, recurrent_initializer, bias_initializer : see ``neurograph.initializers``
    kernel_regularizer, recurrent_regularizer, bias_regularizer : see ``neurograph.regularizers``
    return_sequences : bool
        Whether the layer's values are the states of all nodes, or that of the root alone.

    Notes
    -----
    Weights: kernel (features, 4 units), recurrent_kernel (units, 4 units), bias (4 units,), in the
    order input, output, candidate, forget. Parts: ``children`` (the sum of the children's states),
    ``input``, ``output``, ``candidate``, ``forget`` (a node's gate is that on the way to its
    parent, whose value it reads through ``forget_input``), ``keep`` (forget times the node's cell),
    ``write`` (input times candidate), ``cell``, ``squash``, ``hidden``.

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> layer = ChildSumTreeLSTM(5)(Input((None, 3)))
    >>> layer.shape, layer.gate("forget").shape, layer.parameters["kernel"].shape
    ((5,), (5,), (3, 20))
    """

    units: int
    use_bias: bool = True
    unit_forget_bias: bool = True
    kernel_initializer: Any = "glorot_uniform"
    recurrent_initializer: Any = "orthogonal"
    bias_initializer: Any = "zeros"
    kernel_regularizer: Any = None
    recurrent_regularizer: Any = None
    bias_regularizer: Any = None
    return_sequences: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("units")

    def __call__(self, source: Any) -> Layer:
        """Return the layer above the values of a tree's nodes."""
        source = self.at_nodes(source)
        hidden = self._hidden(source)
        parts = self._parts()
        parts["hidden"] = hidden
        self._wire(parts)
        root = hidden if self.return_sequences else self.above(hidden)
        start: Any = self.bias_initializer
        if self.unit_forget_bias:
            start = ForgetBias(self.units, self.bias_initializer, place=3)
        columns = 4 * self.units
        root.parameters = cell_parameters(self, source.size, columns, (columns,), start)
        kernel, recurrent = root.parameters["kernel"], root.parameters["recurrent_kernel"]
        for number, name in enumerate(("input", "output", "candidate", "forget")):
            first = number * self.units
            reader = parts["forget_input" if name == "forget" else name]
            past = hidden if name == "forget" else parts["children"]
            DenseConnections(source, reader, kernel, first_column=first)
            DenseConnections(past, parts[name], recurrent, first_column=first)
            if self.use_bias:
                bias = root.parameters["bias"]
                const = parts.setdefault("const", Layer((1,), kind="const", role="const"))
                BiasConnections(const, reader, bias, channels=self.units, first=first)
        return self.finish(root, parts, "child_sum_tree_lstm")

    def _hidden(self, source: Layer) -> Layer:
        if self.return_sequences:
            return self.make((self.units,), [source], aggregation="product")
        return Layer((self.units,), kind="hidden", aggregation="product", sequence=True)

    def _parts(self) -> dict[str, Layer]:
        made = {}
        activations = {"candidate": "tanh", "squash": "tanh"}
        activations |= dict.fromkeys(("input", "output", "forget"), "sigmoid")
        names = "children input output candidate forget_input forget keep write cell squash"
        for name in names.split():
            made[name] = Layer(
                (self.units,),
                kind=name,
                activation=activations.get(name),
                aggregation="product" if name in ("keep", "write") else "sum",
                sequence=True,
            )
        return made

    def _wire(self, parts: dict[str, Layer]) -> None:
        ChildConnections(parts["hidden"], parts["children"])
        ParentConnections(parts["forget_input"], parts["forget"])
        pairs = [
            ("forget", "keep"), ("cell", "keep"), ("input", "write"), ("candidate", "write"),
            ("write", "cell"), ("cell", "squash"), ("output", "hidden"), ("squash", "hidden"),
        ]  # fmt: skip
        for source, target in pairs:
            OneToOneConnections(parts[source], parts[target])
        ChildConnections(parts["keep"], parts["cell"])

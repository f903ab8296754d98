"""A cell being wired: blocks of nodes and what feeds them, inputs, past states and bias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neurograph.graph.bundles import BiasConnections, DenseConnections, OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.layers.recipe import ActivationSpec
from neurograph.parameter import Parameter

if TYPE_CHECKING:
    from neurograph.layers.recurrent import Recurrent
    from neurograph.layers.trees import ChildSumTreeLSTM


def cell_parameters(
    recipe: Recurrent | ChildSumTreeLSTM,
    features: int,
    columns: int,
    bias: tuple[int, ...],
    bias_start: Any,
) -> dict[str, Parameter]:
    """Return kernel, recurrent kernel and, of shape ``bias``, the bias of a recurrent recipe."""
    made = {
        "kernel": recipe.parameter(
            "kernel", (features, columns), recipe.kernel_initializer, recipe.kernel_regularizer
        ),
        "recurrent_kernel": recipe.parameter(
            "recurrent_kernel",
            (recipe.units, columns),
            recipe.recurrent_initializer,
            recipe.recurrent_regularizer,
        ),
    }
    if recipe.use_bias:
        made["bias"] = recipe.parameter("bias", bias, bias_start, recipe.bias_regularizer)
    return made


@dataclass(slots=True)
class Cell:
    """A cell being wired: what its gates read, and the parts made so far.

    Attributes
    ----------
    columns : mapping
        The first column of each gate in the kernels.
    source : Layer
        The sequence of inputs.
    past : Layer
        The states that the gates read, ``late`` steps late.
    hidden : Layer
        The states; what feeds them is up to each kind of cell.
    delay : int
        1, or -1 if it goes backwards.
    """

    columns: Mapping[str, int]
    source: Layer
    hidden: Layer
    delay: int
    past: Layer = field(init=False)
    late: int = field(init=False)
    parts: dict[str, Layer] = field(default_factory=dict)
    parameters: dict[str, Parameter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.past, self.late = self.hidden, self.delay

    def part(self, name: str, activation: ActivationSpec = None, aggregation: str = "sum") -> Layer:
        """Make a block of as many nodes as the state has."""
        made = Layer(
            self.hidden.shape,
            kind=name,
            activation=activation,
            aggregation=aggregation,
            sequence=True,
            steps=self.hidden.steps,
        )
        self.parts[name] = made
        return made

    def gate(self, name: str, activation: ActivationSpec) -> Layer:
        """Make a gate: its columns of both kernels and its part of the bias."""
        made, column = self.part(name, activation), self.columns[name]
        self.read_input(made, column)
        self.read_past(made, column)
        self.add_bias(made, column)
        return made

    def read_input(self, target: Layer, column: int) -> None:
        """Feed a block from the inputs."""
        DenseConnections(self.source, target, self.parameters["kernel"], first_column=column)

    def read_past(self, target: Layer, column: int, past: Layer | None = None) -> None:
        """Feed a block from the states of the step before, or from another block."""
        source, delay = (self.past, self.late) if past is None else (past, 0)
        weights = self.parameters["recurrent_kernel"]
        DenseConnections(source, target, weights, first_column=column, delay=delay)

    def add_bias(self, target: Layer, first: int) -> None:
        """Feed a block from the ConstNode, with the weights from a flat index of the bias on."""
        if "bias" in self.parameters:
            bias = self.parameters["bias"]
            BiasConnections(self.const, target, bias, channels=target.size, first=first)

    @property
    def const(self) -> Layer:
        """The one ConstNode of the cell."""
        if "const" not in self.parts:
            self.parts["const"] = Layer((1,), kind="const", role="const")
        return self.parts["const"]

    def product(self, name: str, *factors: tuple[Layer, int]) -> Layer:
        """Make a block of products, node by node, of blocks each so many steps late."""
        made = self.part(name, aggregation="product")
        for source, delay in factors:
            OneToOneConnections(source, made, delay=delay)
        return made

"""Building hand-made nodes and connections again."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurograph.errors import FormatError, UnknownNameError
from neurograph.functions import Activation, get_activation
from neurograph.graph.connection import Connection
from neurograph.graph.layer import Layer
from neurograph.graph.node import ConstNode, InputNode, Node
from neurograph.parameter import Parameter
from neurograph.storage.record import Record, pick
from neurograph.storage.values import Revived

_COLUMNS = ("ups", "downs", "delays", "parameters", "addresses")


def build_node(row: Record, revived: Revived) -> Node:
    """Return one hand-made node, not yet connected."""
    kind, name = row.text("kind"), row.text("name")
    position = row.sizes("position", least=-(2**31)) if "position" in row else None
    if kind == "input":
        node: Node = InputNode(name, position=position)
    elif kind == "const":
        node = ConstNode(name)
        node.position = position
    elif kind == "node":
        aggregation = row.text("aggregation")
        node = Node(read_activation(row), aggregation, name=name, position=position)
    else:
        raise FormatError(f"{row.what}: there is no kind of node {kind!r}")
    if "initial" in row:
        node.initial = read_initial(row, (), revived)
    return node


def build_connections(
    edges: Record,
    layers: list[Layer],
    nodes: list[Node],
    parameters: list[Parameter],
    revived: Revived,
) -> list[Node]:
    """Make the hand-made connections; return the library nodes at their ends."""
    columns = [edges.column(name, revived) for name in _COLUMNS]
    if any(len(column) != len(columns[0]) for column in columns):
        raise FormatError("the connections: their columns do not have one length")
    numbered = _Numbered(layers, nodes)
    for up, down, delay, owner, address in zip(*(c.tolist() for c in columns), strict=True):
        parameter = pick("the connections: a parameter", owner, parameters)
        Connection(numbered[up], numbered[down], parameter=parameter, index=address, delay=delay)
    return list(numbered.wired.values())


class _Numbered:
    """The nodes of a network by number: those of the layers, then the hand-made ones."""

    def __init__(self, layers: list[Layer], nodes: list[Node]) -> None:
        self.layers = layers
        self.nodes = nodes
        self.starts = np.cumsum([0, *(layer.size for layer in layers)])
        self.wired: dict[int, Node] = {}

    def __getitem__(self, number: int) -> Node:
        first = int(self.starts[-1])
        if not 0 <= number < first + len(self.nodes):
            raise FormatError(f"the connections: there is no node {number}")
        if number >= first:
            return self.nodes[number - first]
        if number not in self.wired:
            place = int(np.searchsorted(self.starts, number, side="right")) - 1
            node = self.layers[place].own_node(number - int(self.starts[place]))
            self.wired[number] = node
        return self.wired[number]


def read_initial(row: Record, shape: tuple[int, ...], revived: Revived) -> Any:
    """Return an initial state, a number or an array that can be broadcast to a shape."""
    value = revived(row.fields["initial"])
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or not _fits(array.shape, shape):
        raise FormatError(f"{row.what}: its initial state is not numbers of shape {shape}")
    return value


def _fits(shape: tuple[int, ...], into: tuple[int, ...]) -> bool:
    """Whether an array of the one shape can be broadcast to the other."""
    pairs = zip(shape[::-1], into[::-1], strict=False)
    return len(shape) <= len(into) and all(side in (1, whole) for side, whole in pairs)


def read_activation(row: Record) -> Activation:
    """Return the activation that a row names, or raise UnknownNameError saying what to do."""
    name = row.text("activation")
    try:
        return get_activation(name)
    except UnknownNameError as error:
        raise UnknownNameError(
            f"{row.what} has the activation {name!r}, which is not known here; call "
            f"ng.register_activation({name!r}, function, derivative) first, then load again"
        ) from error

"""Scene: what a picture of nodes consists of, with the place of each node."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from neurograph.graph.layer import Layer
from neurograph.graph.node import ConstNode
from neurograph.parameter import Parameter
from neurograph.render.curves import Spot

NAME_SIZE = 10.0


@dataclass(slots=True)
class Disc:
    """One node as it is drawn; ``time`` is the step that it belongs to in an unrolled picture."""

    layer: Layer
    index: int
    column: int
    spot: Spot
    serial: int = 0
    time: int | None = None

    @property
    def constant(self) -> bool:
        """Whether it is a source of biases."""
        members = self.layer.members
        return self.layer.role == "const" or (
            members is not None and isinstance(members[self.index], ConstNode)
        )

    @property
    def kind(self) -> str:
        """What it is, in a word: input, units, noise or constant."""
        members = self.layer.members
        if self.constant:
            return "constant"
        if members is None:
            return self.layer.role
        return "units" if members[self.index].takes_connections else "input"

    @property
    def name(self) -> str:
        """What is written into it: its own name, or its place in the layer."""
        if self.constant:
            return "1"
        if self.layer.members is not None:
            return self.layer.members[self.index].label
        place = np.unravel_index(self.index, self.layer.shape)
        return ", ".join(str(int(k)) for k in place) or "0"

    @property
    def label(self) -> str:
        """How the node is called: its own name, or that of the layer with its place."""
        if self.layer.members is not None:
            return self.layer.members[self.index].label
        return self.layer.node_label(self.index)


@dataclass(frozen=True, slots=True)
class Gap:
    """The ellipsis that stands for the nodes of a column that are not drawn."""

    x: float
    y: float
    hidden: int


@dataclass(frozen=True, slots=True)
class Header:
    """The name of a library layer above its first node."""

    x: float
    y: float
    layer: Layer


@dataclass(frozen=True, slots=True)
class Wire:
    """One connection as it is drawn; ``strength`` is what gives width and colour."""

    up: Disc
    down: Disc
    parameter: Parameter | None
    address: int
    delay: int
    strength: float
    trainable: bool


def late(delay: int, along_trees: bool = False) -> str:
    """Return how a delay is written.

    >>> late(1), late(-2), late(1, along_trees=True)
    ('t−1', 't+2', 'child')
    """
    return "child" if along_trees else f"t{-delay:+d}".replace("-", "−")


@dataclass(slots=True)
class Scene:
    """The nodes shown, in order, what is left out, and the connections between those shown.

    ``between`` is the number of connections between the nodes shown, of which ``wires`` are drawn;
    ``along_trees``: a delay is the way from a child to its parent.
    """

    discs: list[Disc] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    texts: list[tuple[float, float, str]] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    between: int = 0
    hidden_nodes: int = 0
    folds_bias: bool = False
    unrolled: bool = False
    along_trees: bool = False

    def add(self, disc: Disc) -> None:
        """Take in a node."""
        disc.serial = len(self.discs)
        self.discs.append(disc)

    @property
    def left(self) -> float:
        """The left end of the nodes."""
        return min(disc.spot.x - disc.spot.half_width for disc in self.discs)

    @property
    def right(self) -> float:
        """The right end of the nodes."""
        return max(disc.spot.x + disc.spot.half_width for disc in self.discs)

    @property
    def bottom(self) -> float:
        """The lower end of the nodes."""
        ends = [disc.spot.y - disc.spot.half_height for disc in self.discs]
        return min([*ends, *(y - 6.0 for _, y, _ in self.texts)])

"""Arranging the nodes of a network in straight columns, in order, large layers cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neurograph.graph.layer import Layer
from neurograph.graph.node import ConstNode
from neurograph.render.columns import unit_columns
from neurograph.render.curves import Spot
from neurograph.render.options import Options
from neurograph.render.scene import NAME_SIZE, Disc, Gap, Header, Scene
from neurograph.render.style import text_width

if TYPE_CHECKING:
    from neurograph.graph.network import Network

RADIUS = 17.0
WIDEST = 62.0
FEW_NODES = 30
TITLE = 34.0  # the height of a layer's heading, in points
ROOM = 8.0


@dataclass(frozen=True, slots=True)
class Stack:
    """Nodes of one layer that stand in one column: those shown, and how many are left out."""

    layer: Layer
    indices: tuple[int, ...]
    hidden: int
    titled: bool

    @property
    def cut(self) -> int:
        """How many stand above the ellipsis."""
        return (len(self.indices) + 1) * 2 // 3 if self.hidden else len(self.indices)

    @property
    def late(self) -> bool:
        """Whether they are constants or noise, which stand last."""
        members = self.layer.members
        if members is not None:
            return isinstance(members[self.indices[0]], ConstNode)
        return self.layer.role in ("const", "noise")

    def height(self, pitch: float) -> float:
        """Return the height it takes."""
        rows = len(self.indices) + bool(self.hidden)
        return pitch * rows + self.head

    @property
    def head(self) -> float:
        """The room above the first node: for the heading, and for a loop on the node."""
        looped = any(bundle.source is self.layer for bundle in self.layer.incoming)
        return TITLE + 20.0 * looped if self.titled else ROOM


@dataclass(frozen=True, slots=True)
class Sizes:
    """The least half axes of a node, and the distance from one to the next below, in points."""

    half_width: float
    half_height: float
    pitch: float

    @classmethod
    def fitting(cls, network: Network, options: Options) -> Sizes:
        """Return sizes with room for what is written into the nodes, and for loops."""
        lines = len(options.values) if options.numbers else 0
        lines += sum(1 for each in ("activation", "bias") if each in options.show)
        tall = RADIUS + 4.0 * min(lines, 3) + 5.0 * max(lines - 3, 0)
        return cls(tall + 5.0 * bool(lines), tall, 2 * tall + (44.0 if _loops(network) else 12.0))

    def half_width_of(self, disc: Disc) -> float:
        """Return the half width that a node needs for its name."""
        return min(max(self.half_width, text_width(disc.name, NAME_SIZE) / 2 + 7.0), WIDEST)


def arrange(network: Network, options: Options) -> Scene:
    """Return the nodes of a network in straight columns, in order, large layers cut."""
    columns = _stacks(network, options.limit)
    plain = sum(len(s.indices) for column in columns for s in column if not s.late)
    scene = Scene(folds_bias=options.bias == "fold" or plain > FEW_NODES)
    if options.bias == "nodes":
        scene.folds_bias = False
    if scene.folds_bias:
        columns = [[each for each in column if not each.late] for column in columns]
    sizes = Sizes.fitting(network, options)
    heights = [sum(stack.height(sizes.pitch) for stack in column) for column in columns]
    gap = min(max(110.0, 0.4 * max(heights, default=0.0)), 260.0) + 50.0 * options.numbers
    right = -gap
    for number, (column, height) in enumerate(zip(columns, heights, strict=True)):
        half = max((_half_width(stack, sizes) for stack in column), default=sizes.half_width)
        _fill(scene, column, number, (right + gap + half, height / 2), sizes)
        right += gap + 2 * half
    return scene


def _stacks(network: Network, limit: int) -> list[list[Stack]]:
    library = network._library
    nodes, group = network.handmade.nodes, network.handmade.group
    columns = []
    for units in unit_columns(network):
        column = []
        for unit in units:
            if unit < len(library):
                layer = library[unit]
                column.append(_cut(layer, range(layer.size), limit, layer.role != "const"))
        made = [unit - len(library) for unit in units if unit >= len(library)]
        constants = [k for k in made if isinstance(nodes[k], ConstNode)]
        plain = [k for k in made if not isinstance(nodes[k], ConstNode)]
        column += [_cut(group, each, limit, False) for each in (plain, constants) if each]
        columns.append(sorted(column, key=lambda stack: stack.late))
    return columns


def _cut(layer: Layer, indices: Sequence[int], limit: int, titled: bool) -> Stack:
    if len(indices) <= limit:
        return Stack(layer, tuple(indices), 0, titled)
    shown = limit - 1
    first = (shown + 1) * 2 // 3
    kept = (*indices[:first], *indices[len(indices) - (shown - first) :])
    return Stack(layer, tuple(kept), len(indices) - len(kept), titled)


def _half_width(stack: Stack, sizes: Sizes) -> float:
    nowhere = Spot(0.0, 0.0, 0.0, 0.0)
    return max(sizes.half_width_of(Disc(stack.layer, k, 0, nowhere)) for k in stack.indices)


def _fill(
    scene: Scene, column: list[Stack], number: int, top: tuple[float, float], sizes: Sizes
) -> None:
    x, y = top
    for stack in column:
        if stack.titled:
            scene.headers.append(Header(x, y - 13.0, stack.layer))
        y -= stack.head
        for place, index in enumerate(stack.indices):
            if stack.hidden and place == stack.cut:
                scene.gaps.append(Gap(x, y - sizes.pitch / 2, stack.hidden))
                scene.hidden_nodes += stack.hidden
                y -= sizes.pitch
            disc = Disc(stack.layer, index, number, Spot(x, y - sizes.pitch / 2, 0.0, 0.0))
            fit(disc, sizes)
            scene.add(disc)
            y -= sizes.pitch


def fit(disc: Disc, sizes: Sizes) -> None:
    """Give a node the size that it needs; constants are small."""
    if disc.constant:
        disc.spot.half_width = disc.spot.half_height = 0.75 * RADIUS
    else:
        disc.spot.half_width, disc.spot.half_height = sizes.half_width_of(disc), sizes.half_height


def _loops(network: Network) -> bool:
    table = network.handmade.table()
    if bool((table.ups == table.downs).any()):
        return True
    return any(bundle.source is bundle.target for bundle in network.bundles)

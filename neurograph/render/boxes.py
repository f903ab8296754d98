"""Boxes: what the view of layers shows of each layer, and how the boxes are joined."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.errors import unknown
from neurograph.graph.layer import Layer
from neurograph.graph.temporal import FoldConnections
from neurograph.layers.recipe import kind_of
from neurograph.render.style import KIND_FILLS
from neurograph.words import count

if TYPE_CHECKING:
    from neurograph.graph.network import Network

HIDDEN_ROLES = ("const", "noise")
_FAMILIES = {
    "input": ("Input",),
    "dense": ("Dense", "Embedding"),
    "convolution": ("Conv1D", "Conv2D", "DepthwiseConv2D"),
    "recurrent": ("SimpleRNN", "LSTM", "GRU", "Bidirectional", "Recursive", "ChildSumTreeLSTM"),
    "normalisation": (
        "BatchNormalization",
        "LayerNormalization",
        "LocalResponseNormalization",
        "Dropout",
    ),
    "join": ("Add", "Multiply", "Average", "Maximum", "Concatenate"),
}
FOLLOWERS = frozenset(
    ("BatchNormalization", "LayerNormalization", "Activation", "ReLU", "LeakyReLU", "Dropout")
)
FAMILIES = {name: family for family, names in _FAMILIES.items() for name in names}


@dataclass(slots=True)
class Box:
    """One layer, or one part of an opened composite layer."""

    layer: Layer
    layers: list[Layer]
    cluster: str = ""
    sources: list[int] = field(default_factory=list)
    late: list[tuple[int, int]] = field(default_factory=list)
    followers: list[Box] = field(default_factory=list)
    axis: str = "time"
    parameters: int = 0
    shared: bool = False

    @property
    def type(self) -> str:
        """What kind of layer it is, in Keras's words."""
        if self.layer.members is not None:
            return count(self.layer.size, "hand-made node")
        if self.layer.role == "input":
            return "Input"
        return kind_of(self.layer)

    @property
    def output(self) -> Layer:
        """The layer whose values leave the box."""
        return self.followers[-1].layer if self.followers else self.layer

    @property
    def fill(self) -> str:
        """The colour of its family."""
        kind = self.type.split()[-1]
        family = FAMILIES.get(kind) or ("pooling" if "Pooling" in kind else "other")
        if self.type == "other" and self.layer.parameters:
            family = "dense"
        return KIND_FILLS[family]

    @property
    def shape(self) -> str:
        """The shape of its output, the time axis first where there is one."""
        sizes = [*map(str, self.output.shape)] if self.layer.members is None else []
        if self.output.sequence:
            steps = self.output.steps
            sizes.insert(0, self.axis if steps is None else str(steps))
        return " × ".join(sizes)

    @property
    def manner(self) -> str:
        """Its type with what matters most: the window, the activation, the rate."""
        config = self.layer.config
        if self.layer.root is not None and "recipe" not in config:
            steps = [self.layer.aggregation, self.layer.activation_name]
            return ", ".join(step for step in steps if step != "identity")
        words = [self.type]
        for option in ("kernel_size", "pool_size"):
            if option in config:
                words[0] += " " + _sizes(config[option])
        stride = _sizes(config.get("strides", 1))
        if "pool_size" not in config and stride not in ("1", "1×1"):
            words.append(f"stride {stride}")
        if "rate" in config:
            words.append(f"{config['rate']:g}")
        name = self.layer.activation_name
        plain = self.layer.role in ("input", "group") or name == "identity"
        if not plain and name.replace("_", "") not in self.type.lower():
            words.append(name)
        return " + ".join([", ".join(words), *(_nick(each) for each in self.followers)])

    def alike(self) -> tuple[Any, ...]:
        """Return what makes two boxes equal, their names and sources aside."""
        config = repr([sorted(each.layer.config.items()) for each in (self, *self.followers)])
        shapes = [p.shape for each in self.layers for p in each.parameters.values()]
        return (self.type, self.manner, self.shape, config, tuple(shapes), self.shared)


def count_parameters(boxes: Iterable[Box]) -> None:
    """Say of each box how many weights it has, those of boxes before not counted again."""
    counted: set[int] = set()
    for box in boxes:
        found = [each for layer in box.layers for each in layer.parameters.values()]
        network = box.layer.network
        if box.layer.members is not None and network is not None:
            found += network.handmade.table().parameters
        own = {id(each): each.size for each in found if id(each) not in counted}
        counted.update(own)
        box.parameters = sum(own.values())
        box.shared = bool(found) and not own


def _sizes(value: Any) -> str:
    return "×".join(str(each) for each in value) if isinstance(value, (list, tuple)) else str(value)


def boxes_of(network: Network, expand: Iterable[str] = ()) -> list[Box]:
    """Return a network's layers as boxes, with the boxes that feed each, in order.

    Constants and noise are left out, parts of composite layers belong to the box of the whole
    unless its name is in ``expand`` (or ``"all"`` is).

    Raises
    ------
    UnknownNameError
        If a name to expand is no layer of the network.
    """
    composite = [layer.name for layer in network.all_layers if _is_composite(layer)]
    names = {layer.name for layer in network.layers}
    opened = set(expand)
    for name in opened - {"all"}:
        if name not in names and name not in composite:
            raise unknown(
                "layer",
                name,
                dict.fromkeys([*sorted(names), *composite]),
                of=f"network {network.name!r}",
            )
    axis = "nodes" if any(bundle.along_trees for bundle in network.bundles) else "time"
    boxes: list[Box] = []
    place: dict[int, int] = {}
    for layer in sorted(network.all_layers, key=lambda each: (each.top.serial, each.serial)):
        owner, cluster = _owner(layer, opened)
        if layer.role in HIDDEN_ROLES and owner is layer:
            continue
        if id(owner) not in place:
            place[id(owner)] = len(boxes)
            boxes.append(Box(owner, [owner], cluster, axis=axis))
        if layer is not owner:
            boxes[place[id(owner)]].layers.append(layer)
            place[id(layer)] = place[id(owner)]
    _join(network, boxes, place)
    return _in_order(boxes)


def _owner(layer: Layer, opened: set[str]) -> tuple[Layer, str]:
    """Return the layer whose box a layer is in, and the name of the frame around that box."""
    line = [layer]
    while line[-1].root is not None:
        line.append(line[-1].root)
    cluster = ""
    for ancestor in reversed(line):
        apart = _is_composite(ancestor) and not opened.isdisjoint({ancestor.name, "all"})
        if not apart or ancestor is layer:
            return ancestor, cluster or (ancestor.name if apart else "")
        cluster = cluster or ancestor.name
    return layer, cluster


def _is_composite(layer: Layer) -> bool:
    """Whether a layer has parts that are more than a constant or noise."""
    parts = layer.parts.values()
    return any(part is not layer and part.role not in HIDDEN_ROLES for part in parts)


def _in_order(boxes: list[Box]) -> list[Box]:
    """Return the boxes so that each comes after those that feed it, as far as that can be."""
    waiting = [len(box.sources) for box in boxes]
    readers: list[list[int]] = [[] for _ in boxes]
    for k, box in enumerate(boxes):
        for source in box.sources:
            readers[source].append(k)
    ready = [k for k, number in enumerate(waiting) if not number]
    order: list[int] = []
    while len(order) < len(boxes):
        if not ready:  # boxes that feed each other, as hand-made nodes and a layer may
            ready.append(min(set(range(len(boxes))) - set(order)))
        k = heapq.heappop(ready)
        order.append(k)
        for reader in readers[k]:
            waiting[reader] -= 1
            if waiting[reader] == 0 and reader not in order:
                heapq.heappush(ready, reader)
    number = {k: place for place, k in enumerate(order)}
    for box in boxes:
        box.sources = [number[source] for source in box.sources]
        box.late = [(number[source], delay) for source, delay in box.late]
    return [boxes[k] for k in order]


def with_followers(boxes: list[Box]) -> list[Box]:
    """Return the boxes with normalisations, activations and dropout put into the box before."""
    readers = [0] * len(boxes)
    for box in boxes:
        for source in {*box.sources, *(each for each, _ in box.late)}:
            readers[source] += 1
    home: list[int] = []
    found: list[Box] = []
    for box in boxes:
        alone = len(box.sources) == 1 and readers[box.sources[0]] == 1 and not box.late
        if box.type in FOLLOWERS and alone and not box.cluster:
            target = home[box.sources[0]]
            if found[target].layer.role != "input" and not found[target].cluster:
                found[target].followers.append(box)
                found[target].layers += box.layers
                home.append(target)
                continue
        home.append(len(found))
        found.append(box)
    for box in found:
        box.sources = [home[source] for source in box.sources]
        box.late = [(home[source], delay) for source, delay in box.late]
    return found


def _nick(box: Box) -> str:
    short = {
        "BatchNormalization": "BatchNorm",
        "LayerNormalization": "LayerNorm",
        "LocalResponseNormalization": "LocalNorm",
    }
    return box.layer.activation_name if box.type == "Activation" else short.get(box.type, box.type)


def is_packed(layer: Layer) -> bool:
    """Whether a layer only holds the steps of a sequence that is made of it: an input (5, 3)."""
    return bool(layer.outgoing) and all(
        isinstance(bundle, FoldConnections) for bundle in layer.outgoing
    )


def _join(network: Network, boxes: list[Box], place: dict[int, int]) -> None:
    arcs = [(id(bundle.source), id(bundle.target), bundle.delay) for bundle in network.bundles]
    arcs += [
        (id(layer.initial), id(layer), 0)
        for layer in network.all_layers
        if isinstance(layer.initial, Layer)
    ]
    arcs += _handmade_arcs(network)
    for source, target, delay in arcs:
        if source not in place or target not in place:
            continue
        up, down = place[source], place[target]
        if delay == 0 and up != down:
            if up not in boxes[down].sources:
                boxes[down].sources.append(up)
        elif delay and (up, delay) not in boxes[down].late:
            boxes[down].late.append((up, delay))


def _handmade_arcs(network: Network) -> list[tuple[int, int, int]]:
    table = network.handmade.table()
    offsets = np.array([layer.offset for layer in network.all_layers])
    ups = np.searchsorted(offsets, table.ups, side="right") - 1
    downs = np.searchsorted(offsets, table.downs, side="right") - 1
    rows = {
        (id(network.all_layers[up]), id(network.all_layers[down]), delay)
        for up, down, delay in zip(ups.tolist(), downs.tolist(), table.delays.tolist(), strict=True)
    }
    return sorted(rows)

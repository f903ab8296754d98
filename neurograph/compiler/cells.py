"""Cells: cycles of layers that are an LSTM, a GRU or a simple recurrent layer run as one operation.

The guess goes by the kinds of the layers; it counts only if every connection is the cell's own.
Whatever differs (noise on the states, another activation, a reader of a gate) goes step by
step through the general path, and gives the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from neurograph.compiler.names import identifier
from neurograph.compiler.program import Attribute, Ref
from neurograph.graph.bundles import BiasConnections, DenseConnections, OneToOneConnections
from neurograph.graph.connections import Bundle
from neurograph.graph.layer import Layer
from neurograph.graph.states import last_step
from neurograph.graph.temporal import StepConnections
from neurograph.parameter import Parameter

if TYPE_CHECKING:
    from neurograph.compiler.lower import Lowering

SIMPLE_ACTIVATIONS = ("identity", "relu", "sigmoid", "tanh")
GATES = {
    "lstm": ("input", "forget", "candidate", "output"),
    "gru": ("update", "reset", "candidate"),
    "gru_before": ("update", "reset", "candidate"),
    "simple": ("hidden",),
}
_PARTS = {
    "lstm": {*GATES["lstm"], "keep", "write", "cell", "squash"},
    "gru": {*GATES["gru"], "recurrence", "gated", "keep", "rest", "write"},
    "gru_before": {*GATES["gru"], "gated", "keep", "rest", "write"},
    "simple": set(),
}
Table = dict[str, tuple[str | None, str, list[Any]]]
Link = tuple[str, int, float]  # source, delay, constant weight


class Outline(Protocol):
    """What decides which connections a cell has."""

    @property
    def kind(self) -> str:
        """One of ``GATES``."""
        ...

    @property
    def delay(self) -> int:
        """1, or -1 for a cell that goes backwards in time."""
        ...

    @property
    def bias(self) -> bool:
        """Whether the gates have biases."""
        ...


@dataclass(frozen=True)
class Found:
    """A recognised cell."""

    kind: str
    source: Layer
    hidden: Layer
    parts: dict[str, Layer]
    weights: list[Parameter]
    delay: int
    bias: bool


def lower_cell(lowering: Lowering, layers: list[Layer]) -> bool:
    """Lower the layers of a cycle as one cell; return False if they are none."""
    found = None if lowering.keep else _recognise(layers)
    if found is None or not _may_fuse(lowering, found, layers):
        return False
    joint = _joint_weights(lowering, found)
    if joint is None:
        return False
    builder, hidden = lowering.builder, found.hidden
    out = builder.array(hidden.name, (*lowering.lead(hidden), *hidden.shape))
    lowering.outputs[id(hidden)] = out
    lowering.values[hidden.name, "output"] = out
    options: dict[str, Attribute] = {
        "kind": found.kind,
        "name": identifier(hidden.name),
        "features": found.source.size,
        "bias": int(found.bias),
        "turned": int(found.delay < 0),
        "activation": hidden.activation.name if found.kind == "simple" else "tanh",
        "masked": int(hidden.mask is not None),
        **lowering.pieces(),
    }
    inputs: list[str | Ref] = [lowering.read(found.source), joint]
    if hidden.mask is not None:
        inputs.append(lowering.read(hidden.mask))
    inputs += _first_states(lowering, found)
    memory = found.parts.get("cell")
    if memory is None or not (memory.stateful or _readers(layers, memory)):
        builder.emit("cell", out, *inputs, accumulate=False, given=options)
    else:
        last = builder.array(f"{memory.name}_last", ("B", *memory.shape))
        lowering.finals[id(memory)] = last
        builder.emit("cell", out, *inputs, accumulate=False, given=options | {"last": last})
        builder.emit("last_memory", last, out, accumulate=False, given=options)
    for layer in layers:
        for bundle in layer.incoming:
            lowering.note(bundle, f"{found.kind} cell", "all gates and steps in one operation")
    return True


def _recognise(layers: list[Layer]) -> Found | None:
    by_kind = {layer.kind: layer for layer in layers}
    for kind, names in _PARTS.items():
        if len(layers) != len(names) + 1 or not names <= by_kind.keys():
            continue
        (hidden,) = [layer for layer in layers if layer.kind not in names]
        parts = {name: by_kind[name] for name in names} | {"hidden": hidden}
        found = _matched(kind, parts)
        if found is not None:
            return found
    return None


def _matched(kind: str, parts: dict[str, Layer]) -> Found | None:
    gate = parts[GATES[kind][0]]
    dense = [b for b in gate.incoming if isinstance(b, DenseConnections)]
    outside = [b for b in dense if b.source not in parts.values()]
    inside = [b for b in dense if b.source in parts.values()]
    if len(outside) != 1 or len(inside) != 1:
        return None
    delay, source = inside[0].delay, outside[0].source
    kernel, recurrent = outside[0].parameter, inside[0].parameter
    biases = [b.parameter for b in gate.incoming if isinstance(b, BiasConnections)]
    weights = [each for each in (kernel, recurrent, *biases[:1]) if each is not None]
    if abs(delay) != 1 or not source.sequence or len(source.shape) != 1:
        return None
    found = Found(kind, source, parts["hidden"], parts, weights, delay, bool(biases))
    return found if _is_exact(found) else None


def _is_exact(found: Found) -> bool:
    """Whether every connection of the layers is that of the cell."""
    units = found.hidden.size
    expected = expected_parts(found, units)
    for name, layer in found.parts.items():
        activation, aggregation, links = expected[name]
        mask = found.hidden.mask if name in ("hidden", "cell") else None
        if layer.function is not None or layer.mask is not mask or layer.size != units:
            return False
        if activation is not None and layer.activation.name != activation:
            return False
        if layer.aggregation != aggregation:
            return False
        if sorted(map(repr, (_link(found, b) for b in layer.incoming))) != sorted(map(repr, links)):
            return False
    return True


def _link(found: Found, bundle: Bundle) -> Any:
    """Return what a bundle is, in the words of ``expected_parts``."""
    names = {id(layer): name for name, layer in found.parts.items()} | {id(found.source): "x"}
    source = names.get(id(bundle.source), bundle.source.role)
    weights = {id(p): k for k, p in enumerate(found.weights)}
    owner = weights.get(id(bundle.parameter), None if bundle.parameter is None else "other")
    if isinstance(bundle, DenseConnections):
        whole = bundle.positions == 1 and bundle.mask is None
        return ("dense" if whole else "partial", source, owner, bundle.first_column, bundle.delay)
    if isinstance(bundle, BiasConnections):
        whole = bundle.channels == bundle.target.size
        return ("bias" if whole else "partial", source, owner, bundle.first, 0)
    if isinstance(bundle, OneToOneConnections) and bundle.is_whole:
        return ("copy", source, owner, bundle.constant, bundle.delay)
    return (type(bundle).__name__, source, owner, 0, bundle.delay)


def expected_parts(cell: Outline, units: int) -> Table:
    """Return activation, aggregation and incoming bundles of every part of a cell.

    A bundle is (what it is, source, number of the parameter, column or constant weight, delay); the
    parameters are kernel, recurrent kernel and bias.
    """
    if cell.kind == "simple":
        return {"hidden": (None, "sum", _gate(cell, 0))}
    if cell.kind == "lstm":
        return _lstm(cell, units)
    return _gru(cell, units)


def _gate(cell: Outline, column: int) -> list[Any]:
    """Return the bundles into a gate with its columns of both kernels."""
    links: list[Any] = [
        ("dense", "x", 0, column, 0),
        ("dense", "hidden", 1, column, cell.delay),
    ]
    return links + ([("bias", "const", 2, column, 0)] if cell.bias else [])


def _copies(*links: Link) -> list[Any]:
    return [("copy", name, None, weight, late) for name, late, weight in links]


def _lstm(cell: Outline, units: int) -> Table:
    late = cell.delay
    table: Table = {
        name: ("tanh" if name == "candidate" else "sigmoid", "sum", _gate(cell, k * units))
        for k, name in enumerate(GATES["lstm"])
    }
    return table | {
        "keep": ("identity", "product", _copies(("forget", 0, 1.0), ("cell", late, 1.0))),
        "write": ("identity", "product", _copies(("input", 0, 1.0), ("candidate", 0, 1.0))),
        "cell": ("identity", "sum", _copies(("keep", 0, 1.0), ("write", 0, 1.0))),
        "squash": ("tanh", "sum", _copies(("cell", 0, 1.0))),
        "hidden": ("identity", "product", _copies(("output", 0, 1.0), ("squash", 0, 1.0))),
    }


def _gru(cell: Outline, units: int) -> Table:
    late, after = cell.delay, cell.kind == "gru"
    second = [("bias", "const", 2, (3 + k) * units, 0) for k in range(3)]
    extra = [second[k : k + 1] if after and cell.bias else [] for k in range(3)]
    candidate: list[Any] = [("dense", "x", 0, 2 * units, 0)]
    candidate += [("bias", "const", 2, 2 * units, 0)] if cell.bias else []
    if after:
        candidate += _copies(("gated", 0, 1.0))
        gated = _copies(("reset", 0, 1.0), ("recurrence", 0, 1.0))
    else:
        candidate += [("dense", "gated", 1, 2 * units, 0)]
        gated = _copies(("reset", 0, 1.0), ("hidden", late, 1.0))
    one = [("bias", "const", None, 0, 0)]
    table: Table = {
        "update": ("sigmoid", "sum", _gate(cell, 0) + extra[0]),
        "reset": ("sigmoid", "sum", _gate(cell, units) + extra[1]),
        "candidate": ("tanh", "sum", candidate),
        "gated": ("identity", "product", gated),
        "keep": ("identity", "product", _copies(("update", 0, 1.0), ("hidden", late, 1.0))),
        "rest": ("identity", "sum", _copies(("update", 0, -1.0)) + one),
        "write": ("identity", "product", _copies(("rest", 0, 1.0), ("candidate", 0, 1.0))),
        "hidden": ("identity", "sum", _copies(("keep", 0, 1.0), ("write", 0, 1.0))),
    }
    if after:
        recurrence: list[Any] = [("dense", "hidden", 1, 2 * units, late)]
        table["recurrence"] = ("identity", "sum", recurrence + extra[2])
    return table


def _may_fuse(lowering: Lowering, found: Found, layers: list[Layer]) -> bool:
    """Whether nobody outside reads a part or the states at another step, and all else fits."""
    for layer in layers:
        readers = _readers(layers, layer)
        if layer is found.parts.get("cell") and all(map(_takes_last, readers)):
            readers = []
        if readers and (layer is not found.hidden or any(b.delay for b in readers)):
            return False
        if lowering.irregular.arrangement.delays_from(layer) or lowering.irregular.feeds(layer):
            return False
        if layer is found.hidden:
            continue
        if layer.initial is not None and layer.kind != "cell":
            return False
        if any(port.layer is layer for port in lowering.network.outputs):
            return False
    if found.kind == "simple" and found.hidden.activation.name not in SIMPLE_ACTIVATIONS:
        return False
    mask = found.hidden.mask
    return id(found.source) in lowering.outputs and (mask is None or id(mask) in lowering.outputs)


def _readers(layers: list[Layer], layer: Layer) -> list[Bundle]:
    """Return what leads from one of the layers of a cycle to others."""
    inside = set(map(id, layers))
    return [bundle for bundle in layer.outgoing if id(bundle.target) not in inside]


def _takes_last(bundle: Bundle) -> bool:
    """Whether a bundle reads only the step that is calculated last."""
    return isinstance(bundle, StepConnections) and bundle.step == last_step(bundle.source)


def _joint_weights(lowering: Lowering, found: Found) -> str | None:
    """Return kernel, recurrent kernel and bias as one array, if they lie one after the other."""
    weights = found.weights
    key = tuple(map(id, weights))
    if key in lowering.joints:  # of an earlier call of the same recipe
        return lowering.joints[key]
    if any(id(each) in lowering.parameters for each in weights):
        return None
    if len({each.trainable for each in weights}) > 1:
        return None
    columns = weights[0].shape[-1]
    first = at = lowering.offsets[id(weights[0])]
    for each in weights:
        if lowering.offsets[id(each)] != at:
            return None
        at += each.size
    rows = (at - first) // columns
    name = lowering.builder.array(
        f"{found.hidden.name}_weights", (rows, columns), "parameter", offset=first
    )
    row = 0
    for each in weights:
        height = each.size // columns
        part = lowering.builder.part(name, ((row, row + height), (0, None)), identifier(each.name))
        lowering.adopt_parameter(each, lowering.builder.reshape(part, each.shape))
        row += height
    lowering.joints[key] = name
    return name


def _first_states(lowering: Lowering, found: Found) -> list[str]:
    """Return the arrays (B, units) of the initial states that are not 0."""
    cell = found.parts.get("cell")
    given = [found.hidden.initial, cell.initial if cell is not None else None]
    if all(each is None for each in given) and not found.hidden.stateful:
        return []
    names = []
    for layer, initial in zip((found.hidden, cell), given, strict=True):
        if layer is None:
            continue
        begun = lowering.begin(layer)
        if begun is not None:
            names.append(begun)
            continue
        name = lowering.builder.array(f"{layer.name}_first", ("B", *layer.shape))
        if initial is None:
            lowering.builder.emit("fill", name, accumulate=False, value=0)
        else:
            table = lowering.table(f"{layer.name}_state", np.asarray(initial), layer.shape)
            lowering.builder.emit("copy", name, table)
        names.append(name)
    return names

"""RNN, LSTM and GRU of ONNX as our recurrent layers, and tensors whose batch comes second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import GraphError
from neurograph.graph.layer import Layer
from neurograph.graph.temporal import (
    FoldConnections,
    ReverseConnections,
    StepConnections,
    UnfoldConnections,
)
from neurograph.interop.views import Array, View, fill
from neurograph.layers.bidirectional import Bidirectional
from neurograph.layers.merging import Concatenate
from neurograph.layers.recurrent_cells import GRU, LSTM, SimpleRNN
from neurograph.layers.shaping import Reshape

RECURRENT = ("RNN", "LSTM", "GRU")
# the places of our gates among those of ONNX: input, output, forget, cell; update, reset, hidden
_GATES = {"RNN": (0,), "LSTM": (0, 2, 3, 1), "GRU": (0, 1, 2)}
_ACTIVATIONS = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Relu": "relu", "Softplus": "softplus"}
_DEFAULTS = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}


@dataclass(frozen=True, slots=True)
class Turned:
    """A tensor with the axes of batch and time apart, as that between a Transpose and an LSTM.

    A view of a sequence, in comparison, is the tensor (samples times steps, values).

    Parameters
    ----------
    layer : Layer
    places : array of int
        Which node of the layer (of one step of it) stands where; it has no axes for batch and time.
    axes : str
        A letter for each axis of the tensor: "b" batch, "t" time, "f" the next axis of ``places``.
    """

    layer: Layer
    places: NDArray[np.int64]
    axes: str

    def settled(self) -> View | Turned:
        """Return a view, where the batch stands first and the number of steps is known."""
        if self.axes.startswith("bt") and self.layer.steps is not None:
            steps = self.layer.steps
            image = Reshape((steps, self.layer.size))(self.layer)
            starts = self.layer.size * np.arange(steps)
            return View(image, np.add.outer(starts, self.places))
        if self.axes[0] == "b" and "t" not in self.axes:
            return View(self.layer, self.places)
        return self

    @classmethod
    def of(cls, view: View) -> Turned:
        """Return a view of a sequence, or of an image of steps, with its axes of time apart."""
        layer, places = view.layer, view.places
        if not layer.sequence:
            image = view.in_order()
            steps, *rest = image.shape
            layer = Layer(rest or (1,), kind="fold", sequence=True, steps=steps)
            FoldConnections(image, layer)
            places = np.arange(layer.size).reshape(rest)
        return cls(layer, places, "bt" + "f" * places.ndim)

    def transpose(self, order: Sequence[int]) -> View | Turned:
        """Return it with its axes in another order."""
        number = np.cumsum([each == "f" for each in self.axes]) - 1
        moved = [int(number[k]) for k in order if self.axes[k] == "f"]
        axes = "".join(self.axes[k] for k in order)
        return Turned(self.layer, self.places.transpose(moved), axes).settled()

    def batch_first(self) -> View:
        """Return it with its batch first, then its steps if it has some, as a view."""
        order = sorted(range(len(self.axes)), key=lambda k: "btf".index(self.axes[k]))
        found = self.transpose(order)
        return found if isinstance(found, View) else View(found.layer, found.places)

    def step(self, axis: int, index: int) -> View:
        """Return one step of time."""
        if self.axes[axis] != "t" or len(self.axes) != 2 + self.places.ndim:
            raise GraphError("it takes other than a step of time or a row of a matrix")
        made = Layer((self.layer.size,), kind="step")
        StepConnections(self.layer, made, index)
        return View(made, self.places)

    def turned(self, axis: int) -> View | Turned:
        """Return it turned round in time."""
        if self.axes[axis] != "t":
            raise GraphError("it turns round other than the steps")
        layer = self.layer
        made = Layer(layer.shape, kind="turned", sequence=True, steps=layer.steps)
        ReverseConnections(layer, made)
        return Turned(made, self.places, self.axes).settled()

    def squeeze(self, axes: Sequence[int]) -> View | Turned:
        """Return it without some axes of size 1."""
        places = [each % len(self.axes) for each in axes]
        if any(self.axes[k] != "f" for k in places):
            raise GraphError(f"it takes away the batch or the steps: axes {list(axes)}")
        number = np.cumsum([each == "f" for each in self.axes]) - 1
        left = "".join(each for k, each in enumerate(self.axes) if k not in places)
        gone = tuple(int(number[k]) for k in places)
        return Turned(self.layer, self.places.squeeze(gone), left).settled()

    def reshape(self, shape: Sequence[int]) -> View | Turned:
        """Return it in another shape; the axes of batch and time stay where they are, in front."""
        if self.axes.startswith("bt") and tuple(shape) == (-1, *self.places.shape):
            return View(self.layer, self.places)
        lead = self.axes.rstrip("f")
        rest = list(shape[len(lead) :])
        if "f" in lead or len(rest) < 1 or any(each > 0 for each in shape[: len(lead)]):
            raise GraphError(f"shape {list(shape)} mixes samples or steps with values")
        axes = lead + "f" * len(rest)
        return Turned(self.layer, self.places.reshape(rest), axes).settled()


def recurrent(reading: Any, node: Any, given: list[Any]) -> View | Turned | None:
    """Make the recurrent layer of a node; note what its outputs are, and return the first."""
    kind, options = node.op_type, reading.attributes(node)
    for name in ("clip", "input_forget"):
        if options.get(name):
            raise GraphError(f"{name}={options[name]} is not known here")
    given = [*given, *[None] * (8 - len(given))]
    x, batch_first = given[0], bool(options.get("layout", 0))
    source = _source(x, batch_first)
    if given[4] is not None and np.any(np.asarray(given[4]) != source.steps):
        raise GraphError("sequences of different lengths (sequence_lens) are not known here")
    if given[7] is not None and np.any(_constant(given[7], "peepholes")):
        raise GraphError("peepholes are not known here")
    direction = options.get("direction", "forward")
    ways = 2 if direction == "bidirectional" else 1
    outputs = [*node.output, *[""] * (3 - len(node.output))]
    used = [bool(each) and reading.is_read(each) for each in outputs]
    settings = {"go_backwards": direction == "reverse", **_time(used)}
    recipe = _recipe(kind, options, ways, given, settings)
    begin = _begin(given[5:7], ways, kind)
    if ways == 2:
        made = Bidirectional(recipe)(source, begin)
        root, *finals = made if isinstance(made, list) else [made]
        parts = [root.parts["forward"], root.parts["backward"]]
    else:
        root, finals = recipe.run(source, begin, None, aligned=True)
        parts = [root]
    for way, part in enumerate(parts):
        fill(part, _weights(kind, options, given, way))
    return _note(reading, outputs, root, finals, ways, batch_first, recipe.return_sequences)


def _source(x: Any, batch_first: bool) -> Layer:
    if isinstance(x, Turned) and x.axes == "tbf" and not batch_first:
        below = x.layer.incoming[0] if x.layer.kind == "fold" and x.layer.incoming else None
        whole = len(x.places) == x.layer.size and View._runs_on(x.places)
        if isinstance(below, FoldConnections) and whole:
            return below.source  # our layers fold it themselves
        view = View(x.layer, x.places)
    elif isinstance(x, Turned) and x.axes == "btf" and batch_first:
        view = View(x.layer, x.places)
    elif isinstance(x, View) and batch_first:
        view = x
    else:
        raise GraphError("its input must be (steps, batch, features)")
    layer = view.in_order()
    below = layer.incoming[0] if len(layer.incoming) == 1 else None
    if isinstance(below, UnfoldConnections) and below.source.size == layer.shape[-1]:
        return below.source  # unfolded for nothing
    return layer


def _constant(value: Any, what: str) -> Array:
    if not isinstance(value, np.ndarray):
        raise GraphError(f"its {what} must be a constant of the file")
    return value


def _names(kind: str, options: dict[str, Any], ways: int) -> list[str]:
    raw = [
        each.decode() if isinstance(each, bytes) else str(each)
        for each in options.get("activations", _DEFAULTS[kind] * ways)
    ]
    unknown = next((each for each in raw if each not in _ACTIVATIONS), None)
    if unknown is not None or options.get("activation_alpha") or options.get("activation_beta"):
        raise GraphError(
            f"activation {unknown or raw} with options is not known here; "
            f"{', '.join(_ACTIVATIONS)} are"
        )
    return [_ACTIVATIONS[each] for each in raw]


def _time(used: Sequence[bool]) -> dict[str, bool]:
    """Return the options that say what is wanted of the states: all steps, the last ones."""
    alone = not used[0] and not used[2]  # the last hidden state
    return {"return_sequences": not alone, "return_state": not alone and (used[1] or used[2])}


def _recipe(
    kind: str, options: dict[str, Any], ways: int, given: list[Any], settings: dict[str, Any]
) -> Any:
    names = _names(kind, options, ways)
    each = len(names) // ways
    if names[:each] != names[-each:]:
        raise GraphError("different activations in the two directions are not known here")
    if kind == "LSTM" and names[1] != names[2]:
        raise GraphError("candidate and cell with different activations are not known here")
    units = int(options.get("hidden_size", np.shape(given[2])[-1]))
    settings["use_bias"] = given[3] is not None
    if kind == "RNN":
        return SimpleRNN(units, names[0], **settings)
    settings["recurrent_activation"] = names[0]
    if kind == "LSTM":
        return LSTM(units, names[1], **settings)
    after = bool(options.get("linear_before_reset", 0))
    return GRU(units, names[1], reset_after=after, **settings)


def _begin(given: Sequence[Any], ways: int, kind: str) -> list[Any] | None:
    """Return the initial states as ours are given: forward, then backward."""
    states = given[: 2 if kind == "LSTM" else 1]
    if all(each is None for each in states):
        return None
    found = [_state(each, way, states) for way in range(ways) for each in states]
    plain = [each for each in found if not isinstance(each, Layer)]
    return found if len(plain) < len(found) or any(each.any() for each in plain) else None


def _state(given: Any, way: int, states: Sequence[Any]) -> Any:
    """Return one initial state: a layer, or an array (units,)."""
    if isinstance(given, Turned) and given.axes == "fbf":
        return View(given.layer, given.places[way]).in_order()
    if given is None:
        other = next(each for each in states if each is not None)
        units = other.places.shape[-1] if isinstance(other, Turned) else other.shape[-1]
        return np.zeros(units)
    rows = _constant(given, "initial state")[way]
    if (rows != rows[0]).any():
        raise GraphError("an initial state for each sample is not known here")
    return rows[0]


def _weights(kind: str, options: dict[str, Any], given: list[Any], way: int) -> list[Array]:
    order = _GATES[kind]

    def gates(values: Array) -> Array:
        parts = np.split(values, len(order))
        return np.concatenate([parts[place] for place in order])

    found = [
        gates(_constant(given[1], "weights")[way]).T,
        gates(_constant(given[2], "recurrent weights")[way]).T,
    ]
    if given[3] is not None:
        inputs, states = map(gates, np.split(_constant(given[3], "bias")[way], 2))
        apart = kind == "GRU" and options.get("linear_before_reset", 0)
        found.append(np.stack([inputs, states]) if apart else inputs + states)
    return found


def _note(
    reading: Any,
    outputs: Sequence[str],
    root: Layer,
    finals: list[Layer],
    ways: int,
    batch_first: bool,
    sequences: bool,
) -> View | Turned | None:
    """Say what the outputs of the node are: all steps, the last state, the last cell."""
    units = root.size // ways
    places = np.arange(root.size).reshape(ways, units)
    found: list[View | Turned | None] = [None, None, None]
    states = [root] if not sequences else []
    if sequences:
        turned = Turned(root, places, "btff") if batch_first else Turned(root, places, "tfbf")
        found[0] = turned.settled()
        kinds = len(finals) // ways
        for kind in range(kinds):
            both = finals[kind::kinds]
            states.append(both[0] if ways == 1 else Concatenate()(both))
    for number, state in enumerate(states):
        found[number + 1] = Turned(state, places, "bff" if batch_first else "fbf").settled()
    for name, value in zip(outputs, found, strict=True):
        if name and value is not None:
            reading.values[name] = value
    return found[0]

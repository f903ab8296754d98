"""What a network calculates, node by node and compiled, as plain arrays that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from cases import CASES
from numpy.typing import NDArray
from random_graphs import random_network
from random_mixed import random_mixed

from neurograph.graph.masks import masks_of_run
from neurograph.graph.network import Network
from neurograph.graph.node import ConstNode
from neurograph.interpret import backward, calc_gradients, forward
from neurograph.train.losses import get_loss
from neurograph.train.model import Model

Array = NDArray[Any]


@dataclass(frozen=True)
class Result:
    """Values by (layer, what), gradients by parameter, outputs, and the loss without penalties."""

    values: dict[tuple[str, str], Array]
    gradients: dict[str, Array]
    outputs: list[Array]
    loss: float


def as_list(x: Any) -> list[Any]:
    return list(x) if isinstance(x, list) else [x]


def values_of(net: Network) -> dict[tuple[str, str], Array]:
    """Return net, output and delta of every layer that has them, hand-made constants left out."""
    found = {}
    for layer in net.all_layers:
        if layer.role in ("const", "noise"):
            continue
        members = layer.members or []
        constants = [k for k, node in enumerate(members) if isinstance(node, ConstNode)]
        for what in ("output", "delta") if layer.role == "input" else ("net", "output", "delta"):
            array = np.array(getattr(layer, what))
            found[layer.name, what] = np.delete(array, constants, -1) if constants else array
    return found


def gradients_of(net: Network) -> dict[str, Array]:
    """Return the gradients of all that is trained; 0 for single weights that are frozen."""
    return {
        name: np.where(p.frozen, 0.0, p.gradient) if p.frozen is not None else np.array(p.gradient)
        for name, p in net.parameters.items()
        if p.trainable
    }


def walk(
    net: Network,
    x: Any,
    y: Any,
    loss: Any,
    noise: Mapping[Any, Array] | None = None,
    truncate: int | None = None,
    **options: Any,
) -> Result:
    """Go node by node, forward and backward; gradients include those of regularizers."""
    losses = [get_loss(loss)] * len(net.outputs)
    outputs = forward(net, x, noise=noise, **options)
    found = [
        each.value_and_gradient(target, output, each.step_weight(mask))
        for each, target, output, mask in zip(
            losses, as_list(y), outputs, masks_of_run(net), strict=True
        )
    ]
    backward(net, [d_output for _, d_output in found], truncate=truncate)
    calc_gradients(net)
    for parameter in net.parameters.values():
        if parameter.regularizer is not None and parameter.trainable:
            parameter.gradient += parameter.regularizer.gradient(parameter.value)
    total = sum(value for value, _ in found)
    return Result(values_of(net), gradients_of(net), [np.array(each) for each in outputs], total)


def penalty_of(model: Model) -> float:
    """Return what regularizers add to the loss of a training step."""
    return model.penalty()


def inspect(model: Model, x: Any, y: Any, training: bool = False) -> Result:
    """Run a model and keep everything."""
    loss = model.inspect(x, y, training=training)
    assert loss is not None
    net = model.network
    values = values_of(net)
    outputs = [_output(net, port, values) for port in net.outputs]
    return Result(values, gradients_of(net), outputs, loss - penalty_of(model))


def _output(net: Network, port: Any, values: Mapping[tuple[str, str], Array]) -> Array:
    if port.indices is None:
        return values[port.layer.name, "output"]
    return np.array(port.layer.output[..., list(port.indices)])


def train_step(model: Model, x: Any, y: Any, training: bool = False) -> Result:
    """Run what training runs: forward and backward only, nothing kept; and predict."""
    loss = model.gradients(x, y, training=training)
    gradients = gradients_of(model.network)
    outputs = [np.array(each) for each in as_list(model.predict(x, batch_size=1000))]
    return Result({}, gradients, outputs, loss - penalty_of(model))


def differences(found: Result, expected: Result, relative: float) -> list[str]:
    """Return what differs: one line for each array, with the largest difference.

    A difference counts against the largest value of the array, or 1 where all are small.
    """
    pairs: list[tuple[str, Any, Any]] = [("loss", found.loss, expected.loss)]
    pairs += [
        (f"{what} of {layer}", array, expected.values[layer, what])
        for (layer, what), array in found.values.items()
    ]
    pairs += [
        (f"gradient of {name}", array, expected.gradients[name])
        for name, array in found.gradients.items()
    ]
    pairs += [
        (f"output {k}", *each)
        for k, each in enumerate(zip(found.outputs, expected.outputs, strict=True))
    ]
    lines = []
    for what, ours, theirs in pairs:
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        if ours.shape != theirs.shape:
            lines.append(f"{what}: shape {ours.shape}, expected {theirs.shape}")
            continue
        scale = max(1.0, float(np.abs(theirs).max()))
        off = float(np.abs(ours - theirs).max()) / scale
        if not off <= relative:
            lines.append(f"{what}: {off:.2g}")
    return lines


# remembered: the slow side of every comparison -------------------------------------------------


@cache
def case_by_nodes(name: str, batch: int = 3) -> tuple[Any, Any, Result]:
    """Return the data of a row of the table and what its network calculates node by node."""
    case = CASES[name]
    net = case.network()
    x, y = case.data(net, batch)
    return x, y, walk(net, x, y, case.loss)


@cache
def random_by_nodes(seed: int) -> tuple[Any, Any, Result]:
    """Return the data of a random network and what it calculates node by node."""
    net, x, y = random_network(seed)
    return x, y, walk(net, x, y, "sse")


@cache
def mixed_by_nodes(seed: int) -> tuple[Any, Any, Result]:
    """Return the same of a network of layers and hand-made nodes."""
    net, x, y = random_mixed(seed)
    return x, y, walk(net, x, y, "sse")


def compile_case(
    name: str, passes: Sequence[str] | None = None, dtype: str = "float64", optimizer: Any = "sgd"
) -> Model:
    """Compile a fresh network of a row of the table."""
    case = CASES[name]
    return case.network().compile(optimizer, case.loss, dtype=dtype, passes=passes)

"""The tutorial's verbs, node by node: predict, deltas, gradients, and training sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import DataError, GraphError, ShapeError
from neurograph.graph.masks import masks_of_run
from neurograph.graph.network import Network
from neurograph.interpret.backward import backward, calc_gradients, update_weights
from neurograph.interpret.forward import carry, forward, taken
from neurograph.interpret.walk import Walk
from neurograph.options import number, whole

Array = NDArray[Any]


def predict(network: Network, sample: Any) -> Any:
    """Return the outputs for one sample or, with one more axis, for a batch.

    An array for a network with one output, else a list of arrays.
    """
    outputs = forward(network, sample)
    carry(network)
    return outputs[0] if len(outputs) == 1 else outputs


def calc_delta(network: Network, label: Any, *, inputs: bool = True) -> float:
    """Set the deltas for a label, after a prediction; return the error.

    E = sum((label - output)^2) / 2 over everything but the batch, of which it is the mean.
    """
    outputs, batch = _outputs(network)
    labels = _labels(network, label, outputs)
    count = batch[0] if batch else 1
    errors = [
        _counted(output - each, mask)
        for output, each, mask in zip(outputs, labels, masks_of_run(network), strict=True)
    ]
    backward(network, [error / count for error in errors], inputs=inputs)
    return sum(float(np.vdot(error, error)) for error in errors) / 2 / count


def _counted(error: Array, mask: Array | None) -> Array:
    """Return the errors of the steps that count, 0 for others."""
    return (
        error
        if mask is None
        else error * mask.reshape(mask.shape + (1,) * (error.ndim - mask.ndim))
    )


def train_one_sample(network: Network, label: Any, sample: Any, rate: float) -> float:
    """Take one step of gradient descent for one sample; return its error before the step."""
    forward(network, sample)
    carry(network)
    error = calc_delta(network, label, inputs=False)
    calc_gradients(network)
    update_weights(network, rate)
    return error


def train(network: Network, labels: Any, data_set: Any, rate: float, iteration: int) -> list[float]:
    """Train sample by sample; return the mean error of every round."""
    number("train: rate", rate, least=0)
    iteration = whole("train: iteration", iteration)
    _check_counts(network, labels, data_set)
    history = []
    for _ in range(iteration):
        errors = [
            train_one_sample(network, label, sample, rate)
            for label, sample in zip(labels, data_set, strict=True)
        ]
        history.append(sum(errors) / len(errors))
    return history


def get_gradient(network: Network, label: Any, sample: Any) -> dict[str, Array]:
    """Set and return the gradient of every parameter for one sample, by name."""
    forward(network, sample)
    calc_delta(network, label)
    calc_gradients(network)
    return {name: parameter.gradient for name, parameter in network.parameters.items()}


def _check_counts(network: Network, labels: Any, data_set: Any) -> None:
    if len(data_set) == 0:
        raise DataError(f"network {network.name!r}: train got no samples")
    if len(labels) != len(data_set):
        raise DataError(
            f"network {network.name!r}: train got {len(labels)} labels for {len(data_set)} samples"
        )


def _outputs(network: Network) -> tuple[list[Array], tuple[int, ...]]:
    """Return outputs and batch axes of the last prediction; if it left no values, walk it now."""
    if network._sample is None:
        raise GraphError(
            f"network {network.name!r}: calc_delta needs the values of a prediction; call predict "
            f"first"
        )
    if Walk.of(network).seen is not network._sample:
        forward(network, network._sample)
    return [taken(port, "output") for port in network.outputs], Walk.of(network).batch


def _labels(network: Network, label: Any, outputs: Sequence[Array]) -> list[Array]:
    labels: list[ArrayLike] = list(label) if len(outputs) > 1 else [label]
    if len(labels) != len(outputs):
        raise ShapeError(
            f"network {network.name!r}: got {len(labels)} labels, it has {len(outputs)} outputs"
        )
    arrays = [np.asarray(each, dtype=np.float64) for each in labels]
    for port, array, output in zip(network.outputs, arrays, outputs, strict=True):
        if array.shape != output.shape:
            raise ShapeError(
                f"network {network.name!r}: the label for output {port.name!r} has shape "
                f"{array.shape}, expected {output.shape}"
            )
        if not np.isfinite(array).all():
            raise DataError(
                f"network {network.name!r}: the label for output {port.name!r} is not finite"
            )
    return arrays

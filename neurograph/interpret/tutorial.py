"""The tutorial's verbs, node by node: predict, deltas, gradients, and training sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import DataError, GraphError, ShapeError, short
from neurograph.graph.masks import masks_of_run
from neurograph.graph.network import Network
from neurograph.graph.ports import array_of_each
from neurograph.interpret.backward import backward, calc_gradients, update_weights
from neurograph.interpret.feed import feed
from neurograph.interpret.forward import carry, forward, taken
from neurograph.interpret.walk import Walk
from neurograph.options import number, whole
from neurograph.samples import stack_samples

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
    samples = _rows(network, "input", data_set, "data_set")
    wanted = _rows(network, "output", labels, "labels")
    if not samples:
        raise DataError(f"network {network.name!r}: train got no samples")
    if len(wanted) != len(samples):
        raise DataError(
            f"network {network.name!r}: train got {len(wanted)} labels for {len(samples)} samples"
        )
    for sample, label in zip(samples, wanted, strict=True):  # before any weight changes
        feed(network, sample)
        _check_label(network, label)
    history = []
    for _ in range(iteration):
        errors = [
            train_one_sample(network, label, sample, rate)
            for label, sample in zip(wanted, samples, strict=True)
        ]
        history.append(sum(errors) / len(errors))
    return history


def get_gradient(network: Network, label: Any, sample: Any) -> dict[str, Array]:
    """Set and return the gradient of every parameter for one sample, by name."""
    forward(network, sample)
    calc_delta(network, label)
    calc_gradients(network)
    return {name: parameter.gradient for name, parameter in network.parameters.items()}


def _rows(network: Network, kind: str, given: Any, what: str) -> list[Any]:
    """Return what is given for each sample: a list where there are several inputs or outputs."""
    try:
        columns = [
            [[each] if np.isscalar(each) else each for each in column]  # of the only node
            for column in array_of_each(network, kind, given, what)
        ]
    except TypeError:
        raise DataError(f"{what}: expected an array, a row a sample, got {short(given)}") from None
    if len({len(each) for each in columns}) > 1:
        raise ShapeError(f"{what}: each {kind} has another number of samples")
    return columns[0] if len(columns) == 1 else [list(each) for each in zip(*columns, strict=True)]


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
    labels = array_of_each(network, "output", label, f"network {network.name!r}: the label")
    return [
        _label(f"network {network.name!r}: the label for output {port.name!r}", each, output.shape)
        for port, each, output in zip(network.outputs, labels, outputs, strict=True)
    ]


def _check_label(network: Network, label: Any) -> None:
    """Refuse a label that no run of one sample could be compared with."""
    what = f"network {network.name!r}: the label"
    labels = array_of_each(network, "output", label, what)
    for port, each in zip(network.outputs, labels, strict=True):
        whose = f"{what} for output {port.name!r}"
        array = stack_samples(each, whose)
        steps = array.shape[:1] if port.layer.sequence else ()
        _label(whose, array, (*steps, *port.shape))


def _label(what: str, label: Any, shape: tuple[int, ...]) -> Array:
    array = stack_samples(label, what)
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise DataError(f"{what} is {short(label)}, expected finite numbers")
    if (*array.shape, 1) == shape:  # a number for the only node
        array = array[..., None]
    if array.shape != shape:
        raise ShapeError(f"{what} has shape {array.shape}, expected {shape}")
    return array.astype(np.float64)

"""Arrays: inputs and targets brought into the form a model works on, or refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurograph.errors import DataError, NeurographError, ShapeError
from neurograph.graph.network import Network, Port
from neurograph.graph.ports import LEFT_OUT, array_of_each, by_name
from neurograph.graph.trees import takes_trees
from neurograph.parameter import Array
from neurograph.samples import number_array
from neurograph.train.forest import NodeRows, Trees, as_node_rows, as_trees, check_sizes
from neurograph.train.loss import Loss, as_weights


def as_inputs(
    network: Network, x: Any, what: str = "x", dtype: npt.DTypeLike = "float64"
) -> list[Array]:
    r"""Return one array for each input of a network, (samples, [time,] \\*shape).

    Parameters
    ----------
    x : array-like, sequence of them, or mapping by name
        Several inputs are given as a list or tuple of arrays, or by the names of their layers.
    dtype : dtype
        What the values must fit into.

    Raises
    ------
    ShapeError, DataError
        Wrong shape, no numbers, nothing at all, or a value that is not finite (the sample is
        named).
    """
    ports = network.inputs
    given = array_of_each(network, "input", x, what)
    if takes_trees(network):
        trees: Any = as_trees(network, given[0], what)
        return [trees]
    arrays = [_input(port, each, what, dtype) for port, each in zip(ports, given, strict=True)]
    _check_counts(ports, arrays, what)
    return arrays


def _check_counts(ports: Sequence[Port], arrays: Sequence[Array], what: str) -> None:
    for port, each in zip(ports, arrays, strict=True):
        if len(each) != len(arrays[0]):
            raise ShapeError(
                f"{what}: {len(arrays[0])} samples for {ports[0].name!r}, but {len(each)} for "
                f"{port.name!r}"
            )


def as_numbers(values: Any, what: str, dtype: npt.DTypeLike = "float64") -> Array:
    """Return values as an array of numbers, not empty, all finite and within a dtype's range."""
    array = number_array(values, what)
    if array.size == 0:
        none = "its samples are empty" if len(array) else "there are no samples"
        raise DataError(f"{what}: {none}, the array has shape {array.shape}")
    limit = np.finfo(dtype).max
    if array.dtype.kind == "f" and not (array.max() <= limit and array.min() >= -limit):
        with np.errstate(invalid="ignore"):
            wrong = ~(np.abs(array) <= limit)
        place = tuple(int(each) for each in np.argwhere(wrong)[0])
        many = f", too large for {np.dtype(dtype)}" if np.isfinite(array[place]) else ""
        raise DataError(f"{what}: sample {place[0]} holds {array[place]:g} at {place}{many}")
    return array


def _input(port: Port, values: Any, what: str, dtype: npt.DTypeLike) -> Array:
    array = as_numbers(values, what, dtype)
    shape = port.shape
    lead = 2 if port.layer.sequence else 1
    if not lead - 1 and shape == (1,) and array.ndim == 1:
        array = array[:, None]
    if array.ndim != lead + len(shape) or array.shape[lead:] != shape:
        axes = "samples, steps" if lead == 2 else "samples"
        expected = ", ".join([axes, *map(str, shape)])
        hint = ""
        if array.shape == shape:
            hint = "; one sample needs a leading axis: x[None]"
        elif array.ndim and int(np.prod(array.shape[1:])) == int(np.prod(shape)) and lead == 1:
            hint = f"; x.reshape(-1, {', '.join(map(str, shape))}) would fit"
        raise ShapeError(
            f"{what}: input {port.name!r} takes arrays of shape ({expected}), "
            f"got {array.shape}{hint}"
        )
    _check_indices(port, array, what)
    steps = port.layer.steps
    if lead == 2 and steps is not None and array.shape[1] != steps:
        raise ShapeError(
            f"{what}: input {port.name!r} takes sequences of {steps} steps, got {array.shape[1]}"
        )
    return array


def _check_indices(port: Port, array: Array, what: str) -> None:
    """Refuse what is no index of the embedding that an input feeds."""
    limit = port.layer.config.get("indices")
    if limit is None:
        return
    wrong = (array < 0) | (array >= limit) | (array != np.rint(array))
    if wrong.any():
        place = tuple(int(each) for each in np.argwhere(wrong)[0])
        raise DataError(
            f"{what}: sample {place[0]} holds {array[place]:g} at {place}; input {port.name!r} "
            f"takes whole numbers from 0 to {limit - 1}, the rows of its embedding"
        )


def output_shape(port: Port) -> tuple[int | None, ...]:
    """Return the shape of one sample of an output; None for a number of steps that may vary."""
    return (port.layer.steps, *port.shape) if port.layer.sequence else port.shape


def as_targets(
    network: Network,
    losses: Sequence[Loss],
    y: Any,
    what: str = "y",
    dtype: npt.DTypeLike = "float64",
) -> list[Array]:
    """Return one array of targets for each output, in the form its loss works on.

    Raises
    ------
    ShapeError, DataError
        The targets do not fit the outputs or the loss; the message names the sample.
    """
    ports = network.outputs
    given = array_of_each(network, "output", y, what)
    trees = takes_trees(network)
    targets = [
        _at_nodes_or_roots(port, loss, each, what)
        if trees
        else loss.check(as_numbers(each, what, dtype), output_shape(port))
        for port, loss, each in zip(ports, losses, given, strict=True)
    ]
    _check_counts(ports, targets, what)
    return targets


def _at_nodes_or_roots(port: Port, loss: Loss, y: Any, what: str) -> Any:
    """Return targets for trees: an array for the roots, rows of each tree for all nodes."""
    if not port.layer.sequence:
        return loss.check(as_numbers(y, what), port.shape)
    rows = as_node_rows(y, what)
    try:
        joined = loss.check(as_numbers(np.asarray(rows), what), port.shape)
    except NeurographError:
        return _by_tree(rows, what, lambda row: loss.check(as_numbers(row, what), port.shape))
    return NodeRows.cut(joined, [len(row) for row in rows])


def as_sample_weights(network: Network, weight: Any, targets: Sequence[Any]) -> list[Any]:
    """Return sample weights for each output, ready for its losses: (samples, [steps,] 1).

    Parameters
    ----------
    network : Network
    weight
        One array for all outputs, a list with one for each, or a mapping by their names; outputs
        that it leaves out have the weight 1.
    targets : list of array or NodeRows
        What ``as_targets`` returned.

    Raises
    ------
    ShapeError, DataError, UnknownNameError
        Weights are negative or not finite, or are not one for each sample, step or node.
    """
    given = _weight_of_each(network, weight)
    return [
        _weights_at_nodes(port, each, target)
        if isinstance(target, NodeRows)
        else _weights_of_samples(port, each, target)
        for port, each, target in zip(network.outputs, given, targets, strict=True)
    ]


def _weight_of_each(network: Network, weight: Any) -> list[Any]:
    ports = network.outputs
    if isinstance(weight, Mapping):
        given = by_name(ports, weight, "output", "sample_weight")
        return [None if each is LEFT_OUT else each for each in given]
    several = len(ports) > 1 and isinstance(weight, (list, tuple)) and len(weight) > 0
    if several and (weight[0] is None or np.ndim(weight[0])):
        if len(weight) != len(ports):
            raise ShapeError(f"{len(weight)} arrays of sample_weight for {len(ports)} outputs")
        return list(weight)
    return [weight] * len(ports)


def _weights_of_samples(port: Port, weight: Any, target: Array) -> Array:
    rows = target.shape[: 1 + port.layer.sequence]
    array = np.ones(rows) if weight is None else as_numbers(weight, "sample_weight")
    return as_weights(array, rows).reshape(rows + (1,) * len(port.shape))


def _weights_at_nodes(port: Port, weight: Any, targets: NodeRows) -> NodeRows:
    given = [np.ones(len(row)) for row in targets] if weight is None else weight
    rows = as_node_rows(given, "sample_weight")
    if len(rows) != len(targets):
        raise ShapeError(f"sample_weight: {len(rows)} arrays for {len(targets)} trees")
    check_sizes(map(len, targets), rows, "sample_weight")
    shape = (-1,) + (1,) * len(port.shape)
    return _by_tree(rows, "sample_weight", lambda row: as_weights(row, (len(row),)).reshape(shape))


def _by_tree(rows: NodeRows, what: str, check: Callable[[Array], Array]) -> NodeRows:
    """Check the rows of each tree; an error gets the number of the tree."""
    found = []
    for number, row in enumerate(rows):
        try:
            found.append(check(row))
        except NeurographError as error:
            raise type(error)(f"{what}: tree {number}, a sample for each node: {error}") from error
    return NodeRows(found)


def same_length(x: Sequence[Array], y: Sequence[Array], what: str = "") -> int:
    """Return the number of samples of inputs and targets, or refuse them if they differ."""
    if len(x[0]) != len(y[0]):
        where = f"{what}: " if what else ""
        raise ShapeError(f"{where}{len(x[0])} samples of x, but {len(y[0])} of y")
    for each in y:
        if isinstance(each, NodeRows) and isinstance(x[0], Trees):
            check_sizes(x[0].sizes, each, what)
    return len(x[0])

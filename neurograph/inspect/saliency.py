"""Saliency: how much every input moves an output."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import GraphError, OptionError
from neurograph.graph.network import Network, Port
from neurograph.graph.node import Node
from neurograph.graph.ports import array_of_each
from neurograph.graph.trees import goes_along_trees

Array = NDArray[Any]


def saliency(network: Network, x: Any, output: Any = None) -> Any:
    r"""Return d output / d input for every sample, calculated in the compiled form.

    Simonyan, Vedaldi & Zisserman (2014), section 3, with signs; take ``abs`` for their maps. The
    network is as in prediction: no dropout, moving statistics. Afterwards values and deltas of
    nodes are those of this run.

    Parameters
    ----------
    network : Network
    x : array-like, (samples, [steps,] \*shape), or a list of them for several inputs
        A mapping by the names of the inputs will do too. One sample may come without its axis.
    output : int, Node or None
        Which node of the first output: its number, or itself. None: for each sample the one with
        the largest value. For sequences it is taken at the last step.

    Returns
    -------
    array of the shape of x, or a list of them

    Raises
    ------
    GraphError
        An input takes indices, which have no slope, or trees.
    OptionError
        There is no such output.
    ShapeError, DataError
        The inputs do not fit the network.

    Examples
    --------
    >>> import neurograph as ng
    >>> net = ng.Network([ng.Input((3,)), ng.Dense(2)])
    >>> net.set_weights([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [0.0, 0.0]])
    >>> saliency(net, [[1.0, 1.0, 1.0]], 0)
    array([[1., 3., 5.]])
    """
    if goes_along_trees(network):
        raise GraphError(
            "saliency: this network goes along trees; take the network of one tree, as in "
            "ng.tree_network(net, tree).saliency(ng.tree_values(net, tree))"
        )
    for port in network.inputs:
        if port.layer.config.get("indices") is not None:
            raise GraphError(
                f"saliency: input {port.name!r} takes indices, which have no slope; look at "
                f"the deltas of the embedding after model.inspect(x, y)"
            )
    given = array_of_each(network, "input", x, "saliency: x")
    single = _is_single(network.inputs[0], given[0])
    given = [np.asarray(each)[None] if single else np.asarray(each) for each in given]
    found = _slopes(network, given, output)
    found = [each[0] for each in found] if single else found
    return found if len(found) > 1 else found[0]


def _is_single(port: Port, x: Any) -> bool:
    return np.ndim(x) == len(port.shape) + bool(port.layer.sequence)


def _slopes(network: Network, x: list[Array], output: Any) -> list[Array]:
    dtype = "float64" if network.arena is None else network.arena.dtype
    model = network.compile(loss=_picked, dtype=dtype)
    inputs: Any = x if len(x) > 1 else x[0]
    found = model.predict(inputs)
    outputs = found if isinstance(found, list) else [found]
    picks = [np.zeros_like(each) for each in outputs]
    _pick(network.outputs[0], outputs[0], picks[0], output)
    model.inspect(inputs, picks if len(picks) > 1 else picks[0])
    slopes = []
    for port in network.inputs:
        delta = port.layer.delta
        delta = delta if port.indices is None else delta[..., list(port.indices)]
        slopes.append(-np.asarray(delta))
    return slopes


def _picked(target: Array, output: Array) -> tuple[float, Array]:
    """Return the outputs that the target, 0 or 1, picks, and their gradient: the target."""
    return float(np.vdot(target, output)), np.asarray(target)


def _pick(port: Port, values: Array, mask: Array, output: Any) -> None:
    """Set the mask to 1 at the output of every sample that is asked for."""
    if port.layer.sequence:
        values, mask = values[:, -1], mask[:, -1]
    size = int(np.prod(values.shape[1:], dtype=int))
    rows = mask.reshape(len(mask), size) if mask.flags.c_contiguous else mask
    flat = values.reshape(len(values), size)
    places = flat.argmax(axis=1) if output is None else _place(port, output, size)
    if rows.ndim == 2:
        rows[np.arange(len(rows)), places] = 1.0
        return
    index = np.unravel_index(np.broadcast_to(places, len(mask)), values.shape[1:])
    mask[(np.arange(len(mask)), *index)] = 1.0


def _place(port: Port, output: Any, size: int) -> int:
    if isinstance(output, Node):
        indices = range(port.layer.size) if port.indices is None else port.indices
        if output.layer is not port.layer or output.index not in indices:
            raise OptionError(f"saliency: {output.label} is not a node of output {port.name!r}")
        return list(indices).index(output.index)
    whole = isinstance(output, (int, np.integer)) and not isinstance(output, bool)
    if not whole or not -size <= output < size:
        raise OptionError(
            f"saliency: output is {output!r}; give a number from 0 to {size - 1}, a node of output "
            f"{port.name!r}, or None"
        )
    return int(output) % size

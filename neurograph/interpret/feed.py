"""Feed: what a run is given, brought into shape and checked before anything is calculated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import DataError, GraphError, ShapeError, unknown
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network, Port
from neurograph.graph.node import Node
from neurograph.graph.ports import array_of_each
from neurograph.graph.trees import takes_trees
from neurograph.samples import stack_samples

Array = NDArray[Any]
Inputs = ArrayLike | Sequence[ArrayLike] | Mapping[str, ArrayLike]


@dataclass(slots=True)
class Feed:
    """The inputs of one run: an array for each input port, and their common leading axes.

    ``batch`` is the leading axes but time, ``steps`` the time steps of each sequence among the
    ports, by port.
    """

    arrays: list[Array]
    batch: tuple[int, ...]
    steps: dict[int, int] = field(default_factory=dict)


def feed(network: Network, inputs: Inputs, dtype: Any = np.float64) -> Feed:
    """Return the inputs of a run in shape; complex ones are for a run of a complex dtype.

    Raises
    ------
    ShapeError
        The number of inputs, a sample's shape or the leading axes do not fit.
    DataError
        A value is not a finite number; the message names the first.
    """
    ports = network.inputs
    if takes_trees(network):
        raise GraphError(
            f"network {network.name!r}: its samples are trees, and node by node it is run for one "
            f"tree at a time: ng.tree_network(net, tree), fed with ng.tree_values(net, tree)"
        )
    given = array_of_each(network, "input", inputs, f"network {network.name!r}")
    kinds = "fiubc" if np.dtype(dtype).kind == "c" else "fiub"
    arrays = [
        _numbers(network, port, values, kinds) for port, values in zip(ports, given, strict=True)
    ]
    leads = [_lead(network, port, values.shape) for port, values in zip(ports, arrays, strict=True)]
    steps = {k: lead[-1] for k, lead in enumerate(leads) if ports[k].layer.sequence}
    batches = [lead[:-1] if k in steps else lead for k, lead in enumerate(leads)]
    for port, batch in zip(ports, batches, strict=True):
        if batch != batches[0]:
            raise ShapeError(
                f"network {network.name!r}: input {ports[0].name!r} has the batch axes "
                f"{batches[0]}, input {port.name!r} has {batch}; give as many samples for each"
            )
    return Feed(arrays, batches[0], steps)


def _numbers(network: Network, port: Port, values: Any, kinds: str) -> Array:
    axes = len(port.shape) + port.layer.sequence
    array = stack_samples(values, f"network {network.name!r}: input {port.name!r}", axes)
    if array.dtype.kind not in kinds:
        real = "real " if array.dtype.kind == "c" else ""
        raise DataError(
            f"network {network.name!r}: the values for input {port.name!r} are not all {real}"
            f"numbers; it takes {_expected(port)}"
        )
    array = array.astype(np.float64) if array.dtype.kind != "c" else array
    if not np.isfinite(array).all():
        held = _first_held(network, port, array, ~np.isfinite(array))
        raise DataError(f"{held}, expected finite numbers")
    _check_indices(network, port, array.real)
    return array


def _check_indices(network: Network, port: Port, array: Array) -> None:
    """Refuse what is no index of the embedding that an input feeds."""
    limit = port.layer.config.get("indices")
    if limit is None:
        return
    wrong = (array < 0) | (array >= limit) | (array != np.rint(array))
    if wrong.any():
        raise DataError(
            f"{_first_held(network, port, array, wrong)}; it takes whole numbers from 0 to "
            f"{limit - 1}, the rows of its embedding"
        )


def _first_held(network: Network, port: Port, array: Array, wrong: Array) -> str:
    """Say what the first of some wrong values is, and where."""
    place = tuple(int(each) for each in np.argwhere(wrong)[0])
    batched = array.ndim > len(port.shape) + port.layer.sequence
    whose = f"sample {place[0]} of input" if batched else "input"
    return f"network {network.name!r}: {whose} {port.name!r} holds {array[place]:g} at {place}"


def _lead(network: Network, port: Port, shape: tuple[int, ...]) -> tuple[int, ...]:
    own = port.shape
    lead = len(shape) - len(own)
    if lead < port.layer.sequence or shape[lead:] != own or 0 in shape:
        raise ShapeError(
            f"network {network.name!r}: input {port.name!r} got values of shape {shape}, "
            f"expected {_expected(port)}"
        )
    return shape[:lead]


def _expected(port: Port) -> str:
    own = ", ".join(str(each) for each in port.shape)
    if port.layer.sequence:
        return f"(time, {own}) or (batch, time, {own})"
    single = f"({own},)" if len(port.shape) == 1 else f"({own})"
    return f"{single} for one sample or (batch, {own})"


def by_part(network: Network, what: str, given: Mapping[Any, Any] | None) -> dict[int, Any]:
    """Return ``id(part) -> array`` for a mapping from layers, nodes or their names to values.

    Raises
    ------
    UnknownNameError
        If a name is not known, or a part does not belong to the network.
    """
    found: dict[int, Any] = {}
    parts = {layer.name: layer for layer in network.all_layers if layer.role != "group"}
    named: dict[str, Layer | Node] = {
        **parts,
        **{node.name: node for node in network.handmade.nodes},
    }
    members = {id(part) for part in named.values()}
    for key, value in (given or {}).items():
        part = key if isinstance(key, (Layer, Node)) else named.get(str(key))
        if part is None or id(part) not in members:
            raise unknown("part", key, named, of=f"network {network.name!r} to give its {what}")
        found[id(part)] = np.asarray(value, dtype=np.float64)
    return found

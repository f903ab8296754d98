"""States: what stateful layers remember of one batch, for the next to begin with.

A state is an array (batch, shape) and has one home, ``layer.state``, which the node-by-node run and
every compiled model of the network share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import DataError, GraphError, OptionError, ShapeError

if TYPE_CHECKING:
    from neurograph.graph.layer import Layer
    from neurograph.graph.network import Network

Array = NDArray[Any]


def stateful_layers(network: Network) -> list[Layer]:
    """Return the layers of a network that begin a batch where the one before ended."""
    return [layer for layer in network.all_layers if layer.stateful]


def stateful_parts(layer: Layer) -> list[Layer]:
    """Return the same of one layer and its parts: the hidden state first, then the cell."""
    found = [layer] if layer.stateful else []
    for _, part in sorted(layer.parts.items(), key=lambda row: row[0] != "hidden"):
        if part.root is layer:
            found += stateful_parts(part)
    return found


def last_step(layer: Layer) -> int:
    """Return the step that a layer on a cycle calculates last: -1, or 0 if it goes backwards."""
    return 0 if any(bundle.delay < 0 for bundle in layer.outgoing) else -1


def state_for(layer: Layer, samples: int) -> Array | None:
    """Return what a batch of so many samples begins with, None for a state that was reset.

    Raises
    ------
    ShapeError
        The state is that of another number of samples.
    """
    state: Array | None = layer.state
    if state is not None and len(state) != samples:
        owner = layer.root or layer
        raise ShapeError(
            f"layer {owner.name!r} is stateful and holds the states of {len(state)} samples, but "
            f"this batch has {samples}; give batches of {len(state)}, or begin anew with "
            f"reset_states()"
        )
    return state


def check_batches(network: Network, samples: int, size: int, what: str) -> None:
    """Refuse a last batch of another size, if the network has stateful layers.

    Raises
    ------
    DataError
        The samples cannot be divided into batches of one size.
    """
    stateful = stateful_layers(network)
    if stateful and samples > size and samples % size:
        owner = stateful[0].root or stateful[0]
        raise DataError(
            f"{what}: layer {owner.name!r} is stateful, so all batches must have the same number "
            f"of samples; {samples} samples in batches of {size} leave {samples % size} over: give "
            f"a batch_size that divides {samples}"
        )


def check_order(network: Network, shuffle: bool) -> None:
    """Refuse to shuffle what a network with stateful layers is to take in order.

    Raises
    ------
    OptionError
    """
    stateful = stateful_layers(network)
    if stateful and shuffle:
        owner = stateful[0].root or stateful[0]
        raise OptionError(
            f"fit: layer {owner.name!r} is stateful, so each batch goes on where the one before "
            f"ended, but shuffle=True mixes the samples of all batches; give shuffle=False"
        )


def reset_states(layers: Sequence[Layer], states: Any = None) -> None:
    """Forget the states of stateful layers, or set them.

    Raises
    ------
    GraphError, ShapeError
        There are more or fewer states than layers; one does not fit.
    """
    if states is None:
        for layer in layers:
            layer.state = None
        return
    given = list(states) if isinstance(states, (list, tuple)) else [states]
    if len(given) != len(layers):
        names = ", ".join(layer.name or layer.kind for layer in layers)
        raise GraphError(
            f"reset_states: got {len(given)} states for {len(layers)} ({names}); give a list of "
            f"arrays (samples, units), one for each"
        )
    arrays = [np.asarray(each) for each in given]
    for layer, array in zip(layers, arrays, strict=True):
        fits = array.dtype.kind in "fiu" and np.isfinite(array).all() and array.ndim > 0
        if not fits or array.shape[1:] != layer.shape or len(array) != len(arrays[0]):
            raise ShapeError(
                f"reset_states: the state of {layer.name or layer.kind!r} is {array.dtype} of "
                f"shape {array.shape}; expected finite numbers of shape (samples, "
                f"{', '.join(map(str, layer.shape))}), as many samples in all"
            )
    for layer, array in zip(layers, arrays, strict=True):
        layer.state = array.astype(np.float64)


def states_of(network: Network) -> dict[str, Array]:
    """Return the states of a network that are not reset, by the name of their layer."""
    return {
        layer.name: layer.state.copy()
        for layer in stateful_layers(network)
        if layer.state is not None
    }


def put_states(network: Network, states: Mapping[str, Array]) -> None:
    """Set the states of a network to what ``states_of`` returned."""
    for layer in stateful_layers(network):
        found = states.get(layer.name)
        layer.state = None if found is None else np.array(found)


@contextmanager
def states_kept(network: Network) -> Iterator[None]:
    """Have the states as they were afterwards, whatever runs."""
    kept = [(layer, layer.state) for layer in stateful_layers(network)]
    try:
        yield
    finally:
        for layer, state in kept:
            layer.state = state

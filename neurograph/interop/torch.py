"""PyTorch modules as networks: structure and weights of the layers that both have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neurograph.errors import GraphError, MissingDependencyError, NeurographError, ShapeError
from neurograph.graph.network import Network
from neurograph.interop.torch_graph import outputs_of
from neurograph.interop.torch_layers import TABLE
from neurograph.interop.views import View, channels_first
from neurograph.layers.core import Input


def from_torch(
    module: Any, input_shape: int | Sequence[int | None], *, name: str = "torch"
) -> Network:
    """Return a PyTorch module as a network with the same weights.

    Channels come last here: a module for pictures of shape (3, 32, 32) becomes a network for
    (32, 32, 3), with kernels in Keras's layout. Sequences are (batch, steps, features), whatever
    ``batch_first`` says; of a recurrent module the states of all steps are the output.

    Parameters
    ----------
    module : torch.nn.Module
        A layer, ``nn.Sequential`` of layers, or a module with a ``forward`` of its own, which is
        followed with ``torch.fx``: calls of layers and of the functions that are layers too, sums,
        products, ``torch.cat``, ``x.view``, ``x[:, -1]``. Convolutions, linear, pooling,
        normalising, recurrent, embedding, dropout, padding and reshaping layers, and activations.
    input_shape : tuple of int
        One sample as PyTorch takes it, without the batch: ``(784,)``, ``(3, 32, 32)``; for
        sequences ``(60, 4)``, or ``(None, 4)`` for any number of steps.
    name : str
        The network's.

    Raises
    ------
    MissingDependencyError
        PyTorch is not installed.
    GraphError
        A layer, or an option of one, has no counterpart; it is named.
    ShapeError
        The module does not take inputs of that shape.

    Examples
    --------
    >>> import pytest
    >>> torch = pytest.importorskip("torch")
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
    >>> net = from_torch(module, (3, 32, 32))
    >>> net.layer("conv2d").shape, net.parameters["conv2d/kernel"].shape
    ((30, 30, 8), (3, 3, 3, 8))
    """
    nn = _torch().nn
    if not isinstance(module, nn.Module):
        raise GraphError(f"from_torch: got {type(module).__name__}, expected a torch.nn.Module")
    shape = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else (input_shape,)
    free = bool(shape) and shape[0] is None
    layers = _flat(module, "module")
    timed = any(isinstance(each, (nn.RNNBase, nn.Embedding)) for each in module.modules())
    last_first = shape if free or timed or len(shape) < 2 else (*shape[1:], shape[0])
    inputs = Input(last_first)
    view = View.of(inputs) if timed else channels_first(inputs)
    if any(_is_own(each) for _, each in layers):
        views = outputs_of(module, view, _apply)
    else:
        for label, each in layers:
            view = _apply(label, each, view)
        views = [view]
    outputs = [
        each.channels_last() if each.is_channels_last() else each.in_order() for each in views
    ]
    return Network(inputs=inputs, outputs=outputs if len(outputs) > 1 else outputs[0], name=name)


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError("from_torch needs PyTorch: pip install torch") from error
    return torch


def _is_own(module: Any) -> bool:
    """Whether a module has a forward of someone's own, which is to be followed."""
    return not type(module).__module__.startswith("torch.")


def _flat(module: Any, label: str) -> list[tuple[str, Any]]:
    """Return the layers of nested Sequentials with their places: ``features.0``."""
    if type(module).__name__ != "Sequential":
        return [(label, module)]
    found = []
    for key, child in module.named_children():
        found += _flat(child, key if label == "module" else f"{label}.{key}")
    return found


def _apply(label: str, module: Any, view: View) -> View:
    kind = type(module).__name__
    convert: Callable[[Any, View], View] | None = TABLE.get(kind)
    if convert is None or not type(module).__module__.startswith("torch."):
        raise GraphError(
            f"from_torch: the layer {label!r} ({kind}) has no counterpart here; known are "
            f"Sequential, {', '.join(TABLE)}"
        )
    try:
        return convert(module, view)
    except GraphError as error:
        raise GraphError(f"from_torch: the layer {label!r} ({kind}): {error}") from error
    except (NeurographError, ValueError, IndexError, np.exceptions.AxisError) as error:
        raise ShapeError(
            f"from_torch: the layer {label!r} ({kind}) does not fit what comes to it, of shape "
            f"{view.shape}: {error}"
        ) from error

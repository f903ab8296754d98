"""Losses, weights and metrics of the outputs of a network: in their order, or by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from neurograph.errors import OptionError, short
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network, Port
from neurograph.graph.ports import LEFT_OUT, by_name
from neurograph.options import number
from neurograph.train.loss import Loss
from neurograph.train.losses import get_loss
from neurograph.train.metric import Metric
from neurograph.train.metrics import get_metric


def get_losses(network: Network, loss: Any) -> list[Loss]:
    """Return the loss of each output.

    Parameters
    ----------
    loss
        One for all outputs, a list with one for each, or a mapping by their names.

    Raises
    ------
    OptionError, UnknownNameError
        There are more or fewer than outputs, or a loss does not fit an activation.
    """
    if _is_one(network, loss):
        given = [loss] * len(network.outputs)
    else:
        given = _each(network, "losses", loss)
    losses = []
    for port, each in zip(network.outputs, given, strict=True):
        if each is LEFT_OUT:
            raise OptionError(f"compile: no loss is given for output {port.name!r}; give each one")
        losses.append(get_loss(each))
        for name in _activations(port):
            losses[-1].check_activation(name)
    return losses


def _activations(port: Port) -> list[str]:
    if port.indices is None:
        return _made_by(port.layer)
    nodes = [port.layer.own_node(index) for index in port.indices]
    return list(dict.fromkeys(node.activation.name for node in nodes))


def _made_by(layer: Layer) -> list[str]:
    """Return the activations that a layer's outputs come from.

    A layer that only passes on, averages or multiplies what is below has the activations there.
    """
    found: dict[str, None] = {}
    seen, waiting = {id(layer)}, [layer]
    while waiting:
        layer = waiting.pop()
        own = layer.parameters or layer.root is not None  # a gate of a recurrent layer, say
        below = [each.source for each in layer.incoming if each.source.role == "units"]
        if own or not below or layer.activation_name != "identity":
            found[layer.activation_name] = None
            continue
        new = {id(each): each for each in below if id(each) not in seen}
        seen |= new.keys()
        waiting += new.values()
    return list(found)


def get_loss_weights(network: Network, weights: Any) -> tuple[float, ...]:
    """Return the weight of each output's loss, or nothing if none are given.

    Outputs that a mapping leaves out have the weight 1.
    """
    if weights is None or np.shape(weights) == (0,):
        return ()
    if not isinstance(weights, (Mapping, Sequence, np.ndarray)) or isinstance(weights, str):
        raise OptionError(
            f"compile: loss_weights is {short(weights)}; give a list with one for each output, or "
            f"a mapping by their names"
        )
    given = _each(network, "loss_weights", weights)
    return tuple(
        1.0 if each is LEFT_OUT else number("compile: loss_weights", each, least=0)
        for each in given
    )


def get_metrics(network: Network, metrics: Any) -> list[tuple[int, Metric]]:
    """Return the metrics, each with the number of the output that it looks at.

    Parameters
    ----------
    metrics
        For one output a list. For several a list with an entry for each output, or a mapping by
        their names; an entry is a metric, a list of metrics, or None. One metric alone is for
        every output.

    Raises
    ------
    OptionError, UnknownNameError
        There are more or fewer entries than outputs.
    """
    count = len(network.outputs)
    if metrics is None or (isinstance(metrics, Sequence) and not len(metrics)):
        return []
    if _is_one(network, metrics):
        entries = [metrics] * count
    elif count == 1 and not isinstance(metrics, Mapping) and not _nested(metrics):
        entries = [metrics]
    else:
        entries = _each(network, "metrics", metrics)
    found: list[tuple[int, Metric]] = []
    for place, entry in enumerate(entries):
        if entry is LEFT_OUT or entry is None:
            continue
        for each in entry if isinstance(entry, (list, tuple)) else [entry]:
            metric = get_metric(each)
            taken = any(metric is other for _, other in found)
            found.append((place, deepcopy(metric) if taken else metric))
    return found


def _nested(metrics: Sequence[Any]) -> bool:
    """Whether a list is one of lists, as for several outputs."""
    return len(metrics) == 1 and isinstance(metrics[0], (list, tuple))


def _is_one(network: Network, given: Any) -> bool:
    """Whether something given is one thing for all outputs: no list, no mapping by their names."""
    if isinstance(given, Mapping):
        names = {port.name for port in network.outputs}
        return "name" in given and "name" not in names  # the configuration of a loss or metric
    return not isinstance(given, (list, tuple))


def _each(network: Network, what: str, given: Any) -> list[Any]:
    """Return what is given for each output; ``LEFT_OUT`` where a mapping has nothing."""
    if isinstance(given, Mapping):
        return by_name(network.outputs, given, "output", f"network {network.name!r}, in {what}")
    names = [port.name for port in network.outputs]
    if len(given) != len(names):
        raise OptionError(
            f"compile: {len(given)} {what} for {len(names)} outputs; give one for each, in the "
            f"order {', '.join(names)}, or a mapping by these names"
        )
    return list(given)


def score_names(network: Network, metrics: Sequence[tuple[int, Metric]]) -> list[str]:
    """Return the names of loss and metrics in logs and history, all different.

    Of several outputs the loss of each follows the whole one, and the name of the output leads:
    ``["loss", "p_loss", "q_loss", "p_accuracy"]``.
    """
    ports = network.outputs
    several = len(ports) > 1
    wanted = [f"{port.name}_loss" for port in ports] if several else []
    for place, metric in metrics:
        wanted.append(f"{ports[place].name}_{metric.name}" if several else metric.name)
    names = ["loss"]
    for name in wanted:
        free, more = name, 1
        while free in names:
            free, more = f"{name}_{more}", more + 1
        names.append(free)
    return names

"""The tutorial's ``train`` and ``predict`` on the compiled form: the same numbers, fast.

One update per sample, error sum((label - output)^2) / 2, no momentum. Values of the last sample
stay in the nodes, as after a walk from node to node.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neurograph.compiler.executable import Mode
from neurograph.errors import GraphError
from neurograph.graph.network import Network
from neurograph.graph.trees import takes_trees
from neurograph.interpret.feed import feed
from neurograph.options import number, whole
from neurograph.train.arrays import as_inputs, as_targets, same_length
from neurograph.train.model import Model
from neurograph.train.optimizers import SGD

_KEEP = Mode(keep=True)
_KEEP_TRAIN = Mode(backward=True, keep=True)


def train_compiled(
    network: Network, labels: ArrayLike, data_set: ArrayLike, rate: float, iteration: int
) -> list[float]:
    """Train by one update per sample, ``iteration`` times over the data.

    Returns the mean error of every round, each sample's taken just before its update.

    Parameters
    ----------
    labels : array-like, (samples, outputs)
    data_set : array-like, (samples, inputs)
    rate : float
    iteration : int

    Raises
    ------
    ShapeError, DataError, OptionError
        Samples or labels do not fit the network, or rate or iteration cannot be.
    """
    number("train: rate", rate, least=0)
    iteration = whole("train: iteration", iteration)
    model = _model(network, rate)
    inputs = as_inputs(network, data_set, "data_set")
    targets = as_targets(network, model.losses, labels, "labels")
    count = same_length(inputs, targets, "train")
    rows = [[each[k : k + 1] for each in inputs] for k in range(count)]
    wanted = [[each[k : k + 1] for each in targets] for k in range(count)]
    history = []
    for _ in range(iteration):
        total = 0.0
        for sample, label in zip(rows, wanted, strict=True):
            plan, error = model.run_backward(_KEEP_TRAIN, sample, label)
            model.update.run()
            model.executable.carry(plan)
            total += error
        history.append(total / count)
    if count and iteration:
        model.executable.keep_values(_KEEP_TRAIN, plan)
        _drop_batch_axis(network)
    return history


def predict_compiled(network: Network, samples: Any) -> Any:
    """Return the outputs for one sample, or for a batch (one more axis).

    Raises
    ------
    ShapeError, DataError
        The samples do not fit the network.
    """
    given = feed(network, samples)
    single = not given.batch
    arrays = [each[None] if single else each for each in given.arrays]
    model = _model(network, 1.0)
    inputs = as_inputs(network, arrays[0] if len(arrays) == 1 else arrays, "predict")
    plan = model.run_forward(_KEEP, inputs)
    model.executable.keep_values(_KEEP, plan)
    model.executable.carry(plan)
    outputs = [np.array(each) for each in model.executable.outputs(plan)]
    if single:
        _drop_batch_axis(network)
        outputs = [each[0] for each in outputs]
    return outputs[0] if len(outputs) == 1 else outputs


def _model(network: Network, rate: float) -> Model:
    """Return the network's float64 model for plain descent, kept from call to call."""
    if takes_trees(network):
        raise GraphError(
            f"network {network.name!r}: train takes arrays, but its samples are trees; compile it "
            f"and use fit"
        )
    known: Any = network.descent
    model = known if isinstance(known, Model) else Model(network, SGD(rate), "sse", dtype="float64")
    network.descent = model
    model.optimizer.learning_rate = float(rate)
    model.refresh()
    return model


def _drop_batch_axis(network: Network) -> None:
    for layer in network.all_layers:
        for store in ("_net", "_output", "_delta"):
            values = getattr(layer, store)
            if isinstance(values, np.ndarray) and values.ndim > 1:
                setattr(layer, store, values[:, 0])

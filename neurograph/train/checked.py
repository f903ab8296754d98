"""Checked: the data of a training in the form a model works on, or refused in one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.errors import DataError, OptionError, short
from neurograph.graph.ports import array_of_each
from neurograph.options import number
from neurograph.parameter import Array
from neurograph.train.arrays import (
    as_inputs,
    as_numbers,
    as_sample_weights,
    as_targets,
    same_length,
)
from neurograph.train.forest import NodeRows

if TYPE_CHECKING:
    from neurograph.train.model import Model


@dataclass(frozen=True, slots=True)
class Checked:
    r"""Arrays for every input and output of a network, and the weights of the samples.

    Attributes
    ----------
    inputs : list of array, (samples, [steps,] \*shape)
    targets : list of array
        As the losses take them.
    weights : list of array, (samples, [steps,] 1, …)
        One for each output, or none.
    """

    inputs: list[Array]
    targets: list[Array]
    weights: list[Array] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.inputs[0])

    def part(self, rows: slice) -> Checked:
        """Return some of the samples, as views."""
        parts = ([each[rows] for each in a] for a in (self.inputs, self.targets, self.weights))
        return Checked(*parts)

    def split(self, fraction: float) -> tuple[Checked, Checked]:
        """Return the first samples for training and the last for validation, as Keras does.

        Raises
        ------
        DataError
            One of the parts would be empty.
        """
        at = math.floor(len(self) * (1.0 - fraction))
        if not 0 < at < len(self):
            raise DataError(
                f"fit: validation_split={fraction:g} of {len(self)} samples leaves {at} to train "
                f"on and {len(self) - at} to validate with; each part needs at least one"
            )
        return self.part(slice(0, at)), self.part(slice(at, None))


def check_data(
    model: Model,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: Any = None,
    *,
    what: str = "x",
    augmented: bool = False,
) -> Checked:
    """Return data checked and ready.

    Parameters
    ----------
    model : Model
    x, y, sample_weight
        Arrays, or lists or mappings of them for several inputs and outputs.
    class_weight : mapping of class number to weight, optional
    what : str
        How messages call x.
    augmented : bool
        Whether something else gives the inputs their shape, so that only numbers are checked.

    Raises
    ------
    ShapeError, DataError, OptionError
        Something does not fit; the message names the sample.
    """
    network = model.network
    if augmented:
        given = array_of_each(network, "input", x, what)
        inputs = [as_numbers(each, what, model.dtype) for each in given]
    else:
        inputs = as_inputs(network, x, what, model.dtype)
    target = "y" if what == "x" else f"{what}: y"
    targets = as_targets(network, model.losses, y, target, model.dtype)
    for each in inputs:
        same_length([each], targets, "fit" if what == "x" else what)
    weights: list[Array] = []
    if sample_weight is not None or class_weight is not None:
        weights = _weights(model, sample_weight, class_weight, targets)
    return Checked(inputs, targets, weights)


def check_batch(model: Model, item: Any, number: int, class_weight: Any = None) -> Checked:
    """Return an item of a stream, ``(x, y)`` or ``(x, y, sample_weight)``, checked and ready."""
    if not isinstance(item, (tuple, list)) or len(item) not in (2, 3):
        raise DataError(
            f"fit: batch {number} of the iterable is {_described(item)}, expected (x, y) or "
            f"(x, y, sample_weight); arrays in memory are given as fit(x, y)"
        )
    weight = item[2] if len(item) == 3 else None
    return check_data(model, item[0], item[1], weight, class_weight, what=f"batch {number}")


def _described(item: Any) -> str:
    if isinstance(item, (tuple, list)):
        return f"a {type(item).__name__} of {len(item)}"
    return f"of type {type(item).__name__}"


def _weights(model: Model, sample_weight: Any, class_weight: Any, targets: list[Array]) -> Any:
    weights = as_sample_weights(model.network, sample_weight, targets)
    if class_weight is not None:
        if len(weights) > 1:
            raise OptionError("fit: class_weight is for networks of one output; use sample_weight")
        if isinstance(targets[0], NodeRows):
            raise OptionError("fit: class_weight is not for outputs at every node of a tree")
        by_class = _class_weights(model, class_weight, targets[0])
        weights[0] = weights[0] * by_class.reshape(by_class.shape + (1,) * (weights[0].ndim - 1))
    return weights


def _class_weights(model: Model, class_weight: Any, target: Array) -> Array:
    """Return the weight of each sample's class, (samples,)."""
    if not isinstance(class_weight, Mapping) or not class_weight:
        raise OptionError(
            f"fit: class_weight maps class numbers to weights, as in {{0: 1.0, 1: 5.0}}, got "
            f"{short(class_weight)}"
        )
    classes = target
    if not model.losses[0].class_numbers:
        classes = target[:, 0] if target.shape[1:] == (1,) else target.argmax(-1)
    outputs = max(2, model.network.outputs[0].shape[-1])
    table = np.ones(outputs)
    for name, weight in class_weight.items():
        if isinstance(name, bool) or name not in range(outputs):
            raise OptionError(f"fit: class_weight has class {name!r}, expected 0 to {outputs - 1}")
        table[int(name)] = number(f"fit: class_weight of class {name}", weight, least=0)
    if classes.ndim != 1:
        raise OptionError("fit: class_weight is for one class a sample; use sample_weight")
    return table[classes.astype(np.intp)]

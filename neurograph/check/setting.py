"""Setting: the network, data and options that one check runs with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import DataError, OptionError, short
from neurograph.graph.masks import Masks, masks_of_run, output_masks
from neurograph.graph.network import Network
from neurograph.graph.ports import array_of_each
from neurograph.interpret import backward, calc_gradients, forward
from neurograph.interpret.feed import feed
from neurograph.parameter import Parameter
from neurograph.samples import stack_samples
from neurograph.train.loss import Loss
from neurograph.train.outputs import get_losses

Array = NDArray[Any]
_EACH_SAMPLE_ALONE = {"softmax", "one_hot", "layer_normalization", "batch_normalization"}
_EACH_SAMPLE_ALONE |= {"local_response_normalization"}


@dataclass(slots=True)
class Setting:
    """What every run of a check has in common.

    Attributes
    ----------
    network : Network
    x : list of ndarray
        (leading axes, shape) for each input.
    y : list of ndarray
        Targets for each output, as its loss takes them.
    losses : list of Loss
        One for each output.
    batch : tuple of int
        The leading axes but time.
    options : dict
        training, noise, initial, mask: for ``interpret.forward``.
    masks : list, optional
        Which steps of each output count, once that is known.
    """

    network: Network
    x: list[Array]
    y: list[Array]
    losses: list[Loss]
    batch: tuple[int, ...]
    options: dict[str, Any]
    masks: Masks | None = None

    @classmethod
    def of(cls, network: Network, x: Any, y: Any, loss: Any, options: Mapping[str, Any]) -> Setting:
        """Check and bring into shape what the caller gave.

        Raises
        ------
        ShapeError, DataError
            Inputs or targets do not fit the network or the loss.
        """
        given = feed(network, x)
        losses = get_losses(network, loss)
        what = f"network {network.name!r}, targets"
        arrays = [stack_samples(each, what) for each in array_of_each(network, "output", y, what)]
        for array in arrays:
            if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
                raise DataError(f"network {network.name!r}: the targets are not finite numbers")
        return cls(network, given.arrays, arrays, losses, given.batch, dict(options))

    def forward(self, **more: Any) -> list[Array]:
        """Walk the nodes once."""
        return forward(self.network, self._inputs(self.x), **self.options, **more)

    def _inputs(self, arrays: Sequence[Array]) -> Any:
        return arrays[0] if len(arrays) == 1 else list(arrays)

    def explicit_gradients(self) -> float:
        """Fill values, deltas and gradients node by node, regularizers included; return E."""
        outputs = self.forward()
        backward(self.network, self.d_outputs(outputs))
        calc_gradients(self.network)
        for parameter in self.network.parameters.values():
            if parameter.regularizer is not None:
                parameter.gradient += parameter.regularizer.gradient(parameter.value)
        return self.error(outputs)

    def error(self, outputs: Sequence[Array]) -> float:
        """Return E for outputs, without regularizers."""
        return sum(
            loss.value_and_gradient(*self._batched(target, output), self._weight(k))[0]
            for k, (loss, target, output) in enumerate(
                zip(self.losses, self.y, outputs, strict=True)
            )
        )

    def _weight(self, place: int) -> Array | None:
        """Return the weights of the steps of an output by its mask, which no weight can change."""
        if self.masks is None:
            if any(output_masks(self.network)):
                self.forward()
                self.masks = masks_of_run(self.network)
            else:
                self.masks = [None] * len(self.losses)
        mask = self.masks[place]
        if mask is not None and not self.batch:
            mask = mask[None]
        return self.losses[place].step_weight(mask)

    def d_outputs(self, outputs: Sequence[Array]) -> list[Array]:
        """Return dE/d output for each output."""
        return [
            np.reshape(
                loss.value_and_gradient(*self._batched(target, output), self._weight(k))[1],
                output.shape,
            )
            for k, (loss, target, output) in enumerate(
                zip(self.losses, self.y, outputs, strict=True)
            )
        ]

    def _batched(self, target: Array, output: Array) -> tuple[Array, Array]:
        """Give a single sample its batch axis."""
        return (target, output) if self.batch else (target[None], output[None])

    @property
    def in_functions(self) -> set[int]:
        """The parameters that whole-layer functions read, by id."""
        return parameters_of_functions(self.network)

    # many networks in one run -------------------------------------------------------------------

    @property
    def mixes_samples(self) -> bool:
        """Whether one sample's values depend on the others', so that runs cannot be stacked."""
        return any(
            layer.function is not None
            and (
                layer.function.name not in _EACH_SAMPLE_ALONE
                or (layer.function.name == "batch_normalization" and self.options["training"])
            )
            for layer in self.network.all_layers
        )

    def stacked(
        self,
        count: int,
        changes: Mapping[Parameter, Mapping[int, Array]],
        dtype: Any,
        inject: Mapping[Any, Array] | None = None,
        inputs: Sequence[Array] | None = None,
    ) -> list[Array]:
        """Run ``count`` networks at once that differ in some weights, nets or inputs.

        Parameters
        ----------
        count : int
        changes : mapping
            For some parameters, the values of single weights in each network, (count,).
        dtype : dtype
        inject : mapping, optional
            What to add to nets, (count, leading axes) or what broadcasts to it.
        inputs : list of ndarray, optional
            Inputs for each network, (count, leading axes, shape).

        Returns
        -------
        list of ndarray
            (count, leading axes, shape) for each output.
        """
        if self.mixes_samples:
            return self._alone(changes, dtype, inject, inputs)
        x = inputs or [np.broadcast_to(each, (count, *each.shape)) for each in self.x]
        options = dict(self.options)
        if options["mask"] is not None:
            mask = np.asarray(options["mask"])
            options["mask"] = np.broadcast_to(mask, (count, *mask.shape))
        with changed(self.network, changes, 1 + len(self.batch)):
            return forward(
                self.network, self._inputs(x), **options, inject=inject, dtype=dtype, stepwise=True
            )

    def _alone(
        self,
        changes: Mapping[Parameter, Mapping[int, Array]],
        dtype: Any,
        inject: Mapping[Any, Array] | None,
        inputs: Sequence[Array] | None,
    ) -> list[Array]:
        """Run one changed network, all steps of time at once as ever."""
        x = self._inputs([each[0] for each in inputs] if inputs else self.x)
        more = {node: each[0] for node, each in (inject or {}).items()}
        with changed(self.network, changes, 0):
            outputs = forward(self.network, x, **self.options, inject=more, dtype=dtype)
        return [each[None] for each in outputs]


def parameters_of_functions(network: Network) -> set[int]:
    """Return the ids of the parameters that whole-layer functions read as arrays."""
    functions = [layer.function for layer in network.all_layers if layer.function is not None]
    return {id(each) for function in functions for each in function.parameters.values()}


@contextmanager
def changed(
    network: Network, changes: Mapping[Parameter, Mapping[int, Array]], axes: int
) -> Iterator[None]:
    """Let some weights have other values for a while, an array (count,) each, or (1,) numbers.

    The arrays get as many axes as ``axes`` says, 0 for numbers. The parameters' own arrays are not
    touched, so they are as before afterwards, whatever happens.
    """
    in_functions = parameters_of_functions(network)
    kept = [(each, each._flat, each._value) for each in changes if each.value is not None]
    try:
        for parameter, weights in changes.items():
            values = parameter.value
            if id(parameter) in in_functions:
                dtype = np.result_type(np.float64, *weights.values())
                fresh = values.astype(dtype)
                for index, (value,) in weights.items():  # such runs are not stacked: one network
                    fresh.reshape(-1)[index] = value
                parameter._value = fresh
            flat: list[Any] = values.reshape(-1).tolist()
            for index, value in weights.items():
                flat[index] = value.reshape(-1, *(1,) * (axes - 1)) if axes else value.item()
            parameter._flat = flat
        yield
    finally:
        for parameter, flat_values, value in kept:
            parameter._flat, parameter._value = flat_values, value


def checked_network(what: str, net: object) -> None:
    """Refuse what is no network."""
    if not isinstance(net, Network):
        raise OptionError(f"{what}: give a network (a model's is model.network), got {short(net)}")


@contextmanager
def homes_kept(network: Network) -> Iterator[None]:
    """Let all weights live in float64 copies for a while.

    Afterwards every weight is back in its home with the same bits, whatever happened; the gradients
    found are copied there.
    """
    kept = [(each, each.value, each.gradient) for each in network.parameters.values()]
    arena, descent, sample = network.arena, network.descent, network._sample
    try:
        network.arena = network.descent = None
        for parameter, value, gradient in kept:
            parameter._bind(value.astype(np.float64), gradient.astype(np.float64))
        yield
    finally:
        for parameter, value, gradient in kept:
            gradient[...] = parameter.gradient
            parameter._bind(value, gradient)
        network.arena, network.descent, network._sample = arena, descent, sample

"""The weights of a network by name: all of them, and putting others in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import DataError, ShapeError, UnknownNameError
from neurograph.graph.bundles import DenseConnections
from neurograph.graph.ends import Names
from neurograph.graph.network import Network
from neurograph.parameter import Parameter

Array = NDArray[Any]


def named_parameters(network: Network) -> dict[str, Parameter]:
    """Return every parameter of a network by name, in order.

    They are those of ``network.parameters``, then any that only a bundle or a whole-layer function
    refers to.

    >>> list(named_parameters(Network([2, 1])))
    ['layer_1/kernel', 'layer_1/bias']
    """
    found = dict(network.parameters)
    seen = {id(parameter) for parameter in found.values()}
    rest: list[Parameter | None] = []
    for layer in network.all_layers:
        rest += layer.parameters.values()
        rest += layer.function.parameters.values() if layer.function is not None else []
        rest += [bundle.parameter for bundle in layer.incoming]
    for parameter in rest:
        if parameter is not None and id(parameter) not in seen:
            seen.add(id(parameter))
            found[Names().free(parameter.name or "parameter", found)] = parameter
    return found


def weight_arrays(network: Network) -> dict[str, Array]:
    """Return the values of all parameters by name; they are the arrays themselves, not copies.

    Raises
    ------
    DataError
        A value is NaN or infinite: such weights are never saved over good ones.
    """
    arrays = {name: parameter.value for name, parameter in named_parameters(network).items()}
    for name, array in arrays.items():
        check_finite(f"network {network.name!r}", name, array)
    return arrays


def check_finite(what: str, name: str, array: Array) -> None:
    """Raise DataError, naming the first such place, if an array holds NaN or infinity."""
    finite = np.isfinite(array)
    if not finite.all():
        place = tuple(int(each) for each in np.unravel_index(int(finite.argmin()), array.shape))
        raise DataError(
            f"{what}: parameter {name!r} is {float(array[place])} at {list(place)}; weights must "
            f"be finite numbers"
        )


def put_weights(network: Network, arrays: Mapping[str, Array], source: str) -> None:
    """Give every parameter of a network the array with its name: all of them, or none.

    Parameters
    ----------
    network : Network
    arrays : mapping of name to array
        Each of its parameter's shape, of any type of real numbers.
    source : str
        Where they come from, for messages.

    Raises
    ------
    UnknownNameError
        A parameter has no array, or an array no parameter.
    ShapeError, DataError
        An array has another shape, is not of numbers, or not finite.

    Notes
    -----
    Connections that were removed stay removed: their weight is 0 whatever the array says.
    """
    parameters = named_parameters(network)
    _check_names(network, list(parameters), list(arrays), source)
    for name, parameter in parameters.items():
        array = arrays[name]
        if array.shape != parameter.shape:
            raise ShapeError(
                f"{source}: the array for parameter {name!r} has shape {array.shape}, network "
                f"{network.name!r} needs {parameter.shape}"
            )
        if array.dtype.kind not in "fiu":
            raise DataError(
                f"{source}: the array for parameter {name!r} holds {array.dtype.name}, expected "
                f"real numbers"
            )
        with np.errstate(over="ignore"):  # too large for float32 counts as infinite
            check_finite(source, name, array.astype(parameter.value.dtype, copy=False))
    for name, parameter in parameters.items():
        parameter.value = arrays[name]
    for bundle in network.bundles:
        if isinstance(bundle, DenseConnections) and bundle.mask is not None:
            rows, units = np.nonzero(bundle.mask)
            assert bundle.parameter is not None
            bundle.parameter.value[rows, bundle.first_column + units] = 0.0


def _check_names(network: Network, wanted: list[str], given: list[str], source: str) -> None:
    missing = [name for name in wanted if name not in set(given)]
    extra = [name for name in given if name not in set(wanted)]
    if missing:
        raise UnknownNameError(
            f"{source}: it has no weights for parameter {missing[0]!r} of network "
            f"{network.name!r}{_more(missing)}; it has {_listed(given)}"
        )
    if extra:
        raise UnknownNameError(
            f"{source}: network {network.name!r} has no parameter {extra[0]!r}{_more(extra)}; "
            f"it has {_listed(wanted)}"
        )


def _more(names: list[str]) -> str:
    plural = "" if len(names) == 2 else "s"
    return f" nor for {len(names) - 1} other{plural}" if len(names) > 1 else ""


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown}, … {len(names) - 8} more" if len(names) > 8 else shown or "none"

"""Building the parameters of a network again: values, freezing, training options."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neurograph.errors import FormatError
from neurograph.parameter import Array, Parameter
from neurograph.regularizers import get_regularizer
from neurograph.storage.record import Record
from neurograph.storage.values import Revived
from neurograph.storage.weights import check_finite

_DTYPES = ("float16", "float32", "float64")


def build_parameters(
    structure: Record, weights: Mapping[str, Array], revived: Revived
) -> list[Parameter]:
    """Return the parameters of a structure, with the given arrays as their values.

    Raises
    ------
    FormatError, DataError
        Weights are missing, too many, of another shape or type, or not finite.
    """
    rows = structure.records("parameters", "parameter")
    parameters = [_parameter(row, weights, revived) for row in rows]
    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names):
        raise FormatError("the structure: two parameters have one name")
    extra = sorted(set(weights) - set(names))
    if extra:
        raise FormatError(f"parameter {extra[0]!r} has weights but no place in the structure")
    return parameters


def _parameter(row: Record, weights: Mapping[str, Array], revived: Revived) -> Parameter:
    name = row.text("name")
    value = weights.get(name)
    if value is None:
        raise FormatError(f"parameter {name!r} has no weights")
    shape, dtype = row.sizes("shape"), row.text("dtype")
    if value.shape != shape or value.dtype.name != dtype or dtype not in _DTYPES:
        raise FormatError(
            f"parameter {name!r} is {dtype} of shape {shape} in the structure, but its weights "
            f"are {value.dtype.name} of shape {value.shape}"
        )
    check_finite("the file", name, value)
    parameter = Parameter(shape=shape, name=name, trainable=row.flag("trainable"))
    parameter._bind(np.ascontiguousarray(value).reshape(shape), np.zeros(shape, dtype))
    set_training_options(row, parameter, revived)
    return parameter


def set_training_options(row: Record, parameter: Parameter, revived: Revived) -> None:
    """Set what a row says of how its parameter is trained, checked."""
    if "frozen" in row:
        indices = row.column("frozen", revived)
        if np.any(indices < 0) or np.any(indices >= parameter.size):
            raise FormatError(f"{row.what}: weights are frozen that do not exist")
        parameter.freeze(indices)
    if "regularizer" in row:
        parameter.regularizer = get_regularizer(revived(row.mapping("regularizer")))
    if "learning_rate_factor" in row:
        factor = np.asarray(revived(row.fields["learning_rate_factor"]))
        if factor.dtype.kind not in "fiu" or factor.shape not in ((), parameter.shape):
            raise FormatError(f"{row.what}: its learning-rate factor is not a number")
        parameter.learning_rate_factor = factor if factor.ndim else float(factor)

"""Parameter: the one home of an array of weights and of its gradient."""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import DataError, ShapeError, short
from neurograph.options import text

Array = NDArray[Any]
Initializer = Callable[[tuple[int, ...], np.random.Generator], Array]


class Version:
    """A counter shared by a network and all its parts; whoever changes the structure raises it."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


class Undrawn:
    """Stands for the elements of an array until one is asked for: then all are drawn."""

    __slots__ = ("name", "parameter")

    def __init__(self, parameter: Parameter, name: str) -> None:
        self.parameter, self.name = parameter, name

    def _drawn(self) -> MutableSequence[float]:
        self.parameter.value  # noqa: B018 (draws)
        return cast("MutableSequence[float]", getattr(self.parameter, self.name))

    def __getitem__(self, index: int) -> float:
        return self._drawn()[index]

    def __setitem__(self, index: int, value: float) -> None:
        self._drawn()[index] = value


class Parameter:
    """A named array of weights with its gradient; whoever uses a weight refers to an index in it.

    Sharing a weight means that two connections have the same address: (parameter, index). The array
    moves when a network is compiled (into one vector for the whole network); ``value`` always gives
    the present home, and assigning to it writes into that home.

    Parameters
    ----------
    value : array_like, optional
        The initial value, any shape; a number makes one weight of shape ``()``.
    name : str, optional
        Given by the network if absent.
    trainable : bool
        Whether training may change it.
    shape, initializer : tuple of int, callable
        Instead of a value: ``initializer(shape, generator)``, called when the value is first
        needed.
    regularizer : object, optional
        With attributes ``l1`` and ``l2``.

    Examples
    --------
    >>> w = Parameter(0.5, name="w")
    >>> w.value = 0.25
    >>> w
    Parameter('w', shape=(), float64)
    >>> float(w.value), float(w.gradient)
    (0.25, 0.0)
    """

    __slots__ = (
        "__weakref__",
        "_flat",
        "_gradient",
        "_gradient_flat",
        "_learning_rate_factor",
        "_name",
        "_regularizer",
        "_trainable",
        "_value",
        "frozen",
        "generator",
        "initializer",
        "shape",
        "version",
    )

    def __init__(
        self,
        value: ArrayLike | None = None,
        name: str = "",
        trainable: bool = True,
        *,
        shape: tuple[int, ...] | None = None,
        initializer: Initializer | None = None,
        regularizer: Any = None,
    ) -> None:
        self.name = name or ""
        self._trainable = trainable
        self._regularizer = regularizer
        self.initializer = initializer
        self.generator: np.random.Generator | None = None
        self._learning_rate_factor: float | Array = 1.0
        self.frozen: NDArray[np.bool_] | None = None
        self.version = Version()
        self._value: Array | None = None
        self._gradient: Array | None = None
        self._await_drawing()
        if value is not None:
            array = np.array(self._numbers(value), order="C")
            self.shape: tuple[int, ...] = array.shape
            self._bind(array, np.zeros_like(array))
        elif shape is not None:
            self.shape = tuple(shape)
        else:
            raise DataError("Parameter: give a value, or a shape and an initializer")

    @property
    def name(self) -> str:
        """The name; networks call the parameters of a layer by the layer's name."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = text("a parameter's name", name)

    @property
    def size(self) -> int:
        """The number of weights."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def trainable(self) -> bool:
        """Whether training may change it; single weights can be frozen with ``freeze``."""
        return self._trainable

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        self._trainable = bool(trainable)
        self.version.number += 1

    @property
    def regularizer(self) -> Any:
        """What it adds to the loss: an object with ``l1`` and ``l2``, or None."""
        return self._regularizer

    @regularizer.setter
    def regularizer(self, regularizer: Any) -> None:
        self._regularizer = regularizer
        self.version.number += 1

    @property
    def learning_rate_factor(self) -> float | Array:
        """What multiplies the change of the weights in a step of training, or of each of them."""
        return self._learning_rate_factor

    @learning_rate_factor.setter
    def learning_rate_factor(self, factor: float | Array) -> None:
        self._learning_rate_factor = factor
        self.version.number += 1

    @property
    def value(self) -> Array:
        """The array itself, shape ``shape``; changing its elements changes the network."""
        if self._value is None:
            self._materialise()
        assert self._value is not None
        return self._value

    @value.setter
    def value(self, new: ArrayLike) -> None:
        array = self._numbers(new)
        if array.shape != self.shape:
            raise ShapeError(
                f"parameter {self.name!r}: got a value of shape {array.shape}, "
                f"expected {self.shape}"
            )
        self.value[...] = array

    def _numbers(self, value: ArrayLike) -> Array:
        what = f"parameter {self.name or '(unnamed)'!r}"
        try:
            array = np.asarray(value)
            if array.dtype.kind in "cmMSU":  # which astype turns into numbers of a sort
                raise TypeError
            array = array.astype(np.float64, copy=False)
        except (TypeError, ValueError):
            raise DataError(f"{what}: its value is no array of numbers: {short(value)}") from None
        if not np.isfinite(array).all():
            raise DataError(f"{what}: its value is not finite")
        return array

    @property
    def gradient(self) -> Array:
        """dE/d value of the last backward run, shape ``shape``."""
        if self._gradient is None:
            self._materialise()
        assert self._gradient is not None
        return self._gradient

    @gradient.setter
    def gradient(self, new: ArrayLike) -> None:
        self.gradient[...] = new

    @property
    def is_materialised(self) -> bool:
        """Whether the initial value has been drawn yet."""
        return self._value is not None

    def _materialise(self) -> None:
        generator = self.generator or np.random.default_rng()
        if self.initializer is None:
            array = np.zeros(self.shape)
        else:
            array = np.asarray(self.initializer(self.shape, generator), dtype=np.float64)
        if array.shape != self.shape:
            raise ShapeError(
                f"parameter {self.name!r}: its initializer gave shape {array.shape}, "
                f"expected {self.shape}"
            )
        self._bind(np.ascontiguousarray(array), np.zeros(self.shape))

    def _await_drawing(self) -> None:
        self._flat: MutableSequence[float] = cast(Any, Undrawn(self, "_flat"))
        self._gradient_flat: MutableSequence[float] = cast(Any, Undrawn(self, "_gradient_flat"))

    def _bind(self, value: Array, gradient: Array) -> None:
        """Make two contiguous arrays the home, whatever they hold."""
        self._value, self._gradient = value, gradient
        self._flat, self._gradient_flat = _flat(value), _flat(gradient)

    def move(self, value: Array, gradient: Array) -> None:
        """Move into a new home: two C-contiguous arrays of this shape; the contents come along."""
        value[...] = self.value
        gradient[...] = self.gradient
        self._bind(value, gradient)

    def freeze(self, index: int | Array, frozen: bool = True) -> None:
        """Keep single weights (flat indices) from being trained, or let them train again."""
        if self.frozen is None:
            if not frozen:
                return
            self.frozen = np.zeros(self.shape, dtype=bool)
        self.frozen.reshape(-1)[index] = frozen
        if not self.frozen.any():
            self.frozen = None
        self.version.number += 1

    def is_trainable_at(self, index: int) -> bool:
        """Whether training may change the weight with this flat index."""
        return self._trainable and (self.frozen is None or not self.frozen.reshape(-1)[index])

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs: all but the two views, and what ties it to a network."""
        left_out = ("__weakref__", "_flat", "_gradient_flat", "version")
        return {name: getattr(self, name) for name in self.__slots__ if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self.version = Version()
        self._await_drawing()
        if self._value is not None and self._gradient is not None:
            self._bind(np.array(self._value, order="C"), np.array(self._gradient, order="C"))

    def __repr__(self) -> str:
        kind = self._value.dtype if self._value is not None else "not drawn yet"
        return f"Parameter({self.name!r}, shape={self.shape}, {kind})"


def _flat(array: Array) -> MutableSequence[float]:
    """Return the elements as Python floats: a memoryview, several times faster than indexing."""
    elements: Any = array.reshape(-1)
    view: Any = memoryview(elements) if array.dtype.kind == "f" else elements
    return cast(MutableSequence[float], view)

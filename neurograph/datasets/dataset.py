"""The one shape of every data set: a training and a test part, and what is known about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from neurograph.datasets.checks import Array, same_length
from neurograph.datasets.encoding import to_categorical
from neurograph.datasets.scaling import MinMaxScaler, Scaler
from neurograph.errors import DataError, OptionError
from neurograph.options import whole

Kind = Literal["pictures", "table", "series", "text"]


class Part(NamedTuple):
    """Samples and their targets; a tuple, so it goes wherever ``(x, y)`` goes.

    Attributes
    ----------
    x : (samples, …)
    y : (samples, …)
    """

    x: Array
    y: Array


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A data set, divided into a training and a test part.

    It unpacks as Keras users expect, and every method returns a new data set.

    Attributes
    ----------
    name : str
    train, test : Part
        ``x`` and ``y`` of each; also as ``x_train``, ``y_train``, ``x_test``, ``y_test``.
    kind : "pictures", "table", "series" or "text"
    description, licence : str
        Where the data come from and what may be done with them.
    class_names : tuple of str
        The names of the classes 0, 1, 2, …; empty where the targets are no classes.
    feature_names : tuple of str
        The names of the columns of ``x``, where they have names.
    top : float or None
        The highest value a picture can have: 255, or 16 for the 8x8 digits.
    scaler : Scaler or None
        What ``scaled`` did, so that predictions can be turned back.
    columns : mapping of str to array
        The raw table behind the parts: dates and values of a time series, for example.

    Examples
    --------
    >>> from neurograph import datasets
    >>> (x_train, y_train), (x_test, y_test) = datasets.digits()
    >>> x_train.shape, x_train.dtype, y_train[:3]
    ((1442, 8, 8), dtype('uint8'), array([0, 1, 2]))
    >>> data = datasets.digits().scaled().flat().one_hot()
    >>> data.train.x.shape, float(data.train.x.max()), data.train.y.shape
    ((1442, 64), 1.0, (1442, 10))
    """

    name: str
    train: Part
    test: Part
    kind: Kind
    description: str = ""
    licence: str = ""
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    top: float | None = None
    scaler: Scaler | None = None
    columns: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in (self.train, self.test):
            same_length(f"the data set {self.name!r}", each.x, each.y)

    def __iter__(self) -> Iterator[Part]:
        yield self.train
        yield self.test

    @property
    def x_train(self) -> Array:
        """The training samples, ``train.x``."""
        return self.train.x

    @property
    def y_train(self) -> Array:
        """The training targets, ``train.y``."""
        return self.train.y

    @property
    def x_test(self) -> Array:
        """The test samples, ``test.x``."""
        return self.test.x

    @property
    def y_test(self) -> Array:
        """The test targets, ``test.y``."""
        return self.test.y

    def flat(self) -> Dataset:
        """Return the data set with each sample as one vector: (samples, features)."""
        return self._with_x(lambda x: x.reshape(len(x), -1))

    def with_channels(self) -> Dataset:
        """Return the pictures as (samples, height, width, channels), as convolutions want them.

        >>> from neurograph import datasets
        >>> datasets.digits().with_channels().train.x.shape
        (1442, 8, 8, 1)
        """
        if self.kind != "pictures" or self.train.x.ndim not in (3, 4):
            raise DataError(
                f"the data set {self.name!r} has samples of shape {self.train.x.shape[1:]}: "
                "with_channels() needs pictures, height by width"
            )
        return self if self.train.x.ndim == 4 else self._with_x(lambda x: x[..., np.newaxis])

    def scaled(self, scaler: Scaler | None = None, dtype: DTypeLike = "float32") -> Dataset:
        """Return the data set with its numbers in 0..1.

        Pictures are divided by the highest value they can have. Tables and series are scaled by
        what the training part alone tells (its minimum and maximum, or what ``scaler`` remembers);
        the targets of a series are values of that series, so they are scaled with it.

        Parameters
        ----------
        scaler : Scaler, optional
            For tables and series: ``Standardizer()`` gives mean 0 and variance 1 instead.
        dtype : float32 or float64

        Examples
        --------
        >>> from neurograph import datasets
        >>> data = datasets.prices().scaled()
        >>> bool(data.train.x.max() <= 1), float(round(data.scaler.inverse([[1.0]])[0, 0], 2))
        (True, 145.31)
        """
        if self.scaler is not None:
            raise DataError(f"the data set {self.name!r} is scaled already")
        if self.kind == "text":
            raise DataError(f"the data set {self.name!r} is text: encode it, it cannot be scaled")
        kind = np.dtype(dtype)
        if kind not in (np.float32, np.float64):
            raise OptionError(f"scaled() makes float32 or float64, not {kind}")
        if self.kind == "pictures" and scaler is None:
            factor = (np.float64 if kind == np.float64 else np.float32)(1 / (self.top or 1.0))
            return replace(self._with_x(lambda x: x * factor), top=1.0)
        scaler = MinMaxScaler() if scaler is None else scaler
        if self.kind == "series":
            features = self.train.x.shape[-1]
            rows = [each.reshape(-1, features) for each in self.train]
            scaler.fit(np.concatenate(rows))
            parts = [Part(*(scaler.transform(a).astype(kind) for a in part)) for part in self]
        else:
            scaler.fit(self.train.x)
            parts = [Part(scaler.transform(part.x).astype(kind), part.y) for part in self]
        return replace(self, train=parts[0], test=parts[1], scaler=scaler)

    def one_hot(self, dtype: DTypeLike = "float32") -> Dataset:
        """Return the data set with its class numbers as rows of 0 and 1."""
        if not self.class_names or self.train.y.ndim != 1:
            raise DataError(
                f"the targets of {self.name!r} have shape {self.train.y.shape} and "
                f"{len(self.class_names)} class names: one_hot() needs one class number a sample"
            )
        classes = len(self.class_names)
        train, test = (Part(part.x, to_categorical(part.y, classes, dtype=dtype)) for part in self)
        return replace(self, train=train, test=test)

    def take(self, train: int, test: int | None = None) -> Dataset:
        """Return the data set cut to the first ``train`` and ``test`` samples, for a quick try.

        >>> from neurograph import datasets
        >>> [len(part.x) for part in datasets.digits().take(100, 20)]
        [100, 20]
        """
        first = whole("train", train, least=1)
        second = len(self.test.x) if test is None else whole("test", test, least=1)
        cut = [Part(p.x[:n], p.y[:n]) for p, n in zip(self, (first, second), strict=True)]
        return replace(self, train=cut[0], test=cut[1])

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.description}"]
        for name, part in (("train", self.train), ("test", self.test)):
            lines.append(
                f"  {name:5} x {part.x.shape} {part.x.dtype}, y {part.y.shape} {part.y.dtype}"
            )
        if self.class_names:
            lines.append(f"  classes: {', '.join(self.class_names)}")
        if self.feature_names:
            lines.append(f"  features: {', '.join(self.feature_names)}")
        if self.licence:
            lines.append(f"  licence: {self.licence}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"<Dataset {self.name}: {len(self.train.x)} for training, {len(self.test.x)} to test>"
        )

    def _with_x(self, change: Callable[[Array], Array]) -> Dataset:
        train, test = (Part(change(part.x), part.y) for part in self)
        return replace(self, train=train, test=test)

"""The tutorial's first two machines: the perceptron and the linear unit, made of nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import DataError, OptionError, ShapeError, short
from neurograph.functions import Activation
from neurograph.graph.connection import Connection
from neurograph.graph.network import Network
from neurograph.graph.node import ConstNode, InputNode, Node
from neurograph.options import number, whole
from neurograph.samples import number_array

Labels = Sequence[float]
Vectors = Sequence[Sequence[float]]


class Perceptron:
    """One node that learns by Rosenblatt's rule (1958): ``w += rate * (label - output) * input``.

    The slope of its activation plays no part in the rule. Weights and bias begin at 0.

    Parameters
    ----------
    input_num : int
        How many inputs.
    activation : str or Activation
        The step function: 1 for a net input above 0, else 0.

    Attributes
    ----------
    node : Node
        The output node; its ``upstream`` are the connections from the inputs and from the constant.
    network : Network
        The same nodes as a network, to be drawn, explained or saved.

    Examples
    --------
    Learn the logical and:

    >>> both = Perceptron(2)
    >>> both.train([[1, 1], [0, 0], [1, 0], [0, 1]], [1, 0, 0, 0], iteration=10, rate=0.1)
    >>> print(both)
    weights [0.1, 0.2], bias -0.2
    >>> both.predict([1, 1]), both.predict([1, 0])
    (1.0, 0.0)
    """

    default_activation: str = "step"
    kind = "perceptron"

    def __init__(self, input_num: int, activation: str | Activation | None = None) -> None:
        if not isinstance(input_num, (int, np.integer)) or input_num < 1:
            raise OptionError(
                f"{type(self).__name__}({short(input_num)}): give the number of inputs, 1 or more"
            )
        inputs = [InputNode(f"x{number}") for number in range(input_num)]
        self.node = Node(activation or self.default_activation, name="y")
        for source in [*inputs, ConstNode("bias")]:
            Connection(source, self.node, weight=0.0)
        self.network = Network(inputs=inputs, outputs=[self.node], name=self.kind)
        self._inputs = inputs

    @property
    def connections(self) -> list[Connection]:
        """The connections from the inputs, in order, and from the constant."""
        return list(self.node.upstream)

    @property
    def weights(self) -> list[float]:
        """The weights of the inputs."""
        return [float(connection.weight) for connection in self.connections[:-1]]

    @weights.setter
    def weights(self, weights: Sequence[float]) -> None:
        for connection, weight in zip(self.connections, self._vector(weights), strict=False):
            connection.weight = weight

    @property
    def bias(self) -> float:
        """The weight of the constant."""
        return float(self.connections[-1].weight)

    @bias.setter
    def bias(self, bias: float) -> None:
        self.connections[-1].weight = bias

    def predict(self, input_vec: Sequence[float]) -> float:
        """Return the output for one vector.

        Parameters
        ----------
        input_vec : array_like, shape (inputs,)

        Raises
        ------
        ShapeError, DataError
            The vector has another length, or is not finite.
        """
        values = self._vector(input_vec)
        for node, value in zip(self._inputs, values, strict=True):
            node.set_output(value)
        self.node.calc_output()
        return float(self.node.output)

    def train(self, input_vecs: Vectors, labels: Labels, iteration: int, rate: float) -> None:
        """Go through the vectors ``iteration`` times and correct every weight after each of them.

        Parameters
        ----------
        input_vecs : array_like, shape (samples, inputs)
        labels : array_like, shape (samples,)
        iteration : int
        rate : float

        Raises
        ------
        DataError, ShapeError, OptionError
            Vectors, labels, iteration or rate cannot be; no weight has changed then.
        """
        rate = number(f"{self.kind}: rate", rate, least=0)
        iteration = whole(f"{self.kind}: iteration", iteration)
        if not isinstance(input_vecs, Iterable):
            raise DataError(f"{self.kind}: expected a list of vectors, got {short(input_vecs)}")
        vectors = [self._vector(vector) for vector in input_vecs]
        wanted = self._numbers(labels, "a list of labels").reshape(-1).tolist()
        if len(vectors) != len(wanted) or not wanted:
            raise DataError(
                f"{self.kind}: got {len(vectors)} vectors and {len(wanted)} labels, expected as "
                f"many labels as vectors, and at least one"
            )
        for _ in range(iteration):
            for vector, label in zip(vectors, wanted, strict=True):
                self._learn(vector, label, rate)

    def _learn(self, vector: Sequence[float], label: float, rate: float) -> None:
        self.node.delta = label - self.predict(vector)
        for connection in self.connections:
            connection.weight += rate * self.node.delta * connection.arriving()

    def _vector(self, input_vec: Any) -> list[float]:
        array = self._numbers(input_vec, "a vector")
        if array.shape != (len(self._inputs),):
            raise ShapeError(
                f"{self.kind}: got a vector of shape {array.shape}, expected ({len(self._inputs)},)"
            )
        return array.tolist()  # type: ignore[no-any-return]

    def _numbers(self, values: Any, what: str) -> NDArray[np.float64]:
        try:
            array = number_array(values, what).astype(np.float64)
        except (DataError, ShapeError):
            array = np.array(np.nan)
        if not np.isfinite(array).all():
            raise DataError(f"{self.kind}: expected {what}, finite numbers, got {short(values)}")
        return array

    def __str__(self) -> str:
        weights = ", ".join(f"{weight:.6g}" for weight in self.weights)
        return f"weights [{weights}], bias {self.bias:.6g}"

    def __repr__(self) -> str:
        count = len(self._inputs)
        return f"<{type(self).__name__} of {count} input{'s' if count > 1 else ''}: {self}>"


class LinearUnit(Perceptron):
    """A perceptron without threshold: output = w . x + b, learning by the same rule.

    For the identity the rule is descent along the gradient of (label - output)^2 / 2 (Widrow &
    Hoff, 1960).

    Examples
    --------
    Salary by years of work:

    >>> unit = LinearUnit(1)
    >>> years, salaries = [[5], [3], [8], [1.4], [10.1]], [5500, 2300, 7600, 1800, 11400]
    >>> unit.train(years, salaries, iteration=10, rate=0.01)
    >>> print(unit)
    weights [1124.06], bias 85.4853
    >>> round(unit.predict([3.4]), 2)
    3907.3
    """

    default_activation = "identity"
    kind = "linear unit"

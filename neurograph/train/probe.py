"""Probe: a weight, gradient, output or delta followed through a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neurograph.errors import DataError, OptionError, short, unknown
from neurograph.graph.connection import Connection
from neurograph.graph.network import Network
from neurograph.graph.node import Node
from neurograph.options import whole
from neurograph.parameter import Array, Parameter
from neurograph.storage.atomic import StrPath
from neurograph.storage.figures import new_figure, write_figure
from neurograph.train.callback import Callback, Logs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_WEIGHTS = ("weight", "gradient")
OF_NODES = ("output", "delta", "net")
SAMPLES = 32  # of the training data, for a probe that has no sample of its own
MOST_CURVES = 12


class Recorded(NamedTuple):
    """What a probe recorded.

    Attributes
    ----------
    steps : array of int, (records,)
        How many batches the training had seen.
    values : array of float, (records,) or (records, …)
        A number a record for a connection, an array of its shape for a parameter, one number for
        each sample (and step of time) for a node, all weights in a row for a network.
    """

    steps: Array
    values: Array


class Probe(Callback):
    """Record one thing over a training.

    Parameters
    ----------
    target : Connection, Node, Parameter, Network or str
        Or its name: ``"h -> y"``, ``"dense[3]"``, ``"dense/kernel"``. Of a network all weights are
        recorded; ``ng.animate`` and ``ng.film_strip`` draw them.
    what : {"weight", "gradient", "output", "delta", "net"}
        The first two of connections, parameters and networks, the others of nodes. The gradient is
        that of the batch just trained on.
    every : int
        Record after every so many batches.
    x, y : array-like, optional
        The samples for which a node is looked at, always the same ones, without dropout; `y` is
        needed for the delta. Without them the first samples of the training data.

    Raises
    ------
    OptionError
        The target has nothing of that kind.

    Examples
    --------
    >>> import neurograph as ng
    >>> net = ng.Network([2, 1], seed=0)
    >>> probe = Probe("(0-0) -> (1-0)", "weight", every=2)
    >>> model = net.compile("sgd(0.5)", loss="sse")
    >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]
    >>> _ = model.fit(x, y, batch_size=1, epochs=2, callbacks=[probe], verbose=0)
    >>> probe.history.steps.tolist(), probe.history.values.shape
    ([0, 2, 4, 6, 8], (5,))
    """

    def __init__(
        self,
        target: Connection | Node | Parameter | Network | str,
        what: str = "weight",
        every: int = 1,
        x: Any = None,
        y: Any = None,
    ) -> None:
        if what not in (*OF_WEIGHTS, *OF_NODES):
            raise unknown("thing to probe", what, (*OF_WEIGHTS, *OF_NODES))
        if not isinstance(target, (Connection, Node, Parameter, Network, str)):
            raise OptionError(
                f"Probe: {short(target)} is no connection, node, parameter or network, nor the "
                f"name of one"
            )
        self.target = target
        self.what = what
        self.every = whole("Probe: every", every, least=1)
        self._sample = (x, y)
        self._steps: list[int] = []
        self._values: list[Any] = []
        self._seen = 0
        self.label = target if isinstance(target, str) else ""
        if not isinstance(target, str):
            self._check(target)

    def _check(self, target: Any) -> None:
        of_node = isinstance(target, Node)
        if of_node != (self.what in OF_NODES):
            kind = "a node" if of_node else f"a {type(target).__name__.lower()}"
            fits = OF_NODES if of_node else OF_WEIGHTS
            raise OptionError(f"Probe: {kind} has no {self.what}, only {', '.join(fits)}")

    @property
    def history(self) -> Recorded:
        """What was recorded: ``steps`` and ``values``."""
        return Recorded(np.array(self._steps, dtype=np.int64), np.array(self._values))

    @property
    def snapshots(self) -> list[dict[str, Array]]:
        """All weights at each record of a network's weights, by name of their parameter.

        Raises
        ------
        OptionError
            Something else was recorded.
        """
        if not isinstance(self.target, Network) or self.what != "weight":
            raise OptionError(
                f"Probe of the {self.what} of {self.label!r}: it keeps no pictures of a network; "
                f"use Probe(net)"
            )
        parameters = self.target.parameters
        ends = np.cumsum([parameter.size for parameter in parameters.values()])
        return [
            {
                name: part.reshape(parameter.shape)
                for (name, parameter), part in zip(
                    parameters.items(), np.split(row, ends[:-1]), strict=True
                )
            }
            for row in self._values
        ]

    # while training -------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Find the target, and record it as it is before the first step."""
        target = self._find()
        self._check(target)
        self._read = self._reader(target)
        self._steps, self._values, self._seen = [], [], 0
        if self.what in ("weight", "output", "net"):
            self._record()

    def _find(self) -> Any:
        network = self.model.network
        if isinstance(self.target, Network):
            self.label = self.target.name
            if self.target is not network:
                raise OptionError(
                    f"Probe: network {self.label!r} is not the one that is trained, "
                    f"{network.name!r}"
                )
            return network
        if not isinstance(self.target, str):
            self.label = getattr(self.target, "label", "") or getattr(self.target, "name", "")
            mine = getattr(self.target, "_network", lambda: network)()
            if mine is not network:
                raise OptionError(f"Probe: node {self.label!r} is not of network {network.name!r}")
            return self.target
        if "->" in self.target:
            return network.find(self.target)
        if self.target in network.parameters:
            return network.parameters[self.target]
        return network.node(self.target)

    def _reader(self, target: Any) -> Callable[[], Any]:
        if isinstance(target, Connection):
            return (lambda: target.weight) if self.what == "weight" else lambda: target.gradient
        name = "value" if self.what == "weight" else "gradient"
        if isinstance(target, Parameter):
            return lambda: getattr(target, name).astype(np.float64)
        if isinstance(target, Network):
            rows = list(target.parameters.values())
            return lambda: np.concatenate([getattr(each, name).reshape(-1) for each in rows])
        x, y = self._samples()
        return lambda: self._look(target, x, y)

    def _samples(self) -> tuple[Any, Any]:
        x, y = self._sample
        if x is None:
            if self.params["sample"] is None:
                raise OptionError(
                    f"Probe of {self.label!r}: the training data are a stream; give the samples to "
                    f"look at, x and y"
                )
            x, y = self.params["sample"](SAMPLES)
        if self.what == "delta" and y is None:
            raise OptionError(f"Probe of {self.label!r}: a delta needs targets too; give x and y")
        return x, y if self.what == "delta" else None

    def _look(self, node: Node, x: Any, y: Any) -> Any:
        """Run the samples, without a trace: gradients stay those of the training."""
        gradients = self.model.executable.arena.gradients
        kept = gradients.copy() if y is not None else None
        self.model.inspect(x, y)
        if kept is not None:
            self.model.executable.arena.gradients[...] = kept
        return np.array(getattr(node, self.what), dtype=np.float64)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Record, if so many batches have gone by."""
        self._seen += 1
        if self._seen % self.every == 0:
            self._record()

    def _record(self) -> None:
        self._steps.append(self._seen)
        self._values.append(self._read())

    def get_state(self) -> dict[str, Any]:
        """Return what was recorded."""
        return {"seen": self._seen, "steps": self.history.steps, "values": self.history.values}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what ``get_state`` returned."""
        self._seen = int(state["seen"])
        self._steps, self._values = list(map(int, state["steps"])), list(state["values"])

    # showing --------------------------------------------------------------------------------------

    def plot(self, path: StrPath | None = None) -> Figure:
        """Draw the values over the steps: a curve for each, or their mean and range if many.

        Parameters
        ----------
        path : str or path, optional
            Where to save the picture: ``.svg``, ``.png`` or ``.pdf``.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.
        DataError
            Nothing was recorded.
        """
        if not self._steps:
            raise DataError("probe.plot: nothing was recorded; give the probe to fit as a callback")
        figure = new_figure("probe.plot", 6.0, 3.6)
        axes = figure.add_subplot()
        steps, values = self.history
        curves = values.reshape(len(values), -1)
        if curves.shape[1] <= MOST_CURVES:
            axes.plot(steps, curves)
        else:
            axes.fill_between(steps, curves.min(axis=1), curves.max(axis=1), alpha=0.25)
            axes.plot(steps, curves.mean(axis=1))
        axes.set_title(f"{self.what} of {self.label}", parse_math=False)
        axes.set_xlabel("batches")
        axes.grid(alpha=0.3)
        return write_figure(figure, path)

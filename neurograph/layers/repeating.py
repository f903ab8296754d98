"""Layers repeated over time: any layer at every step, one vector at every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurograph.errors import GraphError, OptionError, short
from neurograph.graph.bundles import OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.layers.recipe import Recipe, put_under
from neurograph.layers.recurrent import as_sequence


@dataclass(frozen=True, eq=False)
class TimeDistributed(Recipe):
    """Another layer at every step of a sequence, with the same weights.

    Most layers work step by step on a sequence anyway; those that look at a whole image or vector
    (``Conv2D``, ``Flatten``, ``MaxPooling2D``) do so with this.

    Parameters
    ----------
    layer : recipe, or function from a layer to a layer
        It may not have an axis of time of its own.

    Examples
    --------
    >>> from neurograph.layers.convolution import Conv2D
    >>> from neurograph.layers.core import Input
    >>> layer = TimeDistributed(Conv2D(4, 3))(Input((10, 28, 28, 1)))
    >>> layer.sequence, layer.steps, layer.shape
    (True, 10, (26, 26, 4))
    """

    layer: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.layer):
            raise OptionError(
                f"{self.label}: {short(self.layer)} is not a layer; give ng.Dense(8), say"
            )

    def options(self) -> dict[str, Any]:
        """Return the options as plain data, for summaries and files."""
        if not isinstance(self.layer, Recipe):
            return {"layer": getattr(self.layer, "__name__", type(self.layer).__name__)}
        return {"layer": {"recipe": type(self.layer).__name__, **self.layer.options()}}

    def __call__(self, source: Any) -> Layer:
        """Return the sequence of what the layer makes of every step of ``source``.

        Raises
        ------
        GraphError
            If the layer makes a sequence itself.
        """
        source = self.one(source)
        sequence = as_sequence(self, source)
        step = Layer(sequence.shape, kind="step")  # stands for one step while the layer is made
        target = self.layer(step)
        if not isinstance(target, Layer) or target is step:
            raise GraphError(
                f"{self.label}: its layer returned {short(target)}, expected one new layer"
            )
        for layer in _above(step, target):
            if layer.sequence:
                raise GraphError(
                    f"{self.label}: {layer.kind!r} has an axis of time of its own, and there is "
                    f"only one time"
                )
            if layer.role != "const":
                layer.sequence, layer.steps = True, sequence.steps
            for bundle in layer.incoming:
                if bundle.source is step:
                    bundle.source = sequence
        if sequence is not source:
            put_under(target, "fold", sequence)
        target.kind, target.name = self.kind, self.next_name()
        target.config = {"recipe": type(self).__name__, **self.options()}
        return target


def _above(step: Layer, target: Layer) -> list[Layer]:
    """Return the layers that were made from one to another, without the first."""
    found = {id(target): target}
    stack = [target]
    while stack:
        layer = stack.pop()
        for other in [bundle.source for bundle in layer.incoming] + list(layer.parts.values()):
            if other is not step and id(other) not in found:
                found[id(other)] = other
                stack.append(other)
    return list(found.values())


@dataclass(frozen=True, eq=False)
class RepeatVector(Recipe):
    """The same values at each of ``n`` steps: a sequence made of a layer outside of time.

    Parameters
    ----------
    n : int

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> layer = RepeatVector(5)(Input((3,)))
    >>> layer.sequence, layer.steps, layer.shape
    (True, 5, (3,))
    """

    n: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("n")

    def __call__(self, source: Any) -> Layer:
        """Return the sequence.

        Raises
        ------
        GraphError
            If ``source`` is a sequence already.
        """
        source = self.one(source)
        if source.sequence:
            raise GraphError(
                f"{self.label}: {source.name or source.kind!r} is a sequence already; repeat what "
                f"has no axis of time, such as the last state of ng.LSTM(8)"
            )
        target = self.make(source.shape, [source], sequence=True)
        target.steps = self.n
        OneToOneConnections(source, target)
        return target

"""Embedding: a vector for each whole number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurograph.errors import OptionError, ShapeError
from neurograph.graph.bundles import DenseConnections, OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.graph.temporal import FoldConnections, UnfoldConnections
from neurograph.layer_functions import OneHot
from neurograph.layers.recipe import Recipe, put_under


@dataclass(frozen=True, eq=False)
class Embedding(Recipe):
    """Row i of a table of weights for the index i: a dense layer above a one-hot of the index.

    Parameters
    ----------
    input_dim : int
        Indices are whole numbers from 0 below this.
    output_dim : int
    embeddings_initializer, embeddings_regularizer : see ``neurograph.initializers``
    mask_zero : bool
        Whether the index 0 means that there is no step, see ``Masking``.

    Raises
    ------
    ShapeError
        With ``mask_zero``, if each step has more than one index.

    Notes
    -----
    Weights: embeddings (input_dim, output_dim). The part ``one_hot`` has a node for each index; a
    compiled model takes the rows without it.

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> Embedding(1000, 8)(Input((20,))).shape, Embedding(1000, 8)(Input((None,))).shape
    ((20, 8), (8,))
    """

    input_dim: int
    output_dim: int
    embeddings_initializer: Any = "uniform"
    embeddings_regularizer: Any = None
    mask_zero: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("input_dim", "output_dim")
        if not isinstance(self.mask_zero, bool):
            raise OptionError(f"{self.label}: mask_zero is {self.mask_zero!r}, expected True/False")

    def __call__(self, source: Any) -> Layer:
        """Return the layer of vectors, one for each node of ``source``."""
        source = self.one(source)
        if self.mask_zero and len(source.shape) != (0 if source.sequence else 1):
            raise ShapeError(
                f"{self.label}: with mask_zero there must be one index a step, as of "
                f"ng.Input((20,)) or ng.Input((None,)); {source.name or source.kind!r} has shape "
                f"{source.shape}"
            )
        target = self.make((*source.shape, self.output_dim), [source])
        one_hot = Layer(
            (*source.shape, self.input_dim),
            kind="one_hot",
            activation=OneHot(),
            sequence=source.sequence,
            steps=source.steps,
        )
        put_under(target, "one_hot", one_hot)
        weights = self.parameter(
            "embeddings",
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            self.embeddings_regularizer,
        )
        target.parameters["embeddings"] = weights
        DenseConnections(source, one_hot, None, positions=source.size)
        DenseConnections(one_hot, target, weights, positions=source.size)
        given = _origin(source)
        if given.role == "input":
            limit = min(self.input_dim, given.config.get("indices", self.input_dim))
            given.config["indices"] = limit
        if self.mask_zero:
            self._mask(source, target)
        return target

    def _mask(self, source: Layer, target: Layer) -> None:
        mask = Layer(
            (*source.shape, 1),
            kind="mask",
            activation="step",
            sequence=source.sequence,
            steps=source.steps,
        )
        put_under(target, "mask", mask)
        OneToOneConnections(source, mask)


def _origin(layer: Layer) -> Layer:
    """Return the layer whose values another repeats, in another shape or in time."""
    while len(layer.incoming) == 1 and layer.activation_name == "identity":
        (bundle,) = layer.incoming
        one = isinstance(bundle, OneToOneConnections) and bundle.is_whole
        repeats = one or isinstance(bundle, (FoldConnections, UnfoldConnections))
        if not repeats or bundle.parameter is not None or bundle.constant != 1.0:
            break
        layer = bundle.source
    return layer

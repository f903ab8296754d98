"""Recipe: what all layers of the catalogue have in common.

A recipe holds the options of a layer. Called on a layer of the graph it makes the next one: nodes,
bundles of connections and parameters. Called again it makes new nodes that share its parameters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from neurograph.errors import GraphError, OptionError, ShapeError, short
from neurograph.functions import Activation
from neurograph.graph.bundles import BiasConnections
from neurograph.graph.layer import Layer
from neurograph.graph.temporal import UnfoldConnections
from neurograph.initializers import get_initializer
from neurograph.layer_functions import LayerFunction, resolve_activation
from neurograph.options import text, whole
from neurograph.parameter import Parameter
from neurograph.regularizers import get_regularizer

ActivationSpec = str | Activation | LayerFunction | None


def snake(name: str) -> str:
    """Return a class name as Keras turns it into a layer's name.

    >>> snake("MaxPooling2D"), snake("ReLU"), snake("SimpleRNN")
    ('max_pooling2d', 're_lu', 'simple_rnn')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def kind_of(layer: Layer) -> str:
    """Return what a layer is in Keras's words, with what it wraps: Bidirectional LSTM.

    >>> from neurograph import Dense, Input, TimeDistributed
    >>> kind_of(TimeDistributed(Dense(2))(Input((None, 3))))
    'TimeDistributed Dense'
    """
    config = layer.config
    inner = config.get("layer") or config.get("forward") or {}
    words = (config.get("recipe", layer.kind), inner.get("recipe", ""))
    return " ".join(filter(None, words))


@dataclass(frozen=True, eq=False)
class Recipe:
    """The options of a layer, and the parameters that its calls share.

    Parameters
    ----------
    name : str
        The layer's name; the network gives one (``dense``, ``dense_1``, …) if absent. The second
        call of a named recipe makes ``name_1``.
    trainable : bool
        Whether training may change its weights.
    """

    name: str = field(default="", kw_only=True)
    trainable: bool = field(default=True, kw_only=True)
    _shared: dict[str, Parameter] = field(default_factory=dict, init=False, repr=False)
    _names: list[str] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        self._set("name", text(f"{type(self).__name__}: name", self.name or ""))
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name.endswith("_initializer"):
                self._set(each.name, get_initializer(value))
            elif each.name.endswith("_regularizer"):
                self._set(each.name, get_regularizer(value))
            elif each.name == "activation":
                resolve_activation(value)

    def _set(self, option: str, value: object) -> None:
        """Replace an option by its checked form, while the recipe is being made."""
        object.__setattr__(self, option, value)

    def _whole(self, *options: str, least: int = 1) -> None:
        for option in options:
            what = f"{self.label}: {option}"
            self._set(option, whole(what, getattr(self, option), least=least))

    def _pairs(self, *options: str) -> None:
        for option in options:
            value = getattr(self, option)
            sides = value if isinstance(value, (tuple, list)) else (value, value)
            if len(sides) != 2:
                raise OptionError(
                    f"{self.label}: {option} is {short(value)}, expected one or two sizes"
                )
            what = f"{self.label}: {option}"
            self._set(option, tuple(whole(what, side, least=1) for side in sides))

    @property
    def kind(self) -> str:
        """The base of its layers' names: ``conv2d``."""
        return snake(type(self).__name__)

    @property
    def label(self) -> str:
        """How messages call it: ``Conv2D 'c3'``."""
        return f"{type(self).__name__} {self.name!r}" if self.name else type(self).__name__

    # making layers ----------------------------------------------------------------------------

    def make(
        self,
        shape: Sequence[int],
        sources: Sequence[Layer],
        *,
        activation: ActivationSpec = None,
        aggregation: str = "sum",
        sequence: bool | None = None,
    ) -> Layer:
        """Make the layer of this call; it is a sequence if a source is one, unless told."""
        if sequence is None:
            sequence = any(source.sequence for source in sources)
        made = Layer(
            shape,
            kind=self.kind,
            name=self.next_name(),
            activation=activation,
            aggregation=aggregation,
            sequence=sequence,
            steps=self._steps(sources) if sequence else None,
        )
        made.config = {"recipe": type(self).__name__, **self.options()}
        return made

    def next_name(self) -> str:
        """Return the name of the layer of this call."""
        name = f"{self.name}_{len(self._names)}" if self.name and self._names else self.name
        self._names.append(name)
        return name

    def _steps(self, sources: Sequence[Layer]) -> int | None:
        known = [each for each in sources if each.sequence and each.steps is not None]
        for each in known[1:]:
            if each.steps != known[0].steps:
                raise ShapeError(
                    f"{self.label}: {_named(known[0])} has {known[0].steps} steps of time, "
                    f"{_named(each)} has {each.steps}; give sequences of one length"
                )
        return known[0].steps if known else None

    def options(self) -> dict[str, Any]:
        """Return the options as plain data, for summaries and files."""
        left_out = {"name", "trainable"}
        return {
            each.name: _plain(getattr(self, each.name))
            for each in fields(self)
            if each.init and each.name not in left_out
        }

    def parameter(
        self,
        name: str,
        shape: Sequence[int],
        initializer: Any,
        regularizer: Any = None,
        *,
        trainable: bool = True,
    ) -> Parameter:
        """Return the parameter with a local name, made at the first call.

        Raises
        ------
        ShapeError
            If a later call needs it with another shape.
        """
        found = self._shared.get(name)
        if found is None:
            found = Parameter(
                shape=tuple(shape),
                name=name,
                trainable=self.trainable and trainable,
                initializer=initializer,
                regularizer=regularizer,
            )
            self._shared[name] = found
        elif found.shape != tuple(shape):
            raise ShapeError(
                f"{self.label}: called again, its {name} of shape {found.shape} would need shape "
                f"{tuple(shape)}; make a second {type(self).__name__} for inputs of another shape"
            )
        return found

    def add_bias(self, layer: Layer, channels: int, initializer: Any, regularizer: Any) -> None:
        """Feed a layer from a ConstNode of its own, with one weight a channel."""
        bias = self.parameter("bias", (channels,), initializer, regularizer)
        layer.parameters["bias"] = bias
        const = Layer((1,), kind="const", role="const")
        put_under(layer, "const", const)
        BiasConnections(const, layer, bias, channels=channels)

    # what it is called on ---------------------------------------------------------------------

    def one(self, source: Any, *, rank: int = 0, what: str = "") -> Layer:
        """Return the layer that the recipe is called on, or say why it cannot be.

        Parameters
        ----------
        rank : int
            How many axes it must have; 0 for any.
        what : str
            Those axes in words, for the message: ``"(height, width, channels)"``.
        """
        if not isinstance(source, Layer):
            raise GraphError(
                f"{self.label}: called on {short(source)}; call it on one layer, such as "
                f"ng.Input((4,)) or the result of another recipe"
            )
        if rank and len(source.shape) != rank:
            time = " at each step of time" if source.sequence else ""
            cure = ""
            if len(source.shape) == rank - 1:
                cure = f"; ng.Reshape({(*source.shape, 1)}) before it adds the axis of channels"
            raise ShapeError(
                f"{self.label}: {_named(source)} has shape {source.shape}{time}, expected "
                f"{what}{cure}"
            )
        return source

    def several(self, sources: Any) -> list[Layer]:
        """Return the layers that a merging recipe is called on, or say why they cannot be."""
        if not isinstance(sources, (list, tuple)) or not sources:
            raise GraphError(
                f"{self.label}: called on {short(sources)}; call it on a list of layers"
            )
        return [self.one(source) for source in sources]

    def image(self, source: Any, rank: int, what: str) -> Layer:
        """Return a layer of space: a sequence whose length is known is unfolded into one."""
        source = self.one(source)
        if source.sequence:
            steps = self.known_steps(source)
            unfolded = Layer((steps, *source.shape), kind="unfold")
            UnfoldConnections(source, unfolded)
            source = unfolded
        return self.one(source, rank=rank, what=what)

    def known_steps(self, source: Layer) -> int:
        """Return the number of time steps of a sequence, or say that it is not known."""
        if source.steps is None:
            raise ShapeError(
                f"{self.label}: the number of time steps of {_named(source)} is not known; give "
                f"it as in ng.Input((60, 4)) instead of ng.Input((None, 4))"
            )
        return source.steps


def put_under(root: Layer, name: str, part: Layer) -> None:
    """Make a layer a part of another: it is called ``root/name`` and hidden in summaries."""
    part.root = root
    root.parts[name] = part


def hide_unfolding(target: Layer, image: Layer) -> None:
    """Put the unfolding that ``Recipe.image`` made, if it did, under the layer it feeds."""
    if image.kind == "unfold" and image.root is None:
        put_under(target, "unfold", image)


def _named(layer: Layer) -> str:
    return repr(layer.name or layer.kind)


def _plain(value: Any) -> Any:
    if hasattr(value, "to_config"):
        return value.to_config()
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    if isinstance(value, (Activation, LayerFunction)):
        return value.name
    return value

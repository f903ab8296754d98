"""Building layers from what a structure says of them, checking every field on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neurograph.errors import FormatError
from neurograph.functions import Activation
from neurograph.graph.layer import Layer
from neurograph.graph.tutorial import TutorialLayer
from neurograph.layer_functions import LayerFunction, make_function
from neurograph.parameter import Parameter
from neurograph.storage.rebuild_nodes import read_activation
from neurograph.storage.record import Record, pick
from neurograph.storage.registry import check_numbers
from neurograph.storage.values import DTYPES, Revived

_ROLES = ("units", "input", "const", "noise")


def build_layer(
    row: Record,
    parameters: Sequence[Parameter],
    revived: Revived,
    *,
    shape: tuple[int, ...] | None = None,
    activation: Activation | None = None,
    aggregation: str = "",
) -> Layer:
    """Return the layer that a row describes, without its links to other layers.

    Shape, activation and aggregation are those of the row unless others are given.
    """
    kind = TutorialLayer if "tutorial" in row else Layer
    layer = kind(
        row.sizes("shape") if shape is None else shape,
        kind=row.text("kind"),
        name=row.text("name"),
        activation=activation or read_activation(row),
        aggregation=aggregation or row.text("aggregation"),
        role=_role(row),
        sequence=row.flag("sequence"),
        steps=row.whole("steps") if "steps" in row else None,
    )
    if isinstance(layer, TutorialLayer):
        layer.number = row.whole("tutorial")
    layer.parameters = _own(row, parameters)
    layer.config = _config(row, revived(row.mapping("config")), layer)
    if "function" in row:
        made = Record(row.what, row.fields["function"])
        layer.function = _function(made, parameters, revived)
    return layer


def link_layer(row: Record, layer: Layer, layers: Sequence[Layer | None]) -> None:
    """Give a layer its links to others, found by number; None stands for one that is lost."""
    for key in ("root", "const", "mask"):
        if key in row:
            setattr(layer, key, layers[row.whole(key, below=len(layers))])
    if "stateful" in row:
        layer.stateful = row.flag("stateful")
    if "initial_layer" in row:
        layer.initial = layers[row.whole("initial_layer", below=len(layers))]
    for name, number in row.mapping("parts").items():
        part = pick(f"{row.what}: its part {name!r}", number, layers)
        if part is not None:
            layer.parts[name] = part


def _role(row: Record) -> str:
    role = row.text("role")
    if role not in _ROLES:
        raise FormatError(f"{row.what}: there is no role {role!r}")
    return role


def _own(row: Record, parameters: Sequence[Parameter]) -> dict[str, Parameter]:
    return {
        local: pick(f"{row.what}: its parameter {local!r}", number, parameters)
        for local, number in row.mapping("parameters").items()
    }


def _function(row: Record, parameters: Sequence[Parameter], revived: Revived) -> LayerFunction:
    options = revived(row.mapping("options"))
    check_numbers(row.what, options)
    return make_function(row.text("name"), _own(row, parameters), options)


def _config(row: Record, config: dict[str, Any], layer: Layer) -> dict[str, Any]:
    """Return a layer's configuration, checked where a network goes by what it says."""
    if config.get("dtype", "int64") not in DTYPES:
        raise FormatError(f"{row.what}: there is no type of number {config['dtype']!r}")
    if isinstance(layer, TutorialLayer) and layer.role == "const":
        Record(f"{row.what}: its configuration", config).whole("after")
    return config

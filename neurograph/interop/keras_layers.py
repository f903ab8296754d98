"""The layers of Keras: which recipe each is, and which of its options ours has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from neurograph.errors import GraphError, NeurographError
from neurograph.interop.keras_pieces import PIECES
from neurograph.layers.bidirectional import Bidirectional
from neurograph.layers.convolution import Conv1D, Conv2D, DepthwiseConv2D
from neurograph.layers.core import Activation, Dense, Dropout, LeakyReLU, ReLU, Softmax
from neurograph.layers.embedding import Embedding
from neurograph.layers.masking import Masking
from neurograph.layers.merging import Add, Average, Concatenate, Maximum, Multiply
from neurograph.layers.normalization import BatchNormalization, LayerNormalization
from neurograph.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from neurograph.layers.recipe import Recipe
from neurograph.layers.recurrent_cells import GRU, LSTM, SimpleRNN
from neurograph.layers.repeating import RepeatVector, TimeDistributed
from neurograph.layers.shaping import Flatten, Reshape, ZeroPadding1D, ZeroPadding2D

RECIPES: dict[str, type[Recipe]] = {
    each.__name__: each
    for each in (
        *(Dense, Activation, ReLU, Softmax, LeakyReLU, Dropout, Embedding, Masking),
        *(Conv1D, Conv2D, DepthwiseConv2D, ZeroPadding1D, ZeroPadding2D, Flatten, Reshape),
        *(MaxPooling1D, MaxPooling2D, AveragePooling1D, AveragePooling2D),
        *(GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalAveragePooling1D, GlobalAveragePooling2D),
        *(BatchNormalization, LayerNormalization, Add, Multiply, Average, Maximum, Concatenate),
        *(SimpleRNN, LSTM, GRU, Bidirectional, TimeDistributed, RepeatVector),
    )
}
# options that change no number, or none that is kept
IGNORED = {"dtype", "seed", "unroll", "build_config", "synchronized", "renorm_momentum"}
# options that must have the value without effect, since ours has none of the name
PLAIN: dict[str, tuple[Any, ...]] = {
    "data_format": ("channels_last",),
    "max_value": (None,),
    "negative_slope": (0, 0.0),
    "threshold": (0, 0.0),
    "alpha": (1, 1.0),
    "axis": (-1, [-1]),
    "zero_output_for_mask": (False, True),  # True inside Bidirectional, which does as Keras's
    "renorm": (False,),
    "rms_scaling": (False,),
}


def is_piece(layer: Any) -> bool:
    """Whether a layer of Keras is a few of ours, with the options that it has."""
    kind, module = type(layer).__name__, type(layer).__module__
    if not module.startswith("keras.") or ".ops." in module:
        return False
    if kind == "ReLU":  # a recipe, unless it has options
        config = layer.get_config()
        return any(config.get(each) for each in ("max_value", "negative_slope", "threshold"))
    return kind in PIECES or kind == "Subtract"


def recipe_of(layer: Any) -> Recipe:
    """Return the recipe of a built layer of Keras, with its name.

    Raises
    ------
    GraphError
        Its kind, or one of its options, has no counterpart.
    """
    kind, label = type(layer).__name__, str(layer.name)
    if not type(layer).__module__.startswith("keras."):
        raise _refused(label, kind)
    return _recipe(label, kind, layer.get_config(), label)


def _recipe(label: str, kind: str, config: Mapping[str, Any], name: str) -> Recipe:
    if kind not in RECIPES:
        raise _refused(label, kind)
    options = _options(label, kind, RECIPES[kind], config)
    try:
        return RECIPES[kind](**(options | {"name": name}))
    except (NeurographError, TypeError) as error:
        raise GraphError(f"from_keras: layer {label!r} ({kind}): {error}") from error


def _options(
    label: str, kind: str, recipe: type[Recipe], config: Mapping[str, Any]
) -> dict[str, Any]:
    known = {each.name for each in fields(recipe) if each.init}
    found: dict[str, Any] = {}
    for option, value in config.items():
        unset = value is None and option != "merge_mode"
        if option in IGNORED or option.endswith("_initializer") or unset:
            continue
        if option in known:
            found[option] = _value(label, option, value)
        elif value not in PLAIN.get(option, ()):
            raise GraphError(
                f"from_keras: layer {label!r} ({kind}): {option}={_short(value)} has no "
                f"counterpart here"
            )
    return found


def _value(label: str, option: str, value: Any) -> Any:
    """Return an option as ours takes it: plain, or an object that Keras wrote down."""
    if not isinstance(value, Mapping):
        alone = option in ("pool_size", "strides") and isinstance(value, (tuple, list))
        return value[0] if alone and len(value) == 1 else value
    kind, config = value["class_name"], dict(value["config"])
    if option in ("layer", "backward_layer"):
        return _recipe(label, kind, config, "")
    if option.endswith("_regularizer"):
        return {"name": {"L1": "l1", "L2": "l2", "L1L2": "l1_l2"}.get(kind, kind), **config}
    raise GraphError(
        f"from_keras: layer {label!r}: {option}={_short(value)} has no counterpart here"
    )


def _refused(label: str, kind: str) -> GraphError:
    return GraphError(
        f"from_keras: layer {label!r} ({kind}) has no counterpart here; known are "
        f"{', '.join(dict.fromkeys([*RECIPES, *PIECES, 'Subtract']))}"
    )


def _short(value: Any) -> str:
    named = value.get("class_name") if isinstance(value, Mapping) else None
    return str(named) if named else repr(value)

"""The tutorials' networks: people, digits, clothes, and CBAPD for small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.layers.convolution import Conv2D
from neurograph.layers.core import Activation, Dense, Dropout, Input
from neurograph.layers.normalization import BatchNormalization
from neurograph.layers.pooling import MaxPooling2D
from neurograph.layers.shaping import Flatten


def people(input_shape: Sequence[int] = (3,), classes: int = 2, seed: Any = None) -> Network:
    """Return the 3-4-2 network that tells women from men by weight, height and age.

    >>> print(people())
    people: 3 -> 2, 2 layers with weights, 26 connections, 26 parameters
    """
    return _fully_connected("people", input_shape, 4, classes, seed)


def mlp(input_shape: Sequence[int] = (784,), classes: int = 10, seed: Any = None) -> Network:
    """Return the 784-512-10 network for handwritten digits, relu and softmax.

    >>> print(mlp())
    mlp: 784 -> 10, 2 layers with weights, 407,050 connections, 407,050 parameters
    """
    return _fully_connected("mlp", input_shape, 512, classes, seed)


def fashion_mlp(
    input_shape: Sequence[int] = (784,), classes: int = 10, seed: Any = None
) -> Network:
    """Return the 784-128-10 network for pictures of clothes, relu and softmax.

    >>> print(fashion_mlp())
    fashion_mlp: 784 -> 10, 2 layers with weights, 101,770 connections, 101,770 parameters
    """
    return _fully_connected("fashion_mlp", input_shape, 128, classes, seed)


def _fully_connected(
    name: str, input_shape: Sequence[int], hidden: int, classes: int, seed: Any
) -> Network:
    source: Layer = Input(input_shape)
    flat = Flatten()(source) if len(source.shape) > 1 else source
    x = Dense(hidden, activation="relu")(flat)
    x = Dense(classes, activation="softmax")(x)
    return Network(inputs=source, outputs=x, name=name, seed=seed)


def cbapd(input_shape: Sequence[int] = (32, 32, 3), classes: int = 10, seed: Any = None) -> Network:
    """Return the course's first network for pictures, named after its layers.

    Convolution, batch normalisation, activation, pooling, dropout, and two dense layers.

    >>> print(cbapd())
    cbapd: 32x32x3 -> 10, 4 layers with weights, 654,354 connections, 198,506 parameters
    """
    return Network(
        [
            Input(input_shape),
            Conv2D(6, 5, padding="same"),
            BatchNormalization(),
            Activation("relu"),
            MaxPooling2D(2, strides=2, padding="same"),
            Dropout(0.2),
            Flatten(),
            Dense(128, activation="relu"),
            Dropout(0.2),
            Dense(classes, activation="softmax"),
        ],
        name="cbapd",
        seed=seed,
    )

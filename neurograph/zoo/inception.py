"""GoogLeNet, or Inception v1: windows of several sizes side by side.

Szegedy and others, Going deeper with convolutions, 2015, table 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.layers.convolution import Conv2D
from neurograph.layers.core import Activation, Dense, Dropout, Input
from neurograph.layers.merging import Concatenate
from neurograph.layers.normalization import BatchNormalization
from neurograph.layers.pooling import GlobalAveragePooling2D, MaxPooling2D

# 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection; P is a pooling with its window
TABLE: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("3a", (64, 96, 128, 16, 32, 32)),
    ("3b", (128, 128, 192, 32, 96, 64)),
    ("P", (3,)),
    ("4a", (192, 96, 208, 16, 48, 64)),
    ("4b", (160, 112, 224, 24, 64, 64)),
    ("4c", (128, 128, 256, 24, 64, 64)),
    ("4d", (112, 144, 288, 32, 64, 64)),
    ("4e", (256, 160, 320, 32, 128, 128)),
    ("P", (2,)),
    ("5a", (256, 160, 320, 32, 128, 128)),
    ("5b", (384, 192, 384, 48, 128, 128)),
)


def googlenet(
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    seed: Any = None,
    *,
    batch_norm: bool = True,
) -> Network:
    """Return GoogLeNet without the auxiliary classifiers.

    Parameters
    ----------
    batch_norm : bool
        True for torchvision's definition (batch normalisation instead of biases, 3 x 3 kernels
        where the paper has 5 x 5; 6,624,904 parameters), False for the paper's (6,998,552), but
        for its local response normalisation.

    >>> sum(each.size for each in googlenet().parameters.values() if each.trainable)
    6624904
    """

    def unit(x: Layer, filters: int, size: int, strides: int = 1) -> Layer:
        return _convolution(x, filters, size, strides, batch_norm)

    inputs = Input(input_shape)
    x = unit(inputs, 64, 7, strides=2)
    x = MaxPooling2D(3, strides=2, padding="same")(x)
    x = unit(x, 64, 1)
    x = unit(x, 192, 3)
    x = MaxPooling2D(3, strides=2, padding="same")(x)
    for row, filters in TABLE:
        if row == "P":
            x = MaxPooling2D(filters[0], strides=2, padding="same")(x)
            continue
        one, reduce3, three, reduce5, five, projection = filters
        branches = [
            unit(x, one, 1),
            unit(unit(x, reduce3, 1), three, 3),
            unit(unit(x, reduce5, 1), five, 3 if batch_norm else 5),
            unit(MaxPooling2D(3, strides=1, padding="same")(x), projection, 1),
        ]
        x = Concatenate(name=f"inception_{row}")(branches)
    x = GlobalAveragePooling2D()(x)
    x = Dropout(0.2 if batch_norm else 0.4)(x)
    x = Dense(classes, activation="softmax")(x)
    return Network(inputs=inputs, outputs=x, name="googlenet", seed=seed)


def googlenet_cifar(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    seed: Any = None,
    *,
    filters: int = 16,
    blocks: int = 2,
) -> Network:
    """Return the course's Inception network for small pictures.

    Each block has two Inception units, the first of which halves the picture; each block has twice
    the filters of the one before.

    >>> googlenet_cifar().layer("global_average_pooling2d").shape
    (128,)
    """
    inputs = Input(input_shape)
    x = _convolution(inputs, filters, 3)
    for block in range(blocks):
        for strides in (2, 1):
            width = filters * 2**block
            branches = [
                _convolution(x, width, 1, strides),
                _convolution(_convolution(x, width, 1, strides), width, 3),
                _convolution(_convolution(x, width, 1, strides), width, 5),
                _convolution(MaxPooling2D(3, strides=1, padding="same")(x), width, 1, strides),
            ]
            x = Concatenate()(branches)
    x = GlobalAveragePooling2D()(x)
    x = Dense(classes, activation="softmax")(x)
    return Network(inputs=inputs, outputs=x, name="googlenet_cifar", seed=seed)


def _convolution(
    x: Layer, filters: int, size: int, strides: int = 1, batch_norm: bool = True
) -> Layer:
    options: dict[str, Any] = {"padding": size // 2, "kernel_initializer": "he_normal"}
    if not batch_norm:
        return Conv2D(filters, size, strides, activation="relu", **options)(x)
    x = Conv2D(filters, size, strides, use_bias=False, **options)(x)
    return Activation("relu")(BatchNormalization(momentum=0.9)(x))

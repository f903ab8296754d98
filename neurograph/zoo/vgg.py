"""VGG: nothing but 3 x 3 convolutions.

Simonyan & Zisserman, Very deep convolutional networks for large-scale image recognition, 2015,
table 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neurograph.graph.network import Network
from neurograph.layers.convolution import Conv2D
from neurograph.layers.core import Activation, Dense, Dropout, Input
from neurograph.layers.normalization import BatchNormalization
from neurograph.layers.pooling import MaxPooling2D
from neurograph.layers.recipe import Recipe
from neurograph.layers.shaping import Flatten
from neurograph.zoo.depths import of_depth

# filters of each 3 x 3 convolution; P is a pooling; columns A, B, D and E of the table
COLUMNS = {
    11: "64 P 128 P 256 256 P 512 512 P 512 512 P",
    13: "64 64 P 128 128 P 256 256 P 512 512 P 512 512 P",
    16: "64 64 P 128 128 P 256 256 256 P 512 512 512 P 512 512 512 P",
    19: "64 64 P 128 128 P 256 256 256 256 P 512 512 512 512 P 512 512 512 512 P",
}
SMALL = {8: "64 64 P 128 128 P 256 256 P", **COLUMNS}
RELU: dict[str, Any] = {"activation": "relu", "kernel_initializer": "he_normal"}


def vgg(
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    seed: Any = None,
    *,
    depth: int = 16,
) -> Network:
    """Return VGG-11, 13, 16 or 19: 132,863,336, 133,047,848, 138,357,544, 143,667,240 parameters.

    >>> print(vgg())
    vgg16: 224x224x3 -> 1000, 16 layers with weights, 14,989,543,656 connections, \
138,357,544 parameters
    """
    layers: list[Recipe] = [
        MaxPooling2D(2) if cell == "P" else Conv2D(int(cell), 3, padding=1, **RELU)
        for cell in of_depth(depth, COLUMNS, "VGG").split()
    ]
    layers += [
        Flatten(),
        Dense(4096, **RELU),
        Dropout(0.5),
        Dense(4096, **RELU),
        Dropout(0.5),
        Dense(classes, activation="softmax"),
    ]
    return Network([Input(input_shape), *layers], name=f"vgg{depth}", seed=seed)


def vgg_cifar(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    seed: Any = None,
    *,
    depth: int = 16,
) -> Network:
    """Return VGG for small pictures: batch normalisation, light dropout, a small head.

    Depth 8 stops after the third pooling and has a head of one hidden layer of 256.

    >>> [layer.shape for layer in vgg_cifar(depth=8).layers if layer.kind == "max_pooling2d"]
    [(16, 16, 64), (8, 8, 128), (4, 4, 256)]
    """
    layers: list[Recipe] = []
    for cell in of_depth(depth, SMALL, "VGG for small pictures").split():
        if cell == "P":
            layers += [MaxPooling2D(2), *([Dropout(0.2)] if depth > 8 else [])]
        else:
            plain = Conv2D(int(cell), 3, padding="same", kernel_initializer="he_normal")
            layers += [plain, BatchNormalization(momentum=0.9), Activation("relu")]
    layers.append(Flatten())
    for units in (256,) if depth == 8 else (512, 512):
        layers += [Dense(units, **RELU), *([Dropout(0.2)] if depth > 8 else [])]
    layers.append(Dense(classes, activation="softmax"))
    return Network([Input(input_shape), *layers], name=f"vgg{depth}_cifar", seed=seed)

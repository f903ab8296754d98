"""AlexNet, in the version of one column.

Krizhevsky, Sutskever & Hinton, ImageNet classification with deep convolutional neural networks,
2012; Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neurograph.graph.network import Network
from neurograph.layers.convolution import Conv2D
from neurograph.layers.core import Activation, Dense, Dropout, Input
from neurograph.layers.normalization import BatchNormalization
from neurograph.layers.pooling import MaxPooling2D
from neurograph.layers.shaping import Flatten

RELU: dict[str, Any] = {"activation": "relu", "kernel_initializer": "he_normal"}


def alexnet(
    input_shape: Sequence[int] = (224, 224, 3), classes: int = 1000, seed: Any = None
) -> Network:
    """Return AlexNet in the version of one column, 61,100,840 parameters for 1,000 classes.

    >>> sum(each.size for each in alexnet().parameters.values())
    61100840
    """
    return Network(
        [
            Input(input_shape),
            Conv2D(64, 11, strides=4, padding=2, **RELU),
            MaxPooling2D(3, strides=2),
            Conv2D(192, 5, padding=2, **RELU),
            MaxPooling2D(3, strides=2),
            Conv2D(384, 3, padding=1, **RELU),
            Conv2D(256, 3, padding=1, **RELU),
            Conv2D(256, 3, padding=1, **RELU),
            MaxPooling2D(3, strides=2),
            Flatten(),
            Dropout(0.5),
            Dense(4096, **RELU),
            Dropout(0.5),
            Dense(4096, **RELU),
            Dense(classes, activation="softmax"),
        ],
        name="alexnet",
        seed=seed,
    )


def alexnet_cifar(
    input_shape: Sequence[int] = (32, 32, 3), classes: int = 10, seed: Any = None
) -> Network:
    """Return AlexNet for small pictures: five 3 x 3 convolutions and three dense layers.

    >>> alexnet_cifar().layer("flatten").shape
    (1024,)
    """
    return Network(
        [
            Input(input_shape),
            Conv2D(96, 3, kernel_initializer="he_normal"),
            BatchNormalization(),
            Activation("relu"),
            MaxPooling2D(3, strides=2),
            Conv2D(256, 3, kernel_initializer="he_normal"),
            BatchNormalization(),
            Activation("relu"),
            MaxPooling2D(3, strides=2),
            Conv2D(384, 3, padding="same", **RELU),
            Conv2D(384, 3, padding="same", **RELU),
            Conv2D(256, 3, padding="same", **RELU),
            MaxPooling2D(3, strides=2),
            Flatten(),
            Dense(2048, **RELU),
            Dropout(0.5),
            Dense(2048, **RELU),
            Dropout(0.5),
            Dense(classes, activation="softmax"),
        ],
        name="alexnet_cifar",
        seed=seed,
    )

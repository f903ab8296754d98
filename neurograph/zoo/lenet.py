"""LeNet-5, the first convolutional network at work.

LeCun, Bottou, Bengio & Haffner, Gradient-based learning applied to document recognition, 1998,
figure 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neurograph.graph.network import Network
from neurograph.layers.convolution import Conv2D
from neurograph.layers.core import Dense, Input
from neurograph.layers.pooling import AveragePooling2D, MaxPooling2D
from neurograph.layers.shaping import Flatten


def lenet5(
    input_shape: Sequence[int] = (32, 32, 1),
    classes: int = 10,
    seed: Any = None,
    *,
    activation: str = "relu",
    pooling: str = "max",
) -> Network:
    """Return LeNet-5; 28 x 28 pictures are padded to 32 x 32 by its first layer.

    Parameters
    ----------
    activation : str
        The paper has "tanh".
    pooling : {"max", "average"}
        The paper has averages.

    >>> print(lenet5(activation="tanh", pooling="average"))
    lenet5: 32x32x1 -> 10, 5 layers with weights, 429,742 connections, 61,706 parameters
    """
    pool = MaxPooling2D if pooling == "max" else AveragePooling2D
    return Network(
        [
            Input(input_shape),
            Conv2D(6, 5, padding="same" if input_shape[0] < 32 else "valid", activation=activation),
            pool(2),
            Conv2D(16, 5, activation=activation),
            pool(2),
            Flatten(),
            Dense(120, activation=activation),
            Dense(84, activation=activation),
            Dense(classes, activation="softmax"),
        ],
        name="lenet5",
        seed=seed,
    )

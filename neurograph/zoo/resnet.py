"""ResNet: every block adds to what it was given.

He, Zhang, Ren & Sun, Deep residual learning for image recognition, 2016, table 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.layers.convolution import Conv2D
from neurograph.layers.core import Activation, Dense, Input
from neurograph.layers.merging import Add
from neurograph.layers.normalization import BatchNormalization
from neurograph.layers.pooling import GlobalAveragePooling2D, MaxPooling2D
from neurograph.zoo.depths import of_depth

Block = Callable[[Layer, int, int], Layer]


def _convolution(x: Layer, filters: int, size: int, strides: int = 1) -> Layer:
    x = Conv2D(
        filters,
        size,
        strides,
        padding=size // 2,
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    return BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def _residual(x: Layer, y: Layer, strides: int) -> Layer:
    """Add what a block made to what it was given, projected if their shapes differ."""
    if strides > 1 or x.shape != y.shape:
        x = _convolution(x, y.shape[-1], 1, strides)
    return Activation("relu")(Add()([y, x]))


def basic(x: Layer, filters: int, strides: int) -> Layer:
    """Two 3 x 3 convolutions beside an identity: figure 5, left."""
    y = Activation("relu")(_convolution(x, filters, 3, strides))
    y = _convolution(y, filters, 3)
    return _residual(x, y, strides)


def bottleneck(x: Layer, filters: int, strides: int) -> Layer:
    """1 x 1, 3 x 3, 1 x 1 beside an identity: figure 5, right; the stride is in the 3 x 3."""
    y = Activation("relu")(_convolution(x, filters, 1))
    y = Activation("relu")(_convolution(y, filters, 3, strides))
    y = _convolution(y, 4 * filters, 1)
    return _residual(x, y, strides)


# blocks of conv2_x, conv3_x, conv4_x, conv5_x
TABLE: dict[int, tuple[Block, tuple[int, ...]]] = {
    18: (basic, (2, 2, 2, 2)),
    34: (basic, (3, 4, 6, 3)),
    50: (bottleneck, (3, 4, 6, 3)),
    101: (bottleneck, (3, 4, 23, 3)),
}
THIN = (20, 32, 44, 56)  # depths of section 4.2, for CIFAR-10: 6 n + 2
SMALL = TABLE | {depth: (basic, (depth // 6,) * 3) for depth in THIN}


def resnet(
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    seed: Any = None,
    *,
    depth: int = 50,
) -> Network:
    """Return ResNet-18, 34, 50 or 101: 11,689,512, 21,797,672, 25,557,032, 44,549,160 parameters.

    Moving statistics are not counted.

    >>> net = resnet(depth=18)
    >>> sum(each.size for each in net.parameters.values() if each.trainable)
    11689512
    """
    inputs = Input(input_shape)
    x = Activation("relu")(_convolution(inputs, 64, 7, strides=2))
    x = MaxPooling2D(3, strides=2, padding=1)(x)
    block, counts = of_depth(depth, TABLE, "ResNet")
    return _stages(inputs, x, classes, block, 64, counts, f"resnet{depth}", seed)


def resnet_cifar(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    seed: Any = None,
    *,
    depth: int = 18,
) -> Network:
    """Return ResNet for small pictures: it begins with one 3 x 3 convolution and no pooling.

    Depths 18, 34, 50 and 101 are the large ones with another beginning. Depths 20, 32, 44 and 56
    are the paper's own for CIFAR-10 (section 4.2): three stages of 16, 32 and 64 filters; the
    shortcuts between them are projections (option B).

    >>> resnet_cifar().layer("activation_16").shape
    (4, 4, 512)
    >>> net = resnet_cifar(depth=20)
    >>> sum(each.size for each in net.parameters.values() if each.trainable)
    272474
    """
    block, counts = of_depth(depth, SMALL, "ResNet for small pictures")
    filters = 16 if depth in THIN else 64
    inputs = Input(input_shape)
    x = Activation("relu")(_convolution(inputs, filters, 3))
    return _stages(inputs, x, classes, block, filters, counts, f"resnet{depth}_cifar", seed)


def _stages(
    inputs: Layer,
    x: Layer,
    classes: int,
    block: Block,
    filters: int,
    counts: Sequence[int],
    name: str,
    seed: Any,
) -> Network:
    """Add the stages, each of twice the filters and half the size of the one before."""
    for stage, count in enumerate(counts):
        for number in range(count):
            x = block(x, filters * 2**stage, 2 if stage > 0 and number == 0 else 1)
    x = GlobalAveragePooling2D()(x)
    x = Dense(classes, activation="softmax")(x)
    return Network(inputs=inputs, outputs=x, name=name, seed=seed)

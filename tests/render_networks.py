"""Networks that the tests of pictures draw, with weights that never change."""

from __future__ import annotations

import numpy as np

import neurograph as ng


def tutorial() -> ng.Network:
    """Return a 3-4-2 network with weights -1.2 … 1.3."""
    net = ng.Network([3, 4, 2])
    for number, parameter in enumerate(net.parameters.values()):
        steps = np.arange(parameter.size).reshape(parameter.shape)
        parameter.value = ((steps * 7 + number * 3) % 26 - 12) / 10
    return net


def by_hand() -> ng.Network:
    """Return a recurrent network with a shared weight, a frozen one, a skip and two delays."""
    a, b = ng.InputNode("a"), ng.InputNode("b")
    h = ng.Node("tanh", name="h")
    y = ng.Node("sigmoid", name="y")
    one = ng.ConstNode("one")
    w = ng.Parameter(0.5, name="w")
    ng.Connection(a, h, weight=0.3, trainable=False)
    ng.Connection(b, h, parameter=w)
    ng.Connection(a, y, parameter=w)
    ng.Connection(one, h, weight=0.1)
    ng.Connection(h, y, weight=-1.2)
    ng.Connection(h, h, weight=0.4, delay=1)
    ng.Connection(y, h, weight=-0.7, delay=2)
    return ng.Network(inputs=[a, b], outputs=[y], name="by hand")


def residual() -> ng.Network:
    """Return a network of three equal residual blocks between two convolutions."""
    x = ng.Input((8, 8, 3))
    h = ng.Conv2D(4, 3, padding="same", activation="relu")(x)
    for _ in range(3):
        y = ng.Conv2D(4, 3, padding="same")(h)
        y = ng.BatchNormalization()(y)
        h = ng.Activation("relu")(ng.Add()([h, y]))
    h = ng.GlobalAveragePooling2D()(ng.Conv2D(8, 3, strides=2)(h))
    out = ng.Dense(2, activation="softmax")(h)
    return ng.Network(inputs=x, outputs=out, name="residual")


def chain(blocks: int = 13) -> ng.Network:
    """Return a network of many convolutions whose connections nobody could count one by one."""
    x = h = ng.Input((224, 224, 3))
    for number in range(blocks):
        h = ng.Conv2D(64 * 2 ** min(number // 3, 3), 3, padding="same", activation="relu")(h)
        if number % 3 == 2:
            h = ng.MaxPooling2D(2)(h)
    h = ng.Dense(4096, activation="relu")(ng.Flatten()(h))
    out = ng.Dense(1000, activation="softmax")(h)
    return ng.Network(inputs=x, outputs=out, name="chain")


def sequence() -> ng.Network:
    """Return a network that reads sequences in both directions, too large to unroll by node."""
    net = ng.Network(
        [
            ng.Input((None, 3)),
            ng.LSTM(4, return_sequences=True, name="lstm"),
            ng.Bidirectional(ng.GRU(12), name="ways"),
            ng.Dense(1),
        ],
        name="sequence",
    )
    for parameter in net.parameters.values():
        parameter.value = np.zeros(parameter.shape)
    net.layer("dense").parameters["bias"].value = np.ones(1)
    return net


def ran(net: ng.Network) -> ng.Network:
    """Return a network of sequences after a run on one of five steps."""
    net.predict(np.linspace(-1, 1, 15).reshape(1, 5, 3), explicit=True)
    return net

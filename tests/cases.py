"""The table of cases: one row for each layer and feature, run through by the tests of every room.

``CASES`` holds the rows by name. ``case.network()`` builds a network whose every weight, bias and
moving statistic has a value of its own; ``case.data(net)`` makes inputs and targets for it. Sizes
are small and odd on purpose: kernels and strides that are not square, windows that overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from made_cells import one_cell
from recurrent_cases import add_recurrent

import neurograph as ng
from neurograph.functions import _SHIPPED, ACTIVATIONS
from neurograph.graph.bundles import BiasConnections, DenseConnections, OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.graph.temporal import FoldConnections, StepConnections
from neurograph.layer_functions import LayerNormalization

SHIPPED = [name for name in ACTIVATIONS if name in _SHIPPED]


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Parameters
    ----------
    name : str
    build : callable
        Returns a new network.
    loss : str
        A loss that fits the output.
    steps : int
        Time steps for inputs of any length.
    vocabulary : int
        If not 0, inputs are whole numbers below it.
    scale : float
        The standard deviation of the weights.
    gaps : bool
        Whether steps of the inputs are 0: the last of one sample, one in the midst of another.
    tags : set of str
        Kinds of case, to choose by: "handmade", "sequence", "cycle", "noise", "network",
        "stateful".
    """

    name: str
    build: Callable[[], Network]
    loss: str = "mse"
    steps: int = 5
    vocabulary: int = 0
    scale: float = 0.5
    gaps: bool = False
    tags: frozenset[str] = field(default_factory=frozenset)

    def network(self, seed: int = 1) -> Network:
        """Build the network and give every weight a value that differs from its neighbours'."""
        net = self.build()
        generator = np.random.default_rng(seed)
        for name, parameter in net.parameters.items():
            values = generator.normal(0.0, self.scale, parameter.shape)
            if name.endswith("variance"):
                values = 0.5 + np.abs(values)
            if name.endswith("gamma"):
                values = 1.0 + 0.5 * values
            if parameter.frozen is not None:
                values = np.where(parameter.frozen, parameter.value, values)
            parameter.value = values
        return net

    def data(self, net: Network, batch: int = 3, seed: int = 2) -> tuple[Any, Any]:
        """Return inputs and targets, an array each, or a list of arrays where there are several."""
        generator = np.random.default_rng(seed)
        xs = [self._draw(generator, self._shape(port, batch)) for port in net.inputs]
        ys = [self._target(generator, self._shape(port, batch)) for port in net.outputs]
        return (xs[0] if len(xs) == 1 else xs), (ys[0] if len(ys) == 1 else ys)

    def _shape(self, port: Any, batch: int) -> tuple[int, ...]:
        time = (port.layer.steps or self.steps,) if port.layer.sequence else ()
        return (batch, *time, *port.shape)

    def _draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Any:
        if self.vocabulary:
            values = generator.integers(0, self.vocabulary, shape).astype(np.float64)
        else:
            values = generator.normal(size=shape)
        if self.gaps:
            values[1:2, -2:] = 0.0
            values[2:3, 0] = values[2:3, 2] = 0.0
        return values

    def _target(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Any:
        if self.loss == "categorical_crossentropy":
            return np.eye(shape[-1])[generator.integers(0, shape[-1], shape[:-1])]
        if self.loss == "binary_crossentropy":
            return generator.integers(0, 2, shape).astype(np.float64)
        return generator.normal(size=shape)


_ROWS: list[Case] = []


def _row(
    name: str, build: Callable[[], Network], *tags: str, loss: str = "mse", **options: Any
) -> None:
    _ROWS.append(Case(name, build, loss, tags=frozenset(tags), **options))


def _stack(name: str, shape: Any, *make: Callable[[], Any], **options: Any) -> None:
    """Add a row for layers one after the other."""
    timed = shape if isinstance(shape, dict) else {"shape": shape}
    tags = options.pop("tags", ())
    if timed.get("sequence") or timed["shape"][0] is None:
        tags = (*tags, "sequence")
    _row(name, lambda: Network([ng.Input(**timed), *(each() for each in make)]), *tags, **options)


CLASSES = {"loss": "categorical_crossentropy"}
PLAIN_SEQUENCE = {"shape": (6, 2), "sequence": True}

# dense ----------------------------------------------------------------------------------------

_stack("dense", (4,), lambda: ng.Dense(3))
_stack("dense_no_bias", (4,), lambda: ng.Dense(3, use_bias=False))
_stack("dense_softmax", (4,), lambda: ng.Dense(3, activation="softmax"), **CLASSES)
_stack("dense_image", (2, 3, 4), lambda: ng.Dense(2, activation="tanh"))
_stack("dense_sequence", (None, 4), lambda: ng.Dense(3, activation="tanh"))
_stack("dense_softmax_sequence", (None, 4), lambda: ng.Dense(3, activation="softmax"), **CLASSES)
_stack("dense_one", (1,), lambda: ng.Dense(1, activation="sigmoid"), loss="binary_crossentropy")
_stack(
    "dense_three_regularized",
    (5,),
    lambda: ng.Dense(4, activation="tanh", kernel_regularizer="l2(0.1)"),
    lambda: ng.Dense(3, activation="sigmoid", kernel_regularizer="l1_l2(0.1, 0.2)"),
    lambda: ng.Dense(2, bias_regularizer="l1(0.3)"),
)
_stack(
    "dense_not_trainable",
    (4,),
    lambda: ng.Dense(3, activation="tanh", trainable=False),
    lambda: ng.Dense(2),
)
for _name in SHIPPED:
    _stack(
        f"activation_{_name}",
        (3,),
        lambda: ng.Dense(4),
        lambda name=_name: ng.Activation(name),
    )

# convolution ----------------------------------------------------------------------------------

IMAGE = (6, 5, 2)
_stack("conv2d", IMAGE, lambda: ng.Conv2D(3, (3, 2)))
_stack("conv2d_same", IMAGE, lambda: ng.Conv2D(3, (2, 4), padding="same", activation="tanh"))
_stack("conv2d_strides", (7, 6, 2), lambda: ng.Conv2D(3, (3, 2), (2, 3), use_bias=False))
_stack("conv2d_same_strides", (7, 6, 2), lambda: ng.Conv2D(3, (3, 4), (3, 2), padding="same"))
_stack("conv2d_dilation", (7, 6, 1), lambda: ng.Conv2D(2, (3, 2), dilation_rate=(2, 3)))
_stack(
    "conv2d_same_dilation",
    IMAGE,
    lambda: ng.Conv2D(2, (2, 3), padding="same", dilation_rate=2, activation="sigmoid"),
)
_stack("conv2d_groups", (4, 5, 4), lambda: ng.Conv2D(6, 3, groups=2, padding="same"))
_stack("conv2d_padding", IMAGE, lambda: ng.Conv2D(3, 3, strides=2, padding=1))
_stack("conv2d_sides", IMAGE, lambda: ng.Conv2D(2, 3, padding=((2, 0), (1, 3))))
_stack("conv2d_kernel_beyond_image", (2, 3, 2), lambda: ng.Conv2D(2, 5, padding="same"))
_stack("conv2d_one_by_one", IMAGE, lambda: ng.Conv2D(3, 1, activation="relu"))
_stack("conv2d_one_by_one_strides", IMAGE, lambda: ng.Conv2D(3, 1, strides=2, use_bias=False))
_stack("conv2d_softmax", (3, 3, 2), lambda: ng.Conv2D(3, 2, activation="softmax"), **CLASSES)
_stack("conv2d_whole_image", IMAGE, lambda: ng.Conv2D(3, (6, 5)))
_stack(
    "conv2d_two",
    IMAGE,
    lambda: ng.Conv2D(3, 3, padding="same", activation="tanh", kernel_regularizer="l2(0.01)"),
    lambda: ng.Conv2D(2, 3, activation="tanh"),
)
_stack("conv1d", (7, 2), lambda: ng.Conv1D(3, 3))
_stack("conv1d_same_strides", (8, 2), lambda: ng.Conv1D(3, 3, strides=2, padding="same"))
_stack("conv1d_causal", (7, 2), lambda: ng.Conv1D(3, 2, padding="causal", dilation_rate=3))
_stack("conv1d_groups", (7, 4), lambda: ng.Conv1D(2, 3, groups=2, padding=(1, 0)))
_stack("conv1d_sequence", PLAIN_SEQUENCE, lambda: ng.Conv1D(3, 2, activation="tanh"))
_stack("depthwise", IMAGE, lambda: ng.DepthwiseConv2D((2, 3)))
_stack(
    "depthwise_multiplier",
    IMAGE,
    lambda: ng.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=3, use_bias=False),
)

# pooling --------------------------------------------------------------------------------------

_stack("max_pooling2d", (6, 4, 3), lambda: ng.MaxPooling2D(2))
_stack("max_pooling2d_overlap", (7, 6, 2), lambda: ng.MaxPooling2D((3, 2), (2, 1)))
_stack("max_pooling2d_same", (7, 6, 2), lambda: ng.MaxPooling2D(3, 2, padding="same"))
_stack("max_pooling2d_padding", IMAGE, lambda: ng.MaxPooling2D(3, 2, padding=1))
_stack("max_pooling2d_gaps", (7, 7, 2), lambda: ng.MaxPooling2D(2, 3))
_stack("average_pooling2d", (6, 4, 3), lambda: ng.AveragePooling2D((3, 2)))
_stack("average_pooling2d_same", (7, 6, 2), lambda: ng.AveragePooling2D(3, (2, 1), padding="same"))
_stack("max_pooling1d", (7, 3), lambda: ng.MaxPooling1D(3, 2))
_stack("max_pooling1d_sequence", PLAIN_SEQUENCE, lambda: ng.MaxPooling1D(2))
_stack("average_pooling1d", (7, 3), lambda: ng.AveragePooling1D(3, 2, padding="same"))
_stack("global_max_pooling2d", IMAGE, lambda: ng.GlobalMaxPooling2D())
_stack("global_average_pooling2d", IMAGE, lambda: ng.GlobalAveragePooling2D(keepdims=True))
_stack("global_max_pooling1d", (6, 3), lambda: ng.GlobalMaxPooling1D(keepdims=True))
_stack("global_average_pooling1d", PLAIN_SEQUENCE, lambda: ng.GlobalAveragePooling1D())
_stack(
    "pooled_convolution",
    (7, 6, 2),
    lambda: ng.Conv2D(3, 3, padding="same", activation="relu"),
    lambda: ng.MaxPooling2D(3, 2, padding="same"),
    lambda: ng.Conv2D(2, 2),
    lambda: ng.AveragePooling2D(2),
)

# shaping, merging -----------------------------------------------------------------------------

_stack("flatten", (2, 3, 2), lambda: ng.Flatten(), lambda: ng.Dense(2))
_stack("flatten_sequence", PLAIN_SEQUENCE, lambda: ng.Flatten(), lambda: ng.Dense(2))
_stack("reshape", (4, 3), lambda: ng.Reshape((2, -1, 2)), lambda: ng.Conv2D(2, (1, 2)))
_stack("reshape_sequence", PLAIN_SEQUENCE, lambda: ng.Reshape((4, 3)), lambda: ng.Dense(2))
_stack("zero_padding2d", (3, 2, 2), lambda: ng.ZeroPadding2D(((1, 0), (2, 1))))
_stack(
    "zero_padding2d_valid",
    (4, 5, 2),
    lambda: ng.Conv2D(2, 2, activation="tanh"),
    lambda: ng.ZeroPadding2D(1),
    lambda: ng.Conv2D(3, 3, strides=2),
)
_stack("zero_padding1d", (4, 2), lambda: ng.ZeroPadding1D((2, 1)), lambda: ng.Conv1D(2, 3))


def _branches(merge: Any, *recipes: Any, shape: Any = (3, 4)) -> Callable[[], Network]:
    def build() -> Network:
        x = ng.Input(shape)
        return Network(inputs=x, outputs=merge()([recipe()(x) for recipe in recipes]))

    return build


def _tanh(units: int = 2) -> Callable[[], Any]:
    return lambda: ng.Dense(units, activation="tanh")


_row("add", _branches(ng.Add, _tanh(), _tanh(), _tanh()))
_row("add_sequence", _branches(ng.Add, _tanh(), _tanh(), shape=(None, 3)), "sequence")
_row("multiply", _branches(ng.Multiply, _tanh(), _tanh(), _tanh()))
_row("average", _branches(ng.Average, _tanh(), _tanh(), _tanh()))
_row("maximum", _branches(ng.Maximum, _tanh(), _tanh()))
_row("concatenate", _branches(ng.Concatenate, _tanh(2), _tanh(3), _tanh(1)))
_row(
    "concatenate_first_axis",
    _branches(lambda: ng.Concatenate(axis=1), _tanh(3), lambda: ng.MaxPooling1D(2), shape=(4, 3)),
)
_row("concatenate_sequence", _branches(ng.Concatenate, _tanh(2), _tanh(1), shape=(None, 3)),
     "sequence")  # fmt: skip


def _twice() -> Network:
    x = ng.Input((3,))
    return Network(inputs=x, outputs=ng.Add()([x, x, ng.Dense(3)(x)]))


def _over_time() -> Network:
    x, z = ng.Input((None, 3), name="x"), ng.Input((2,), name="z")
    h = ng.Add()([ng.Dense(2)(x), ng.Dense(2)(z)])
    return Network(inputs=[x, z], outputs=ng.Activation("tanh")(h))


_row("add_same_twice", _twice)
_row("add_over_time", _over_time, "sequence")

# activations as layers, dropout, normalisation ------------------------------------------------

_stack("relu_layer", (4,), lambda: ng.Dense(3), lambda: ng.ReLU())
_stack("leaky_relu_layer", (4,), lambda: ng.Dense(3), lambda: ng.LeakyReLU(0.1))
_stack("softmax_layer", (2, 4), lambda: ng.Dense(3), lambda: ng.Softmax(), **CLASSES)
_stack("dropout", (4,), lambda: ng.Dense(5), lambda: ng.Dropout(0.4), tags=("noise",))
_stack("dropout_image", IMAGE, lambda: ng.Dropout(0.25), lambda: ng.Conv2D(2, 3), tags=("noise",))
_stack("dropout_sequence", (None, 4), lambda: ng.Dropout(0.5), lambda: ng.Dense(2), tags=("noise",))
_stack("batch_normalization", (4,), lambda: ng.BatchNormalization(), lambda: ng.Dense(2))
_stack(
    "batch_normalization_image",
    IMAGE,
    lambda: ng.Conv2D(3, 3, padding="same", use_bias=False),
    lambda: ng.BatchNormalization(momentum=0.9, epsilon=1e-5),
    lambda: ng.Activation("relu"),
    lambda: ng.GlobalAveragePooling2D(),
)
_stack(
    "batch_normalization_relu_dense",
    (4,),
    lambda: ng.BatchNormalization(),
    lambda: ng.ReLU(),
    lambda: ng.Dense(3),
)
_stack("batch_normalization_axis", IMAGE, lambda: ng.BatchNormalization(axis=1))
_stack("batch_normalization_plain", (4,), lambda: ng.BatchNormalization(center=False, scale=False))
_stack("batch_normalization_frozen", (4,), lambda: ng.BatchNormalization(trainable=False))
_stack(
    "batch_normalization_frozen_relu",
    (3, 2, 2),
    lambda: ng.Conv2D(3, 2),
    lambda: ng.BatchNormalization(trainable=False),
    lambda: ng.ReLU(),
    lambda: ng.Conv2D(2, 1),
    lambda: ng.BatchNormalization(trainable=False, scale=False),
    lambda: ng.Flatten(),
    lambda: ng.Dense(2),
)
_stack("batch_normalization_sequence", (None, 3), lambda: ng.BatchNormalization())
_row(
    "batch_normalization_beside_dense",
    _branches(ng.Concatenate, ng.BatchNormalization, _tanh(), shape=(4,)),
)


def _normalised_twice(recipe: Callable[[], Any]) -> Callable[[], Network]:
    def build() -> Network:
        x, z, normal = ng.Input((3,), name="x"), ng.Input((3,), name="z"), recipe()
        branches = [normal(ng.Dense(4, activation="tanh")(each)) for each in (x, z)]
        return Network(inputs=[x, z], outputs=ng.Dense(2)(ng.Multiply()(branches)))

    return build


_row(
    "batch_normalization_called_twice",
    _normalised_twice(lambda: ng.BatchNormalization(momentum=0.5)),
)
_row("layer_normalization_called_twice", _normalised_twice(ng.LayerNormalization))
_stack("layer_normalization", (4,), lambda: ng.Dense(5), lambda: ng.LayerNormalization())
_stack("layer_normalization_axes", (3, 2, 4), lambda: ng.LayerNormalization(axis=(-3, -1)))
_stack("layer_normalization_plain", (4,), lambda: ng.LayerNormalization(center=False, scale=False))
_stack("local_response", (3, 2, 7), lambda: ng.LocalResponseNormalization(3, 0.5, 0.75, 0.9))
_stack(
    "local_response_few",
    (4,),
    lambda: ng.Dense(2),
    lambda: ng.LocalResponseNormalization(5, 2.0, 0.5),
)
_stack("layer_normalization_sequence", (None, 4), lambda: ng.LayerNormalization())

# networks -------------------------------------------------------------------------------------

_row("tutorial_231", lambda: Network([2, 3, 1]), "network", loss="sse")
_row("tutorial_342", lambda: Network([3, 4, 2]), "network", loss="sse")
_row("people", lambda: ng.zoo.people(), "network", **CLASSES)
_row("cbapd", lambda: ng.zoo.cbapd((6, 5, 2), 3), "network", "noise", scale=0.2, **CLASSES)


def _skip() -> Network:
    x = ng.Input((4,))
    h = ng.Dense(5, activation="tanh")(x)
    h = ng.Dense(4, activation="tanh")(ng.Concatenate()([h, x]))
    return Network(inputs=x, outputs=ng.Dense(2)(ng.Add()([h, x])))


def _residual() -> Network:
    x = ng.Input((6, 5, 2))
    h = ng.Activation("relu")(ng.BatchNormalization()(ng.Conv2D(4, 3, 2, padding=1)(x)))
    h = ng.BatchNormalization()(ng.Conv2D(4, 3, padding=1, use_bias=False)(h))
    h = ng.Activation("relu")(ng.Add()([h, ng.Conv2D(4, 1, 2, use_bias=False)(x)]))
    return Network(inputs=x, outputs=ng.Dense(3, activation="softmax")(ng.Flatten()(h)))


def _inception() -> Network:
    x = ng.Input((5, 4, 3))
    h = ng.Concatenate()(
        [
            ng.Conv2D(2, 1, activation="tanh")(x),
            ng.Conv2D(3, 3, padding="same", activation="tanh")(ng.Conv2D(2, 1)(x)),
            ng.Conv2D(1, 1)(ng.MaxPooling2D(3, 1, padding="same")(x)),
        ]
    )
    return Network(inputs=x, outputs=ng.Dense(2)(ng.GlobalAveragePooling2D()(h)))


def _several_ends() -> Network:
    a, b = ng.Input((3,), name="a"), ng.Input((2, 2, 1), name="b")
    h = ng.Concatenate()([ng.Dense(3, activation="tanh")(a), ng.Flatten()(b)])
    return Network(inputs=[a, b], outputs=[ng.Dense(2, name="p")(h), ng.Dense(1, name="q")(h)])


def _siamese() -> Network:
    a, b = ng.Input((3,), name="a"), ng.Input((3,), name="b")
    eye = ng.Dense(4, activation="tanh", name="eye")
    return Network(inputs=[a, b], outputs=ng.Dense(1)(ng.Multiply()([eye(a), eye(b)])))


def _pruned() -> Network:
    net = Network([ng.Input((4,)), ng.Dense(5, activation="tanh"), ng.Dense(3)], seed=3)
    net.prune(0.25)
    net.layer("dense_1")[1].upstream[2].trainable = False
    return net


def _pruned_thin() -> Network:
    net = Network([ng.Input((72,)), ng.Dense(60, activation="tanh"), ng.Dense(3)], seed=3)
    kernel = net.parameters["dense/kernel"].value
    net.layer("dense").incoming[0].remove_where(*np.nonzero(np.abs(kernel) < 0.97 * kernel.max()))
    return net


_row("skip", _skip, "network")
_row("residual", _residual, "network", **CLASSES)
_row("inception", _inception, "network")
_row("several_ends", _several_ends, "network")
_row("siamese", _siamese, "network")
_row("pruned", _pruned, "network")
_row("pruned_thin", _pruned_thin, "network")
_row("lenet5", lambda: ng.zoo.lenet5((12, 13, 1), 4, activation="tanh", pooling="average"),
     "network", **CLASSES)  # fmt: skip

# bundles made by hand -------------------------------------------------------------------------


def _elman(delay: int = 1, steps: int | None = None) -> Callable[[], Network]:
    def build() -> Network:
        x = ng.Input((None, 3))
        h = Layer((4,), kind="state", activation="tanh", sequence=True, steps=steps)
        h.parameters = {
            "kernel": ng.Parameter(shape=(3, 4), name="kernel"),
            "recurrent": ng.Parameter(shape=(4, 4), name="recurrent"),
        }
        DenseConnections(x, h, h.parameters["kernel"])
        DenseConnections(h, h, h.parameters["recurrent"], delay=delay)
        h.initial = np.array([0.3, -0.2, 0.1, 0.5])
        return Network(inputs=x, outputs=ng.Dense(2)(h))

    return build


def _normalised_state() -> Network:
    x = ng.Input((None, 3))
    affine = {each: ng.Parameter(shape=(4,), name=each) for each in ("gamma", "beta")}
    h = Layer((4,), kind="state", activation=LayerNormalization(affine), sequence=True)
    h.parameters = {"recurrent": ng.Parameter(shape=(4, 4), name="recurrent"), **affine}
    OneToOneConnections(ng.Dense(4)(x), h)
    DenseConnections(h, h, h.parameters["recurrent"], delay=1)
    return Network(inputs=x, outputs=ng.Dense(2)(h))


def _last_step() -> Network:
    x = ng.Input((4, 3))
    fold = Layer((3,), kind="fold", sequence=True, steps=4)
    FoldConnections(x, fold)
    h = Layer((3,), kind="state", activation="tanh", sequence=True, steps=4)
    recurrent = ng.Parameter(shape=(3, 3), name="recurrent")
    h.parameters = {"recurrent": recurrent}
    OneToOneConnections(fold, h)
    DenseConnections(h, h, recurrent, delay=1)
    last = Layer((3,), kind="last")
    StepConnections(h, last)
    return Network(inputs=x, outputs=ng.Dense(2)(last))


def _one_minus() -> Network:
    x = ng.Input((3,))
    z = ng.Dense(4, activation="sigmoid")(x)
    rest, one = Layer((4,), kind="rest"), Layer((1,), kind="const", role="const")
    one.root = rest
    OneToOneConnections(z, rest, constant=-1.0)
    BiasConnections(one, rest, None)
    return Network(inputs=x, outputs=ng.Multiply()([z, rest, ng.Dense(4)(x)]))


def _repeated_each() -> Network:
    x = ng.Input((3,))
    h = Layer((3, 4), kind="repeated")
    DenseConnections(ng.Dense(3)(x), h, None, positions=3)
    return Network(inputs=x, outputs=ng.Dense(2, activation="tanh")(h))


_row("repeated_each", _repeated_each)
_row("delay_one", _elman(), "sequence", "cycle")
_row("delay_two", _elman(2), "sequence", "cycle")
_row("delay_minus_one", _elman(-1), "sequence", "cycle")
_row("layer_normalization_cycle", _normalised_state, "sequence", "cycle")
_row("fold_and_step", _last_step, "sequence", "cycle")
_row("one_minus", _one_minus)

# nodes made by hand ---------------------------------------------------------------------------


def _by_hand() -> Network:
    a, b = ng.InputNode("a"), ng.InputNode("b")
    h, y = ng.Node("tanh", name="h"), ng.Node("sigmoid", name="y")
    one, w = ng.ConstNode(), ng.Parameter(0.5, name="w")
    ng.Connection(a, h, weight=0.3)
    ng.Connection(b, h, parameter=w)
    ng.Connection(a, y, parameter=w)
    ng.Connection(one, h, weight=0.1)
    ng.Connection(h, y, weight=-1.2, trainable=False)
    ng.Connection(one, y, weight=0.2)
    return Network(inputs=[a, b], outputs=[y])


def _aggregations() -> Network:
    inputs = [ng.InputNode(f"x{k}") for k in range(4)]
    below = inputs
    for depth in range(3):
        nodes = [
            ng.Node("tanh", aggregation, name=f"{aggregation}_{depth}")
            for aggregation in ("sum", "mean", "max", "product")
        ]
        for node in nodes:
            for source in below:
                ng.Connection(source, node, weight=0.5)
        ng.Connection(inputs[depth], nodes[0], weight=0.3)
        below = nodes
    return Network(inputs=inputs, outputs=below)


def _lateral() -> Network:
    a, b = ng.InputNode("a"), ng.InputNode("b")
    h = [ng.Node("tanh", name=f"h{k}", initial=0.2 * k) for k in range(3)]
    y = ng.Node("identity", name="y")
    for k, node in enumerate(h):
        ng.Connection((a, b)[k % 2], node, weight=0.7)
        ng.Connection(h[(k + 1) % 3], node, weight=-0.4, delay=1 + k % 2)
        ng.Connection(node, y, weight=0.5)
    ng.Connection(h[0], h[1], weight=0.3)
    ng.Connection(a, y, weight=0.2, delay=2)
    return Network(inputs=[a, b], outputs=[y])


def _both_ways() -> Network:
    x = ng.InputNode("x")
    past, future = ng.Node("tanh", name="past"), ng.Node("tanh", name="future")
    y = ng.Node("sigmoid", name="y")
    for node, delay in ((past, 1), (future, -1)):
        ng.Connection(x, node, weight=0.8)
        ng.Connection(node, node, weight=-0.5, delay=delay)
        ng.Connection(node, y, weight=1.1)
    return Network(inputs=[x], outputs=[y])


def _convolution_by_hand() -> Network:
    kernel = ng.Parameter(shape=(2, 2, 2), name="kernel")
    pixels = {(r, c): ng.InputNode(position=(r, c, 0)) for r in range(3) for c in range(4)}
    one, bias = ng.ConstNode(), ng.Parameter(shape=(2,), name="bias")
    maps = []
    for row in range(2):
        for column in range(3):
            for channel in range(2):
                node = ng.Node("tanh", position=(row, column, channel))
                for k, (dr, dc) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
                    pixel = pixels[row + dr, column + dc]
                    ng.Connection(pixel, node, parameter=kernel, index=2 * k + channel)
                ng.Connection(one, node, parameter=bias, index=channel)
                maps.append(node)
    return Network(inputs=list(pixels.values()), outputs=maps)


def _pooling_by_hand() -> Network:
    inputs = [ng.InputNode(position=place) for place in np.ndindex(3, 4, 1)]
    pixels = {place: ng.Node("tanh", position=(*place, 0)) for place in np.ndindex(3, 4)}
    for k, pixel in enumerate(pixels.values()):
        ng.Connection(inputs[k], pixel, weight=0.5)
        ng.Connection(inputs[k - 1], pixel, weight=0.5)
    y = ng.Node("sigmoid", name="y")
    for aggregation, rows in (("max", 2), ("mean", 3)):
        for row, column in np.ndindex(4 - rows, 3):
            node = ng.Node("identity", aggregation, position=(row, column, 0))
            for dr, dc in np.ndindex(rows, 2):
                pixel = pixels[row + dr, column + dc]
                ng.Connection(pixel, node, weight=1.0, trainable=False)
            ng.Connection(node, y, weight=0.3)
    return Network(inputs=inputs, outputs=[y])


def _mixed() -> Network:
    x = ng.Input((3,))
    h = ng.Dense(4, activation="tanh")(x)
    y = ng.Dense(2)(h)
    net = Network(inputs=x, outputs=y)
    extra = ng.Node("tanh", name="extra")
    ng.Connection(h[1], extra, weight=0.7)
    ng.Connection(x[2], extra, weight=-0.3)
    ng.Connection(extra, y[0], weight=0.9)
    net.connect(x[0], y[1], weight=0.4)
    return net


_row("handmade", _by_hand, "handmade", loss="sse")
_row("handmade_aggregations", _aggregations, "handmade")
_row("handmade_lateral", _lateral, "handmade", "sequence", "cycle")
_row("handmade_both_ways", _both_ways, "handmade", "sequence", "cycle")
for _kind, _delay in (("simple", 1), ("lstm", 1), ("lstm", -1), ("gru", -1), ("gru_before", 1)):
    _row(
        f"handmade_{_kind}" + ("" if _delay > 0 else "_turned"),
        lambda kind=_kind, delay=_delay: one_cell(kind, 2, 3, delay=delay, initial=True)[0],  # type: ignore[misc]
        *("handmade", "sequence", "cycle"),
    )
_row("handmade_convolution", _convolution_by_hand, "handmade")
_row("handmade_pooling", _pooling_by_hand, "handmade")
_row("handmade_in_library", _mixed, "handmade")

add_recurrent(_row, _stack)

CASES: dict[str, Case] = {case.name: case for case in _ROWS}

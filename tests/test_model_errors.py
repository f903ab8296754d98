"""Bad input is refused in one sentence that names what is wrong, before any weight changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurograph as ng
from neurograph.errors import (
    DataError,
    GraphError,
    NeurographError,
    OptionError,
    ShapeError,
    UnknownNameError,
)
from neurograph.graph.network import Network

X = np.linspace(-1, 1, 15).reshape(5, 3)
Y = np.eye(2)[[0, 1, 0, 1, 0]]


def classifier() -> Network:
    layers = [ng.Input((3,)), ng.Dense(4, activation="relu"), ng.Dense(2, activation="softmax")]
    return Network(layers, seed=0)


def with_value(array: Any, place: tuple[int, ...], value: float) -> Any:
    changed = np.array(array, dtype=np.float64)
    changed[place] = value
    return changed


def refuses(
    kind: type[NeurographError], message: str, net: Network, act: Callable[[], Any]
) -> None:
    """Check the error, and that weights, gradients and the optimizer are as before."""
    before = {name: p.value.copy() for name, p in net.parameters.items()}
    with pytest.raises(kind) as error:
        act()
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    for name, parameter in net.parameters.items():
        np.testing.assert_array_equal(parameter.value, before[name])


INPUTS = {
    "another width": (
        np.zeros((5, 4)),
        ShapeError,
        "takes arrays of shape (samples, 3), got (5, 4)",
    ),
    "one sample": (np.zeros(3), ShapeError, "one sample needs a leading axis: x[None]"),
    "another shape": (np.zeros((5, 3, 1)), ShapeError, "x.reshape(-1, 3) would fit"),
    "a number": (1.0, ShapeError, "got ()"),
    "several": ([X, X], ShapeError, "takes arrays of shape (samples, 3), got (2, 5, 3)"),
    "ragged": ([[1, 2], [1, 2, 3]], ShapeError, "x: sample 1 has shape (3,), sample 0 has (2,)"),
    "ragged within": ([[1, [2, 3]], [1, 2]], ShapeError, "x: sample 0 is ragged itself"),
    "ragged objects": (
        np.array([[1, 2, 3], [4], [5]], dtype=object),
        ShapeError,
        "x: sample 1 has shape (1,), sample 0 has (3,)",
    ),
    "empty samples": (np.zeros((5, 0)), DataError, "x: its samples are empty"),
    "strings": (np.full((5, 3), "a"), DataError, "x: expected numbers, got an array of str"),
    "objects": (np.full((5, 3), None), DataError, "x: expected numbers, got an array of object"),
    "complex numbers": (X + 1j, DataError, "x: expected numbers, got an array of complex128"),
    "dates": (X.astype("M8[s]"), DataError, "x: expected numbers, got an array of datetime64[s]"),
    "nothing": (None, DataError, "x: expected numbers, got an array of object"),
    "no samples": (
        np.zeros((0, 3)),
        DataError,
        "x: there are no samples, the array has shape (0, 3)",
    ),
    "not a number": (with_value(X, (3, 1), np.nan), DataError, "x: sample 3 holds nan at (3, 1)"),
    "infinity": (with_value(X, (2, 0), -np.inf), DataError, "x: sample 2 holds -inf at (2, 0)"),
    "too large": (
        with_value(X, (4, 2), -1e300),
        DataError,
        "x: sample 4 holds -1e+300 at (4, 2), too large for float32",
    ),
    "another name": (
        {"inputs": X},
        UnknownNameError,
        "'inputs' of network 'network': did you mean 'input'?",
    ),
}


@pytest.mark.parametrize("case", INPUTS)
def test_inputs_that_do_not_fit_are_refused_everywhere(case: str) -> None:
    x, kind, message = INPUTS[case]
    net = classifier()
    model = net.compile("adam", "categorical_crossentropy")
    for act in (
        lambda: model.predict(x),
        lambda: model.train_on_batch(x, Y),
        lambda: model.gradients(x, Y),
        lambda: model.evaluate(x, Y),
        lambda: model.inspect(x),
        lambda: model.inspect(x, Y),
    ):
        refuses(kind, message, net, act)
    assert model.update.step == 0


TARGETS = {
    "another count": (Y[:4], ShapeError, "5 samples of x, but 4 of y"),
    "another width": (np.zeros((5, 3)), ShapeError, "do not fit outputs of shape (batch, 2)"),
    "class numbers": (
        np.array([0, 1, 0, 1, 0]),
        ShapeError,
        "for class numbers use sparse_categorical_crossentropy",
    ),
    "no probabilities": (np.full((5, 2), 3.0), DataError, "sample 0 holds 3.0"),
    "nothing at all": (np.zeros((5, 2)), DataError, "the targets of sample 0 add up to 0"),
    "not a number": (with_value(Y, (2, 0), np.nan), DataError, "y: sample 2 holds nan at (2, 0)"),
    "nothing": (None, DataError, "y: expected numbers, got an array of object"),
    "strings": (np.full((5, 2), "b"), DataError, "y: expected numbers, got an array of str"),
}


@pytest.mark.parametrize("case", TARGETS)
def test_targets_that_do_not_fit_are_refused_everywhere(case: str) -> None:
    y, kind, message = TARGETS[case]
    net = classifier()
    model = net.compile("adam", "categorical_crossentropy")
    for act in (
        lambda: model.train_on_batch(X, y),
        lambda: model.gradients(X, y),
        lambda: model.evaluate(X, y),
        lambda: model.inspect(X, y) if y is not None else model.gradients(X, y),
    ):
        refuses(kind, message, net, act)


def test_class_numbers_must_be_classes() -> None:
    net = classifier()
    model = net.compile("sgd", "sparse_categorical_crossentropy")
    for y, message in (
        ([0, 1, 2, 0, 1], "the target of sample 2 is class 2, expected 0 to 1 for 2 outputs"),
        ([0, -1, 0, 0, 1], "the target of sample 1 is class -1"),
        ([0, 1, 0, 0.5, 1], "the target of sample 3 is 0.5, expected a class number"),
    ):
        refuses(DataError, message, net, lambda y=y: model.train_on_batch(X, np.array(y)))


@pytest.mark.parametrize(
    ("weight", "kind", "message"),
    [
        ([1, 2], ShapeError, "sample weights of shape (2,) do not fit 5 samples"),
        ([1, 1, -1, 1, 1], DataError, "sample weights: sample 2 holds -1.0"),
        ([1, np.nan, 1, 1, 1], DataError, "sample_weight: sample 1 holds nan"),
        ("many", DataError, "sample_weight: expected numbers"),
        (np.ones((4, 2)), ShapeError, "do not fit 5 samples"),
        (np.ones((5, 2)), ShapeError, "of shape (5, 2) do not fit 5 samples; give one weight for"),
    ],
)
def test_sample_weights_that_do_not_fit_are_refused(weight: Any, kind: Any, message: str) -> None:
    net = classifier()
    model = net.compile("sgd", "categorical_crossentropy")
    refuses(kind, message, net, lambda: model.train_on_batch(X, Y, sample_weight=weight))
    refuses(kind, message, net, lambda: model.fit(X, Y, sample_weight=weight, verbose=0))
    refuses(kind, message, net, lambda: model.evaluate(X, Y, sample_weight=weight))


def test_sequences_of_another_length_are_refused() -> None:
    fixed = Network([ng.Input((4, 2), sequence=True), ng.Dense(1)])
    model = fixed.compile()
    x, y = np.zeros((3, 4, 2)), np.zeros((3, 4, 1))
    refuses(
        ShapeError,
        "takes sequences of 4 steps, got 5",
        fixed,
        lambda: model.predict(x.repeat(2, 1)[:, :5]),
    )
    free = Network([ng.Input((None, 2)), ng.Dense(1)])
    model = free.compile()
    refuses(ShapeError, "(samples, steps, 2), got (3, 2)", free, lambda: model.predict(x[:, 0]))
    message = "3 steps do not fit outputs of 4"
    refuses(ShapeError, message, free, lambda: model.train_on_batch(x, y[:, :3]))
    refuses(ShapeError, message, free, lambda: model.fit(x, y[:, :3], verbose=0))
    wrong = np.ones((3, 5))
    refuses(
        ShapeError,
        "sample weights of shape (3, 5)",
        free,
        lambda: model.train_on_batch(x, y, sample_weight=wrong),
    )


def test_several_inputs_are_named() -> None:
    a, b = ng.Input((2,), name="a"), ng.Input((3,), name="b")
    net = Network(inputs=[a, b], outputs=ng.Dense(1)(ng.Concatenate()([a, b])))
    model = net.compile()
    one, other = np.zeros((4, 2)), np.zeros((4, 3))
    assert model.predict({"b": other, "a": one}).shape == (4, 1)
    for x, kind, message in (
        (one, ShapeError, "x: give a list of 2 arrays, for 'a', 'b'"),
        ([one], ShapeError, "x: give a list of 2 arrays"),
        ({"a": one}, ShapeError, "x: nothing is given for 'b'"),
        ({"a": one, "c": other}, UnknownNameError, "unknown input 'c' of network 'network'"),
        ([one, other[:3]], ShapeError, "x: 4 samples for 'a', but 3 for 'b'"),
        ([other, one], ShapeError, "input 'a' takes arrays of shape (samples, 2), got (4, 3)"),
    ):
        refuses(kind, message, net, lambda x=x: model.predict(x))


def test_every_output_has_targets_for_all_samples() -> None:
    x = ng.Input((3,))
    net = Network(inputs=x, outputs=[ng.Dense(2, name="p")(x), ng.Dense(1, name="q")(x)])
    model = net.compile()
    y = [np.zeros((5, 2)), np.zeros((3, 1))]
    for act in (
        lambda: model.fit(X, y, verbose=0),
        lambda: model.train_on_batch(X, y),
        lambda: model.evaluate(X, y),
    ):
        refuses(ShapeError, "y: 5 samples for 'p', but 3 for 'q'", net, act)


def test_whole_numbers_are_numbers() -> None:
    """Pictures of bytes, truth values and integers are taken as they are, and cast."""
    net = classifier()
    model = net.compile("sgd", "categorical_crossentropy", dtype="float64")
    x = np.array([[0, 1, 255], [1, 0, 3]])
    expected = model.predict(x.astype(np.float64))
    for dtype in (np.uint8, np.int64, np.float16, np.float32):
        np.testing.assert_array_equal(model.predict(x.astype(dtype)), expected)
    assert model.predict(x > 0).shape == (2, 2)
    assert model.predict(x.tolist()).tolist() == expected.tolist()
    assert np.isfinite(model.predict(np.full((1, 3), 1e39))).all()  # float64 has room for it


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"loss": "mze"}, UnknownNameError, "unknown loss 'mze': did you mean 'mse'?"),
        ({"optimizer": "adan"}, UnknownNameError, "unknown optimizer 'adan': did you mean 'adam'?"),
        ({"metrics": ["acuracy"]}, UnknownNameError, "'acuracy': did you mean 'accuracy'?"),
        ({"metrics": "acuracy"}, UnknownNameError, "'acuracy': did you mean 'accuracy'?"),
        ({"passes": 5}, OptionError, "passes is 5; give a list of names"),
        ({"passes": ["drop_ded"]}, UnknownNameError, "did you mean 'drop_dead'?"),
        ({"loss": 3}, OptionError, "a loss is given by its name, as an object or as a function"),
        ({"optimizer": 3}, OptionError, "an optimizer is given by its name"),
        ({"metrics": [3]}, OptionError, "a metric is given by its name"),
        ({"loss": ["mse", "mse"]}, OptionError, "2 losses for 1 outputs; give one for each"),
        ({"loss_weights": [1, 2]}, OptionError, "2 loss_weights for 1 outputs; give one for each"),
        (
            {"loss": {"p": "mse"}},
            UnknownNameError,
            "unknown output 'p' of network 'network', in losses",
        ),
        (
            {"metrics": {"p": "mae"}},
            UnknownNameError,
            "unknown output 'p' of network 'network', in metrics",
        ),
        ({"metrics": [["mae"], ["mae"]]}, OptionError, "a metric is given by its name"),
        ({"loss_weights": [-1]}, OptionError, "loss_weights must be a number of at least 0"),
        ({"loss_weights": 2}, OptionError, "loss_weights is 2; give a list with one for each"),
        ({"loss_weights": ["a"]}, OptionError, "loss_weights must be a number"),
        ({"dtype": "float16"}, OptionError, "dtype is 'float16'; choose float32 or float64"),
        ({"dtype": "int32"}, OptionError, "choose float32 or float64"),
        ({"dtype": "floot"}, OptionError, "choose float32 or float64"),
        ({"dtype": None}, OptionError, "choose float32 or float64"),
        ({"threads": 0}, OptionError, "threads must be a number of at least 1, got 0"),
        ({"threads": "two"}, OptionError, "threads must be a number"),
        ({"seed": -1}, OptionError, "seed is -1; give a whole number from 0"),
        ({"seed": "x"}, OptionError, "seed is 'x'"),
        ({"optimizer": "sgd(-1)"}, OptionError, "learning_rate must be a number of at least 0"),
    ],
)
def test_options_that_cannot_be_are_refused(options: Any, kind: Any, message: str) -> None:
    net = classifier()
    options = {"loss": "categorical_crossentropy"} | options
    refuses(kind, message, net, lambda: net.compile(**options))


def test_options_may_be_given_in_the_ways_of_numpy() -> None:
    net = classifier()
    for dtype in (np.float64, "f8", float, np.dtype("float64")):
        assert net.compile(dtype=dtype).dtype == "float64"
    assert net.compile(dtype="f4", seed=np.int64(3), threads=1.0).dtype == "float32"


@pytest.mark.parametrize("size", [0, -1, 1.5, "a", True])
def test_batch_sizes_that_cannot_be_are_refused(size: Any) -> None:
    net = classifier()
    model = net.compile(loss="categorical_crossentropy")
    for act in (
        lambda: model.predict(X, batch_size=size),
        lambda: model.evaluate(X, Y, batch_size=size),
    ):
        refuses(OptionError, "batch_size must be a", net, act)


def test_no_batch_size_is_the_usual_one() -> None:
    model = classifier().compile(loss="categorical_crossentropy")
    assert model.predict(X, batch_size=None).tolist() == model.predict(X).tolist()
    assert model.evaluate(X, Y, batch_size=None) == model.evaluate(X, Y)


def test_a_network_is_compiled_by_the_function_as_by_the_method() -> None:
    model = ng.compile(classifier(), "sgd", "categorical_crossentropy", ["accuracy"], "float64")
    assert model.score_names == ["loss", "accuracy"]
    assert model.dtype == "float64"
    with pytest.raises(OptionError, match=r"ng\.compile: give a network, got 5"):
        ng.compile(5)


WRONG_KINDS: dict[str, Callable[[Network], Any]] = {
    "a checkpoint must be a path, got 5": lambda net: net.compile(dtype="float64").fit(
        X, Y, resume=5
    ),
    "ModelCheckpoint: filepath must be a path, got 5": lambda _: ng.ModelCheckpoint(5),
    "CSVLogger: filename must be a path, got 5": lambda _: ng.CSVLogger(5),
    "TensorBoard: log_dir must be a path, got 5": lambda _: ng.TensorBoard(5),
    "EarlyStopping: monitor must be a string, got 5": lambda _: ng.EarlyStopping(5),
    "from_edges: expected a file or a list of edges": lambda _: ng.from_edges(5),
    "from_graphml: the file must be a path, got 5": lambda _: ng.from_graphml(5),
    "a model keeps its optimizer: compile": lambda net: setattr(
        net.compile(dtype="float64"), "optimizer", "sgd"
    ),
    "explain: there is no sample 'a'": lambda net: net.node("dense[0]").explain(sample="a"),
    "explain: limit must be a number": lambda net: net.node("dense[0]").explain(limit="a"),
    "gradient_check: give a network (a model's": lambda net: ng.gradient_check(
        net.compile(dtype="float64"), X, Y
    ),
    "parity_check: give a network": lambda _: ng.parity_check(None, X, Y),
    "did you mean 'complex'?": lambda net: ng.gradient_check(net, X, Y, method="complexx"),
    "gradient_check: tolerance must be": lambda net: ng.gradient_check(net, X, Y, tolerance=-1),
    "parity_check: tolerance must be": lambda net: ng.parity_check(net, X, Y, tolerance="a"),
}


@pytest.mark.parametrize("message", WRONG_KINDS)
def test_what_is_of_the_wrong_kind_is_refused(message: str) -> None:
    net = classifier()
    refuses(NeurographError, message, net, lambda: WRONG_KINDS[message](net))


def test_a_loss_that_does_not_fit_the_output_is_refused() -> None:
    plain = Network([ng.Input((3,)), ng.Dense(2)])
    for loss in ("categorical_crossentropy", "binary_crossentropy"):
        with pytest.raises(
            OptionError, match="use a softmax or sigmoid activation, or from_logits"
        ):
            plain.compile(loss=loss)
    through = Network([ng.Input((3,)), ng.Dense(3), ng.Reshape((3, 1)), ng.Flatten()])
    with pytest.raises(OptionError, match="cannot judge outputs of activation 'identity'"):
        through.compile(loss="categorical_crossentropy")
    node = ng.Node("identity", name="out")
    ng.Connection(ng.InputNode("in"), node, weight=1.0)
    hand = Network(inputs=[node.upstream[0].upstream_node], outputs=[node])
    with pytest.raises(OptionError, match="cannot judge outputs of activation 'identity'"):
        hand.compile(loss="binary_crossentropy")
    single = Network([ng.Input((3,)), ng.Dense(1, activation="sigmoid")])
    for loss, y in (
        ("categorical_crossentropy", np.ones((5, 1))),
        ("sparse_categorical_crossentropy", np.zeros(5)),
    ):
        model = single.compile(loss=loss)
        refuses(
            ShapeError,
            "needs one output for each class",
            single,
            lambda model=model, y=y: model.train_on_batch(X, y),
        )


def test_probabilities_may_be_passed_on_and_averaged() -> None:
    x = ng.Input((3,))
    votes = [ng.Dense(2, activation="softmax")(x) for _ in range(2)]
    net = Network(inputs=x, outputs=ng.Average()(votes), seed=0)
    model = net.compile("sgd", "categorical_crossentropy", dtype="float64")
    loss = -np.log((model.predict(X) * Y).sum(axis=1)).mean()
    assert model.evaluate(X, Y) == pytest.approx(loss, rel=1e-12)
    with pytest.raises(OptionError, match="cannot judge outputs of activation 'softmax'"):
        net.compile(loss=ng.CategoricalCrossentropy(from_logits=True))


def test_an_unknown_activation_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown activation 'rellu': did you mean 'relu'"):
        ng.Dense(3, activation="rellu")
    with pytest.raises(UnknownNameError, match="did you mean 'tanh'"):
        ng.Node("tahn")


# graphs that cannot be compiled ---------------------------------------------------------------


def test_a_connection_that_would_lose_time_is_refused() -> None:
    x = ng.Input((None, 2), name="x")
    still = ng.Input((3,), name="still")
    h = ng.Dense(2, name="h")(still)
    y = ng.Add()([ng.Dense(2)(x), h])
    net = Network(inputs=[x, still], outputs=y)
    count = len(net.connections)
    with pytest.raises(GraphError, match=r"x\[0\] -> h\[1\]: 'h' has no time axis and cannot read"):
        net.connect("x[0]", "h[1]", weight=0.5)
    with pytest.raises(GraphError, match=r"'h' has no time axis, so a delay means nothing"):
        net.connect("still[0]", "h[1]", weight=0.5, delay=1)
    assert len(net.connections) == count
    model = net.compile(loss="mse")
    assert model.predict([np.zeros((2, 4, 2)), np.zeros((2, 3))]).shape == (2, 4, 2)


def test_hand_made_nodes_that_read_a_sequence_have_time() -> None:
    x = ng.Input((None, 2), name="x")
    net = Network(inputs=x, outputs=ng.Dense(1, name="y")(x), seed=0)
    extra = ng.Node("tanh", name="extra")
    ng.Connection(net.node("x[1]"), extra, weight=0.7)
    ng.Connection(extra, net.node("y[0]"), weight=0.5)
    values = np.random.default_rng(0).normal(size=(2, 4, 2))
    model = net.compile(dtype="float64")
    expected = values @ net.parameters["y/kernel"].value + 0.5 * np.tanh(0.7 * values[..., 1:])
    np.testing.assert_allclose(model.predict(values), expected, rtol=1e-12)
    np.testing.assert_allclose(net.predict(values, explicit=True), expected, rtol=1e-12)
    assert extra.output.shape == (2, 4)


def test_an_input_that_nothing_feeds_is_named() -> None:
    a, b, y = ng.InputNode("a"), ng.InputNode("b"), ng.Node("tanh", name="y")
    for each in (a, b):
        ng.Connection(each, y, weight=1.0)
    net = Network(inputs=[a], outputs=[y])
    with pytest.raises(GraphError, match="'b' is an input that is not among the inputs"):
        net.compile().predict(np.zeros((1, 1)))


@pytest.mark.parametrize("aggregation", ["mean", "max", "product"])
def test_a_node_without_connections_that_needs_some_is_named(aggregation: str) -> None:
    a, y = ng.InputNode("a"), ng.Node("tanh", name="y")
    lonely, other = (ng.Node("tanh", aggregation, name=name) for name in ("lonely", "other"))
    for up, down in ((a, y), (a, other), (other, y), (lonely, y)):
        ng.Connection(up, down, weight=1.0)
    net = Network(inputs=[a], outputs=[y])
    with pytest.raises(GraphError, match=f"lonely: a node that takes the {aggregation} needs"):
        net.compile().predict(np.zeros((1, 1)))

"""The layers as graphs: every row of the table of cases, and what the recipes promise."""

import json

import numpy as np
import pytest
from by_edges import outputs_of
from cases import CASES

import neurograph as ng
from neurograph.graph.temporal import BridgeConnections
from neurograph.interpret import forward

RECIPES = [name for name, home in ng._HOME.items() if home.startswith("layers.")]
ACYCLIC = [name for name, case in CASES.items() if not case.tags & {"cycle", "handmade"}]


@pytest.fixture(scope="module")
def recipes_used():
    nets = [case.build() for case in CASES.values()]
    return {layer.config.get("recipe") for net in nets for layer in net.all_layers}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_public_layer_has_a_row_in_the_table(recipe, recipes_used):
    assert recipe in recipes_used, f"add a row for {recipe} to tests/cases.py"


@pytest.mark.parametrize("name", CASES)
def test_bundles_tell_the_same_edges_from_above_from_below_and_at_once(name):
    net = CASES[name].network()
    for bundle in net.bundles:
        ups, downs, addresses = bundle.edges()
        assert len(bundle) == len(ups)
        whole = list(zip(ups.tolist(), downs.tolist(), addresses.tolist(), strict=True))
        assert whole == sorted(whole)
        below = [
            (up, down, address)
            for up in range(bundle.source.size)
            for down, address in zip(*map(np.ndarray.tolist, bundle.out_of(up)), strict=True)
        ]
        assert below == whole
        above = [
            (up, down, address)
            for down in range(bundle.target.size)
            for up, address in zip(*map(np.ndarray.tolist, bundle.into(down)), strict=True)
        ]
        assert sorted(above) == whole
        size = 1 if bundle.parameter is None else bundle.parameter.size
        assert not whole or (addresses.min() >= 0 and addresses.max() < size)


@pytest.mark.parametrize("name", CASES)
def test_a_connection_is_one_object_seen_from_both_its_ends(name):
    net = CASES[name].network()
    assert len(net.connections) == sum(1 for _ in net.connections)
    for layer in net.all_layers:
        for node in [layer.own_node(0), layer.own_node(layer.size - 1)]:
            for connection in [*node.upstream][:50]:
                assert connection.downstream_node is node
                assert any(each is connection for each in connection.upstream_node.downstream)


@pytest.mark.parametrize("name", CASES)
def test_the_layers_are_those_that_were_given_and_not_their_parts(name):
    net = CASES[name].network()
    rows = net.summary(show=False).rows
    assert {layer.name for layer in net.layers} == {row.name for row in rows}
    grown = any("@" in layer.name for layer in net.layers)  # a tree's copies have no whole
    assert grown or not any(layer.role in ("const", "noise") for layer in net.layers)


@pytest.mark.parametrize("name", ACYCLIC)
def test_the_node_by_node_run_calculates_what_the_edges_say(name):
    net = CASES[name].network()
    x, _ = CASES[name].data(net)
    for ours, expected in zip(forward(net, x), outputs_of(net, x), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_options_are_plain_data(name):
    for layer in CASES[name].build().all_layers:
        assert json.loads(json.dumps(layer.config)) == layer.config


def test_bridges_do_not_give_up_single_connections():
    net = CASES["fold_and_step"].network()
    for bundle in net.bundles:
        if isinstance(bundle, BridgeConnections):
            with pytest.raises(ng.GraphError, match="between time and space cannot be removed"):
                bundle.connections_into(0)[0].remove()


# sharing, names, parameters -------------------------------------------------------------------


def test_a_recipe_called_twice_shares_its_weights():
    a, b, eye = ng.Input((3,)), ng.Input((3,)), ng.Conv1D(2, 2, name="eye")
    one, two = eye(ng.Reshape((3, 1))(a)), eye(ng.Reshape((3, 1))(b))
    net = ng.Network(inputs=[a, b], outputs=[one, two])
    assert [one.name, two.name] == ["eye", "eye_1"]
    assert one.parameters["kernel"] is two.parameters["kernel"]
    assert list(net.parameters) == ["eye/kernel", "eye/bias"]
    one[0, 0].upstream[0].weight = 0.625
    assert two[1, 0].upstream[0].weight == 0.625
    with pytest.raises(
        ng.ShapeError, match=r"'eye': called again, its kernel of shape \(2, 1, 2\)"
    ):
        eye(ng.Input((4, 3)))


def test_connections_of_a_convolution_are_the_weights_of_its_kernel():
    net = ng.Network([ng.Input((5, 6, 2)), ng.Conv2D(3, (2, 3), padding="same", name="conv")])
    kernel = net.parameters["conv/kernel"].value
    node = net.layer("conv")[2, 3, 1]
    seen = {each.upstream_node.label: each.weight for each in node.upstream}
    assert seen["input[2, 2, 0]"] == kernel[0, 0, 0, 1]
    assert seen["input[3, 4, 1]"] == kernel[1, 2, 1, 1]
    assert seen["conv/const"] == net.parameters["conv/bias"].value[1] == 0.0
    assert len(seen) == 2 * 3 * 2 + 1
    corner = net.layer("conv")[4, 0, 0]
    assert len(corner.upstream) == 1 * 2 * 2 + 1


def test_weights_are_drawn_as_keras_draws_them():
    net = ng.Network([ng.Input((10, 10, 8)), ng.Conv2D(16, 5), ng.BatchNormalization()], seed=0)
    kernel, bias, gamma, beta, mean, variance = net.get_weights()
    limit = np.sqrt(6 / (25 * 8 + 25 * 16))
    assert 0.99 * limit < abs(kernel).max() < limit
    assert not bias.any()
    assert not beta.any()
    assert not mean.any()
    assert (gamma == 1).all()
    assert (variance == 1).all()
    trainable = [name for name, each in net.parameters.items() if each.trainable]
    assert trainable == [
        "conv2d/kernel", "conv2d/bias", "batch_normalization/gamma", "batch_normalization/beta",
    ]  # fmt: skip


def test_options_reach_the_parameters():
    layer = ng.Dense(
        2, kernel_initializer="ones", bias_initializer=0.5, kernel_regularizer="l2(0.1)",
        trainable=False,
    )(ng.Input((3,)))  # fmt: skip
    kernel, bias = layer.parameters.values()
    assert kernel.value.tolist() == [[1, 1]] * 3
    assert bias.value.tolist() == [0.5, 0.5]
    assert kernel.regularizer.l2 == 0.1
    assert bias.regularizer is None
    assert not kernel.trainable
    assert not bias.trainable


def test_set_weights_is_the_inverse_of_get_weights_and_changes_nothing_when_it_fails():
    net, twin = CASES["residual"].network(1), CASES["residual"].network(2)
    twin.set_weights(net.get_weights())
    for name, parameter in twin.parameters.items():
        assert (parameter.value == net.parameters[name].value).all()
    weights = [each + 1 for each in net.get_weights()]
    for wrong, message in (
        (weights[:-1], "got 13 arrays of weights, it has 14: conv2d/kernel, conv2d/bias"),
        ([*weights[:-1], weights[-1][:-1]], r"'dense/bias' has shape \(3,\), got .* \(2,\)"),
        ([*weights[:-1], weights[-1] * np.nan], "the weights for 'dense/bias' are not finite"),
    ):
        with pytest.raises(ng.NeurographError, match=message):
            twin.set_weights(wrong)
        assert (
            twin.parameters["conv2d/kernel"].value == net.parameters["conv2d/kernel"].value
        ).all()


# sequences ------------------------------------------------------------------------------------


def test_sequences_keep_their_length_through_layers_that_work_step_by_step():
    x = ng.Input((6, 4), sequence=True)
    h = ng.Dropout(0.5)(ng.LayerNormalization()(ng.Dense(3)(x)))
    assert (h.sequence, h.steps, h.shape) == (True, 6, (3,))
    assert h.parts["noise"].steps == 6
    flat = ng.Flatten()(h)
    assert (flat.sequence, flat.shape) == (False, (18,))
    image = ng.Conv1D(2, 3)(h)
    assert (image.sequence, image.shape, list(image.parts)) == (False, (4, 2), ["unfold", "const"])
    assert ng.Input((6, 4)).sequence is False
    assert ng.Input((None,)).shape == ()


# summary --------------------------------------------------------------------------------------


def test_the_summary_is_a_table():
    x = ng.Input((None, 4))
    eye = ng.Dense(3, activation="tanh", name="eye")
    h = ng.Add()([eye(x), eye(ng.Dense(4, trainable=False)(x))])
    net = ng.Network(inputs=x, outputs=ng.Dropout(0.5)(h), name="shared")
    assert str(net.summary(show=False)) == "\n".join(
        [
            "shared",
            "layer                output shape   parameters   connections   connected to",
            "───────────────────────────────────────────────────────────────────────────",
            "input (Input)        (time, 4)               0             0",
            "eye (Dense, tanh)    (time, 3)              15            15   input",
            "dense (Dense)        (time, 4)              20            20   input",
            "eye_1 (Dense, tanh)  (time, 3)          shared            15   dense",
            "add (Add)            (time, 3)               0             6   eye, eye_1",
            "dropout (Dropout)    (time, 3)               0             6   add",
            "───────────────────────────────────────────────────────────────────────────",
            "35 parameters (140 bytes in float32), 15 trainable, 20 not; 62 connections",
        ]
    )


def test_the_summary_counts_nodes_made_by_hand_and_is_printed(capsys):
    summary = CASES["handmade"].build().summary()
    assert capsys.readouterr().out == f"{summary}\n"
    assert "nodes (made by hand)" in str(summary)
    assert (summary.parameters, summary.trainable, summary.connections) == (5, 4, 6)
    assert repr(summary) == "<Summary of 'network': 1 layers>"


# what cannot be -------------------------------------------------------------------------------

IMAGE = (3, 4, 2)
REFUSED = [
    (lambda: ng.Conv2D(4, 5, name="c")(ng.Input(IMAGE, name="photo")), ng.ShapeError,
     r"Conv2D 'c' on 'photo' of shape \(3, 4, 2\): a window of 5x5 cells does not fit into 3x4; "),
    (lambda: ng.Conv2D(4, 2, groups=3)(ng.Input(IMAGE)), ng.OptionError,
     "3 groups do not divide 2 channels into 4 filters"),
    (lambda: ng.Conv2D(4, 2)(ng.Input((3, 4))), ng.ShapeError,
     r"'input' has shape .*, expected \(height, width, channels\); ng.Reshape\(\(3, 4, 1\)\)"),
    (lambda: ng.Conv2D(4, (2, 2, 2)), ng.OptionError, "kernel_size is .* one or two sizes"),
    (lambda: ng.Conv2D(0, 2), ng.OptionError, "Conv2D: filters must be .* at least 1, got 0"),
    (lambda: ng.Conv2D(2, 2, strides=0), ng.OptionError, "strides must be .* at least 1, got 0"),
    (lambda: ng.Conv2D(2, 2, padding="sme"), ng.OptionError, "padding is 'sme'; give 'valid'"),
    (lambda: ng.Conv2D(2, 2, padding=-1), ng.OptionError, "padding is -1; give 'valid'"),
    (lambda: ng.Conv1D(2, 2, padding=(1, 2, 3)), ng.OptionError, r"padding is \(1, 2, 3\); give"),
    (lambda: ng.Conv1D(2, 2)(ng.Input((None, 3))), ng.ShapeError,
     "the number of time steps of 'input' is not known"),
    (lambda: ng.MaxPooling2D(5)(ng.Input(IMAGE)), ng.ShapeError,
     r"MaxPooling2D on 'input' of shape \(3, 4, 2\): a window of 5x5 cells"),
    (lambda: ng.MaxPooling2D(2, padding=2)(ng.Input(IMAGE)), ng.ShapeError,
     "input -> max_pooling2d: with padding .* lies wholly outside"),
    (lambda: ng.Flatten()(ng.Input((None, 3))), ng.ShapeError, "Flatten: the number of time steps"),
    (lambda: ng.Reshape((5, -1))(ng.Input((12,))), ng.ShapeError,
     r"'input' of shape \(12,\) has 12 nodes, which do not fill shape \(5, -1\)"),
    (lambda: ng.Reshape((-1, -1)), ng.OptionError, "at most one of them -1"),
    (lambda: ng.ZeroPadding2D("same"), ng.OptionError, "give numbers of cells"),
    (lambda: ng.Add(name="sum")([ng.Input((3,), name="a"), ng.Input((4,), name="b")]),
     ng.ShapeError, r"Add 'sum': 'a' of shape \(3,\) and 'b' of shape \(4,\) have different"),
    (lambda: ng.Add()(ng.Input((3,))), ng.GraphError, "call it on a list of layers"),
    (lambda: ng.Concatenate()([ng.Input((3, 4)), ng.Input((2, 4))]), ng.ShapeError,
     r"'input' of shape \(3, 4\) and 'input' of shape \(2, 4\) differ along another axis than -1"),
    (lambda: ng.Concatenate(axis=1)([ng.Input((None, 4))] * 2), ng.OptionError,
     "axis 1 is not an axis of .* choose one of -1, 2 .axis 0 is the batch, axis 1 time"),
    (lambda: ng.Add()([ng.Input((5, 2), sequence=True), ng.Input((6, 2), sequence=True)]),
     ng.ShapeError, "'input' has 5 steps of time, 'input' has 6"),
    (lambda: ng.BatchNormalization(axis=3)(ng.Input((4, 5))), ng.OptionError, "axis 3 is not an"),
    (lambda: ng.LayerNormalization(axis=())(ng.Input((4,))), ng.OptionError, "axis is empty"),
    (lambda: ng.Dropout(1.0), ng.OptionError, "Dropout: rate must be .* below 1, got 1.0"),
    (lambda: ng.LeakyReLU(-0.1), ng.OptionError, "negative_slope must be a number of at least 0"),
    (lambda: ng.Dense(2.5), ng.OptionError, "Dense: units must be a whole number, got 2.5"),
    (lambda: ng.Dense(2, activation="rleu"), ng.UnknownNameError, "did you mean 'relu'"),
    (lambda: ng.Dense(2, kernel_initializer="he"), ng.UnknownNameError, "unknown initializer 'he'"),
    (lambda: ng.Dense(2)(3), ng.GraphError, "Dense: called on 3; call it on one layer"),
    (lambda: ng.Dense(2)([ng.Input((3,))]), ng.GraphError, "call it on one layer"),
    (lambda: ng.Dense(2)(ng.Input((None,))), ng.ShapeError, "has a single number for a sample"),
    (lambda: ng.Input((3, None)), ng.ShapeError, "only the first may be None"),
    (lambda: ng.Input((0, 3)), ng.ShapeError, r"Input\(\(0, 3\)\): size must be"),
    (lambda: ng.Input(()), ng.ShapeError, "give every size"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "error", "message"), REFUSED)
def test_what_cannot_be_is_refused_in_one_sentence(build, error, message):
    with pytest.raises(error, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)

"""Every layer against Keras itself, where it is installed: outputs, gradients, order of weights.

Keras calculates products in float32 even when told otherwise, hence the tolerance.
"""

import numpy as np
import pytest
from by_edges import outputs_of
from cases import CASES

import neurograph as ng
from neurograph.interpret import backward, calc_gradients, forward
from neurograph.layers.weights import ordered_parameters

LIKE_KERAS = {
    "identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "softplus", "swish",
    "hard_sigmoid", "softmax",
}  # fmt: skip
# what Keras does not have, or does otherwise on PyTorch (averages with padding "same")
NOT_KERAS = {
    "conv2d_padding", "conv2d_sides", "conv1d_groups", "max_pooling2d_padding", "residual",
    "add_over_time", "average_pooling2d_same", "average_pooling1d",
    "local_response", "local_response_few",
    "one_minus", "pruned", "pruned_thin", "recursive", "recursive_nodes", "child_sum_tree_lstm",
    "repeated_each",
}  # fmt: skip
# cycles whose layers Keras has; those with states are in test_layers_recurrent and test_stateful
RECURRENT = ("simple_rnn", "lstm", "gru", "bidirectional", "masking", "embedding", "repeat_vector")
NOT_KERAS_RECURRENT = ("states", "states_backwards", "state", "stateful", "apart")


def twin(keras, net):
    """Return a Keras model with the same layers, options and names."""
    made, tensors = {}, {}
    for layer in net.all_layers:
        if layer.root is not None:
            continue
        if layer.role == "input":
            time = (layer.steps,) if layer.sequence else ()
            tensors[id(layer)] = keras.Input((*time, *layer.shape), name=layer.name)
            continue
        key = id(next(iter(layer.parameters.values()), layer))
        if key not in made:
            made[key] = keras_layer(keras, layer)
        parts = [each for each in net.all_layers if each.top is layer]
        sources = [
            tensors[id(bundle.source.top)]
            for part in parts
            for bundle in part.incoming
            if bundle.source.top is not layer
        ]
        once = list({id(each): each for each in sources}.values())
        merging = layer.config["recipe"] in ("Add", "Multiply", "Average", "Maximum", "Concatenate")
        tensors[id(layer)] = made[key](sources if merging else once[0])
    return keras.Model(
        [tensors[id(port.layer)] for port in net.inputs],
        [tensors[id(port.layer)] for port in net.outputs],
    )


def keras_layer(keras, layer):
    kind, options = keras_options(keras, layer.config)
    trainable = not getattr(layer.function, "frozen", False)
    return kind(**options, name=layer.name, trainable=trainable)


def keras_options(keras, config):
    ours = ("recipe", "cell", "delay", "forward", "backward")
    options = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in config.items()
        if key not in ours and not key.endswith(("_initializer", "_regularizer"))
    }
    if options.get("activation") == "identity":
        options["activation"] = "linear"
    inner = {"layer": options.get("layer") or config.get("forward")}
    inner["backward_layer"] = config.get("backward")
    for key, value in inner.items():
        if value is not None:
            kind, own = keras_options(keras, value)
            options[key] = kind(**own)
    return getattr(keras.layers, config["recipe"]), options


def has_keras_twin(case):
    name = case.name.removeprefix("activation_")
    if name.startswith(RECURRENT):
        return not name.endswith(NOT_KERAS_RECURRENT)
    if case.tags & {"handmade", "cycle"} or case.name in NOT_KERAS or "tutorial" in case.name:
        return False
    return case.name == name or name in LIKE_KERAS


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if has_keras_twin(case)])
def test_outputs_gradients_and_moving_statistics_are_those_of_keras(keras_float64, name):
    case, net = CASES[name], CASES[name].network()
    x, weights = case.data(net)
    xs, weights = as_list(x), as_list(weights)
    model = twin(keras_float64, net)
    model.set_weights(net.get_weights())
    found = forward(net, x) if "cycle" in case.tags else outputs_of(net, x)
    for ours, theirs in zip(found, as_list(model(xs)), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-5, atol=2e-6)
    if "noise" not in case.tags:
        train_twice(net, model, x, weights)


def train_twice(net, model, x, weights):
    """Compare two training passes; the error is the sum of the outputs times the weights."""
    torch = pytest.importorskip("torch")
    for _ in range(2):
        given = [torch.tensor(each, requires_grad=True) for each in as_list(x)]
        outputs = as_list(model(given, training=True))
        model.zero_grad()
        sum((y * torch.tensor(w)).sum() for y, w in zip(outputs, weights, strict=True)).backward()
        forward(net, x, training=True)
        backward(net, weights)
        calc_gradients(net)
        for layer in net.all_layers:
            if hasattr(layer.function, "update_moving"):
                layer.function.update_moving(layer.net)
    for port, tensor in zip(net.inputs, given, strict=True):
        if tensor.grad is None:  # an index
            assert not port.layer.delta.any()
            continue
        np.testing.assert_allclose(-port.layer.delta, tensor.grad.numpy(), rtol=1e-4, atol=2e-5)
    for parameter, variable in zip(ordered_parameters(net).values(), model.weights, strict=True):
        value = variable.value.detach().numpy()
        np.testing.assert_allclose(parameter.value, value, rtol=1e-5, atol=2e-6)
        if parameter.trainable:
            gradient = variable.value.grad.numpy()
            np.testing.assert_allclose(parameter.gradient, gradient, rtol=1e-4, atol=2e-5)


def as_list(values):
    return list(values) if isinstance(values, (list, tuple)) else [values]


@pytest.mark.parametrize("name", ["googlenet_cifar", "resnet18_cifar", "residual"])
def test_weights_come_in_the_order_of_keras(keras_float64, name):
    if name == "residual":
        net = CASES[name].build()
        for layer in net.all_layers:
            if layer.kind == "conv2d":
                layer.config["padding"] = "same"
    else:
        net = ng.zoo.get(name)()
        for layer in net.all_layers:
            if layer.kind == "conv2d":
                layer.config["padding"] = "same"
    names = [weight.path for weight in twin(keras_float64, net).weights]
    assert list(ordered_parameters(net)) == names

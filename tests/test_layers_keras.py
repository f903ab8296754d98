"""Every layer against Keras itself, where it is installed: outputs and the order of weights.

Keras calculates products in float32 even when told otherwise, hence the tolerance.
"""

import warnings

import numpy as np
import pytest
from by_edges import outputs_of
from cases import CASES

import neurograph as ng
from neurograph.layers.weights import ordered_parameters, top

LIKE_KERAS = {
    "identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "softplus", "swish",
    "hard_sigmoid", "softmax",
}  # fmt: skip
# what Keras does not have, or does otherwise on PyTorch (averages with padding "same")
NOT_KERAS = {
    "conv2d_padding", "conv2d_sides", "conv1d_groups", "max_pooling2d_padding", "residual",
    "add_over_time", "average_pooling2d_same", "average_pooling1d",
    "one_minus", "pruned",
}  # fmt: skip


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    """Yield Keras on PyTorch in float64, loaded only when a test of this file runs."""
    pytest.importorskip("torch")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        found = pytest.importorskip("keras")
    if found.backend.backend() != "torch":
        pytest.skip("Keras was loaded with another backend")
    before = found.config.floatx()
    found.config.set_floatx("float64")
    found.config.set_dtype_policy("float64")
    yield found
    found.config.set_floatx(before)
    found.config.set_dtype_policy(before)


def twin(keras, net):
    """Return a Keras model with the same layers, options and names."""
    made, tensors = {}, {}
    for layer in net.layers:
        if layer.root is not None:
            continue
        if layer.role == "input":
            time = (layer.steps,) if layer.sequence else ()
            tensors[id(layer)] = keras.Input((*time, *layer.shape), name=layer.name)
            continue
        key = id(next(iter(layer.parameters.values()), layer))
        if key not in made:
            made[key] = keras_layer(keras, layer)
        parts = [layer, *layer.parts.values()]
        sources = [
            tensors[id(top(bundle.source))]
            for part in parts
            for bundle in part.incoming
            if top(bundle.source) is not layer
        ]
        once = list({id(each): each for each in sources}.values())
        merging = layer.config["recipe"] in ("Add", "Multiply", "Average", "Maximum", "Concatenate")
        tensors[id(layer)] = made[key](sources if merging else once[0])
    return keras.Model(
        [tensors[id(port.layer)] for port in net.inputs],
        [tensors[id(port.layer)] for port in net.outputs],
    )


def keras_layer(keras, layer):
    options = {
        key: value
        for key, value in layer.config.items()
        if key != "recipe" and not key.endswith(("_initializer", "_regularizer"))
    }
    if options.get("activation") == "identity":
        options["activation"] = "linear"
    lists = {key: tuple(value) for key, value in options.items() if isinstance(value, list)}
    kind = getattr(keras.layers, layer.config["recipe"])
    return kind(**{**options, **lists}, name=layer.name)


def has_keras_twin(case):
    name = case.name.removeprefix("activation_")
    if case.tags & {"handmade", "cycle"} or case.name in NOT_KERAS or "tutorial" in case.name:
        return False
    return case.name == name or name in LIKE_KERAS


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if has_keras_twin(case)])
def test_a_network_gives_the_numbers_of_its_keras_twin(keras, name):
    net = CASES[name].network()
    x, _ = CASES[name].data(net)
    model = twin(keras, net)
    model.set_weights(net.get_weights())
    expected = model(x if isinstance(x, list) else [x])
    expected = expected if isinstance(expected, (list, tuple)) else [expected]
    for ours, theirs in zip(outputs_of(net, x), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["googlenet_cifar", "resnet50_cifar", "residual"])
def test_weights_come_in_the_order_of_keras(keras, name):
    if name == "residual":
        net = CASES[name].build()
        for layer in net.layers:
            if layer.kind == "conv2d":
                layer.config["padding"] = "same"
    else:
        net = ng.zoo.get(name)()
        for layer in net.layers:
            if layer.kind == "conv2d":
                layer.config["padding"] = "same"
    names = [weight.path for weight in twin(keras, net).weights]
    assert list(ordered_parameters(net)) == names

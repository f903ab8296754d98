"""Exported networks give onnxruntime's numbers; what cannot be said in ONNX is refused."""

import numpy as np
import pytest
from cases import CASES

import neurograph as ng
from neurograph.graph.bundles import BiasConnections, OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.storage.onnx_export import to_onnx

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

# but for nodes made by hand
LIBRARY = [name for name, case in CASES.items() if "handmade" not in case.tags]


def as_list(x):
    return list(x) if isinstance(x, (list, tuple)) else [x]


def session_of(source):
    return runtime.InferenceSession(source, providers=["CPUExecutionProvider"])


def run(session, xs):
    feeds = zip(session.get_inputs(), xs, strict=True)
    return session.run(None, {each.name: np.asarray(x, np.float32) for each, x in feeds})


def agree(net, x):
    """Export a network and run it; return the kinds of its operators."""
    proto = to_onnx(net)
    onnx.checker.check_model(proto, full_check=True)
    theirs = run(session_of(proto.SerializeToString()), as_list(x))
    ours = as_list(net.compile(dtype="float64").predict(x))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(other, mine, rtol=1e-5, atol=1e-5 * max(1, abs(mine).max()))
    return [node.op_type for node in proto.graph.node]


@pytest.mark.parametrize("name", LIBRARY)
def test_every_layer_gives_the_same_numbers(name):
    net = CASES[name].network()
    agree(net, CASES[name].data(net)[0])


def test_recurrent_layers_are_operators_and_other_loops_are_scans():
    for recipe in (ng.SimpleRNN, ng.LSTM, ng.GRU):
        kind = {"SimpleRNN": "RNN"}.get(recipe.__name__, recipe.__name__)
        net = ng.Network([ng.Input((None, 3)), recipe(4), ng.Dense(2)], seed=1)
        x = np.random.default_rng(0).normal(size=(2, 5, 3))
        assert agree(net, x) == ["Transpose", kind, "Squeeze", "Gemm", "Identity"]
        proto = to_onnx(net)
        assert [each.dim_param for each in proto.graph.input[0].type.tensor_type.shape.dim][:2] == [
            "batch",
            "steps",
        ]
    gates = ng.Network([ng.Input((None, 3)), ng.LSTM(4), ng.Dense(2)], seed=1)
    gates.layer("lstm").gate("forget").activation = "hard_sigmoid"
    assert "Scan" in agree(gates, x)
    odd = ng.Network([ng.Input((None, 3)), ng.GRU(4, "gelu", return_sequences=True)], seed=1)
    assert "Scan" in agree(odd, x)
    gates = ng.Network([ng.Input((None, 3)), ng.LSTM(4, return_sequences=True)], seed=1)
    gates.layer("lstm").gate("cell").activation = "tanh"
    assert "Scan" in agree(gates, x)
    steps = ng.Input((None, 3))
    lstm = ng.LSTM(4, return_sequences=True)(steps)
    read = ng.Network(inputs=steps, outputs=[lstm, ng.Dense(2)(lstm.gate("cell"))], seed=1)
    assert "Scan" in agree(read, x)
    steps = ng.Input((None, 3))
    twice = ng.LSTM(4, return_sequences=True)(steps)
    OneToOneConnections(twice.gate("keep"), twice.gate("cell"))
    joined = ng.Network(inputs=steps, outputs=twice, seed=1)
    assert "Scan" in agree(joined, x)


@pytest.mark.parametrize("shape", [(4,), (3, 4, 2), (None, 4)])
def test_a_layer_fed_by_its_bias_alone_has_it_for_every_sample(shape):
    x, one = ng.Input(shape), Layer((1,), kind="const", role="const")
    fixed = Layer(x.shape, kind="fixed", activation="tanh", sequence=x.sequence)
    fixed.parameters["bias"] = bias = ng.Parameter([0.3, -0.5] * (shape[-1] // 2), name="bias")
    one.root, fixed.parts["const"] = fixed, one
    BiasConnections(one, fixed, bias, channels=shape[-1])
    other = ng.Conv2D(2, 3, padding="same")(x) if len(shape) == 3 else x
    net = ng.Network(inputs=x, outputs=ng.Add()([fixed, other]))
    agree(net, np.random.default_rng(0).normal(size=(3, *(each or 5 for each in shape))))


def test_normalisation_after_a_convolution_needs_no_transpose_of_its_own():
    layers = [ng.Conv2D(4, 3), ng.LayerNormalization(axis=[-3, -1]), ng.LayerNormalization()]
    net = ng.Network([ng.Input((6, 5, 3)), *layers, ng.Conv2D(2, 2)], seed=1)
    kinds = agree(net, np.random.default_rng(0).normal(size=(2, 6, 5, 3)))
    assert kinds.count("Transpose") == 2


@pytest.mark.parametrize("name", ["lenet5", "resnet18_cifar", "googlenet_cifar"])
def test_networks_of_the_zoo_run_elsewhere(name, tmp_path):
    net = getattr(ng.zoo, name)(seed=1)
    model = net.compile()
    model.export(tmp_path / "net.onnx")
    session = session_of(str(tmp_path / "net.onnx"))
    assert session.get_inputs()[0].shape == ["batch", *net.inputs[0].shape]
    assert session.get_outputs()[0].name == net.outputs[0].name
    x = np.random.default_rng(2).normal(size=(2, *net.inputs[0].shape)).astype(np.float32)
    np.testing.assert_allclose(run(session, [x])[0], model.predict(x), rtol=1e-5, atol=1e-5)
    kinds = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
    assert kinds.count("Transpose") <= 2  # once on the way in, once at most before flattening


def test_removed_connections_stay_removed():
    net = ng.Network([3, 4, 2], seed=0)
    net.prune(0.05)
    x = np.random.default_rng(0).normal(size=(3, 3))
    theirs = run(session_of(to_onnx(net).SerializeToString()), [x])[0]
    np.testing.assert_allclose(theirs, net.compile().predict(x), rtol=1e-5)


def test_what_has_no_counterpart_is_named_and_nothing_is_written(tmp_path):
    path = tmp_path / "net.onnx"
    a, b = ng.InputNode("a"), ng.Node("tanh", name="b")
    ng.Connection(a, b, weight=0.5)
    ng.register_activation("wavelet", np.cos, lambda net, _: -np.sin(net))
    refused = {
        "made by hand": ng.Network(inputs=[a], outputs=[b]),
        "activation 'wavelet' has no": ng.Network([ng.Input((5, 2)), ng.LSTM(3, "wavelet")]),
        "goes along trees": ng.Network([ng.Input((2,)), ng.Recursive(2)]),
        "layer 'dense': its activation 'wavelet'": ng.Network(
            [ng.Input((2,)), ng.Dense(3, activation="wavelet")]
        ),
    }
    for sentence, net in refused.items():
        with pytest.raises(ng.GraphError) as caught:
            net.compile().export(path)
        assert sentence in str(caught.value)
    assert not list(tmp_path.iterdir())
    model = ng.Network([2, 1]).compile()
    with pytest.raises(ng.UnknownNameError, match=r"did you mean '\.onnx'"):
        model.export(tmp_path / "net.onx")
    path.mkdir()
    with pytest.raises(ng.StorageError, match="is a folder"):
        model.export(path)
    with pytest.raises(ng.errors.OptionError, match="by its path"):
        model.export(3)

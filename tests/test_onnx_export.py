"""Exported networks give onnxruntime's numbers; what cannot be said in ONNX is refused."""

import numpy as np
import pytest
from cases import CASES

import neurograph as ng
from neurograph.storage.onnx_export import to_onnx

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

# beside sequences in time and hand-made graphs
REFUSED = {"layer_normalization_axes", "masking"}
TREES = ("recursive", "child_sum")
FEED_FORWARD = [
    name
    for name, case in CASES.items()
    if not case.tags & {"cycle", "handmade"} and name not in REFUSED and not name.startswith(TREES)
]


def as_list(x):
    return list(x) if isinstance(x, (list, tuple)) else [x]


def session_of(source):
    return runtime.InferenceSession(source, providers=["CPUExecutionProvider"])


def run(session, xs):
    feeds = zip(session.get_inputs(), xs, strict=True)
    return session.run(None, {each.name: np.asarray(x, np.float32) for each, x in feeds})


@pytest.mark.parametrize("name", FEED_FORWARD)
def test_every_layer_gives_the_same_numbers(name):
    case = CASES[name]
    net = case.network()
    x, _ = case.data(net)
    if any(layer.sequence for layer in net.layers):
        with pytest.raises(ng.GraphError, match="is a sequence in time"):
            to_onnx(net)
        return
    proto = to_onnx(net)
    onnx.checker.check_model(proto, full_check=True)
    theirs = run(session_of(proto.SerializeToString()), as_list(x))
    ours = as_list(net.compile(dtype="float64").predict(x))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(other, mine, rtol=1e-5, atol=1e-5 * max(1, abs(mine).max()))


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
        "'lstm/fold' is a sequence": ng.Network([ng.Input((5, 2)), ng.LSTM(3)]),
        "layer 'dense': its activation 'wavelet'": ng.Network(
            [ng.Input((2,)), ng.Dense(3, activation="wavelet")]
        ),
        "layer 'masking/mask'": CASES["masking"].network(),
        "over axes [-3, -1]": CASES["layer_normalization_axes"].network(),
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

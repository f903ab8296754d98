"""ONNX files as networks: ours come back as they were, others' give onnxruntime's numbers."""

from pathlib import Path

import numpy as np
import pytest
from cases import CASES
from test_onnx_export import LIBRARY, as_list, run, session_of

import neurograph as ng
from neurograph.interop.onnx_nodes import FOLDED, TABLE

onnx = pytest.importorskip("onnx")
helper, FLOAT = pytest.importorskip("onnx.helper"), 1

# refused for what operators do, though each of them is known
NOT_BACK = {"time_distributed", "embedding_sequence"}
NOT_BACK |= {"add_over_time", "repeat_vector", "repeat_vector_dense"}
RNG = np.random.default_rng(5)


def write(path, nodes, inputs, outputs, weights=(), opset=17):
    """Write a graph; inputs and outputs are {name: shape without batch}."""
    values = [
        [helper.make_tensor_value_info(k, FLOAT, ["n", *v]) for k, v in each.items()]
        for each in (inputs, outputs)
    ]
    arrays = [onnx.numpy_helper.from_array(v, k) for k, v in dict(weights).items()]
    graph = helper.make_graph(nodes, "foreign", *values, arrays)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    proto.ir_version = 8
    onnx.save(proto, path)
    return path


def floats(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), [output], name=f"the_{output}", **attributes)


AT_EVERY_STEP = {
    "Add": "h c", "Sub": "h other", "Sub from a constant": "c h", "Mul": "h c", "Div": "c other",
    "Neg": "h", "PRelu": "h slopes", "Softmax": "h", "Softmax of an axis": "h", "Concat": "h other",
    "LayerNormalization": "h slopes c",
}  # fmt: skip


@pytest.mark.parametrize("name", AT_EVERY_STEP)
@pytest.mark.parametrize("steps", [5, "steps"])
def test_sequences_are_calculated_with_at_every_step(name, steps, tmp_path):
    weights = {
        "w": floats(1, 16, 3), "r": floats(1, 16, 4), "one": np.array([1]), "c": floats(4),
        "slopes": abs(floats(4)) / 3,
    }  # fmt: skip
    axis = {"Concat": {"axis": 2}, "Softmax of an axis": {"axis": 2}}
    nodes = [
        node("Transpose", "x", "turned", perm=[1, 0, 2]),
        node("LSTM", "turned w r", "all", hidden_size=4),
        node("Squeeze", "all one", "back"),
        node("Transpose", "back", "h", perm=[1, 0, 2]),
        node("Exp", "h", "other"),
        node(name.split()[0], AT_EVERY_STEP[name], "y", **axis.get(name, {})),
    ]
    units = 8 if name == "Concat" else 4
    path = write(tmp_path / "n.onnx", nodes, {"x": (steps, 3)}, {"y": (steps, units)}, weights)
    agrees(path, floats(2, 5, 3), channels=False)


@pytest.mark.parametrize("kind", ["BatchNormalization", "Softmax along the steps", "Flatten"])
def test_what_needs_the_number_of_steps_is_refused_where_it_is_open(kind, tmp_path):
    ones = np.ones(3, np.float32)
    given = "turned ones ones ones ones" if kind == "BatchNormalization" else "turned"
    options = {"axis": 1} if "steps" in kind else {}
    nodes = [
        node("Transpose", "x", "first", perm=[1, 0, 2]),
        node("Transpose", "first", "turned", perm=[1, 0, 2]),
        node(kind.split()[0], given, "y", **options),
    ]
    path = tmp_path / "n.onnx"
    write(path, nodes, {"x": ("steps", 3)}, {"y": ("a", "b")}, {"ones": ones})
    with pytest.raises(ng.GraphError, match=r"sequences of any length|the batch or the steps"):
        ng.from_onnx(path)


@pytest.mark.parametrize("name", LIBRARY)
def test_what_was_exported_comes_back_or_is_refused(name, tmp_path):
    case = CASES[name]
    net = case.network()
    x, _ = case.data(net)
    net.compile(dtype="float64").export(tmp_path / "net.onnx")
    kinds = {each.op_type for each in onnx.load(tmp_path / "net.onnx").graph.node}
    if name in NOT_BACK or not kinds <= {*TABLE, *FOLDED}:
        with pytest.raises(ng.GraphError, match=r"from_onnx: (node|input) "):
            ng.from_onnx(tmp_path / "net.onnx")
        return
    again = ng.from_onnx(tmp_path / "net.onnx")
    ours = as_list(net.compile(dtype="float64").predict(x))
    theirs = as_list(again.compile(dtype="float64").predict(x))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(other, mine, rtol=1e-5, atol=1e-5 * max(1, abs(mine).max()))


@pytest.mark.parametrize(("shape", "turned"), [((4, 1), (1, 4)), ((1, 4), (4, 1))])
def test_one_column_made_one_row_is_not_taken_for_channels(shape, turned, tmp_path):
    net = ng.Network([ng.Input(shape), ng.Activation("tanh"), ng.Reshape(turned)])
    net.compile().export(tmp_path / "net.onnx")
    again = ng.from_onnx(tmp_path / "net.onnx")
    assert (again.inputs[0].shape, again.outputs[0].shape) == (shape, turned)
    x = floats(2, *shape)
    np.testing.assert_allclose(again.predict(x), np.tanh(x).reshape(2, *turned), rtol=1e-5)


def agrees(path, x, channels=True):
    """Compare a network read from a file with onnxruntime; return it."""
    net = ng.from_onnx(path)
    turned = channels and x.ndim > 2
    ours = net.compile(dtype="float64").predict(np.moveaxis(x, 1, -1) if turned else x)
    for mine, other in zip(as_list(ours), run(session_of(str(path)), [x]), strict=True):
        mine = np.moveaxis(mine, -1, 1) if turned and mine.ndim > 2 else mine
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
    return net


WINDOWS = {
    "ceil": {"kernel_shape": [3, 2], "strides": [2, 3], "ceil_mode": 1},
    "ceil, last one begins in the padding": {
        "kernel_shape": [2, 2], "strides": [3, 3], "pads": [0, 1, 1, 1], "ceil_mode": 1},
    "same, the odd cell first": {
        "kernel_shape": [2, 4], "strides": [2, 1], "auto_pad": "SAME_LOWER"},
    "same, the odd cell last": {
        "kernel_shape": [2, 4], "strides": [2, 1], "auto_pad": "SAME_UPPER"},
}  # fmt: skip


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool", "Conv"])
@pytest.mark.parametrize("name", WINDOWS)
def test_windows_lie_where_onnxruntime_has_them(kind, name, tmp_path):
    options, shape = dict(WINDOWS[name]), {"x": (2, 6, 7)}
    weights = {"k": floats(3, 2, *options["kernel_shape"])} if kind == "Conv" else {}
    if kind == "Conv":
        if options.pop("ceil_mode", 0):
            pytest.skip("a convolution has no ceil_mode")
        nodes = [node("Conv", "x k", "y", **options)]
    else:
        nodes = [node(kind, "x", "y", **options)]
    out = {"y": ("c", "h", "w")}
    agrees(write(tmp_path / "n.onnx", nodes, shape, out, weights), floats(3, 2, 6, 7))


@pytest.mark.parametrize("ceil", [0, 1])
def test_means_may_count_the_padding(ceil, tmp_path):
    options = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 1]}
    nodes = [node("AveragePool", "x", "y", count_include_pad=1, ceil_mode=ceil, **options)]
    path = write(tmp_path / "n.onnx", nodes, {"x": (2, 5, 5)}, {"y": ("c", "h", "w")}, opset=19)
    agrees(path, floats(3, 2, 5, 5))


CURVES = {
    "Clip": ("x low high", {}),
    "Clip above": ("x low", {}),
    "HardSwish": ("x", {}),
    "HardSigmoid": ("x", {"alpha": 0.3, "beta": 0.4}),
    "Elu": ("x", {"alpha": 0.5}),
    "Selu": ("x", {}),
    "Selu otherwise": ("x", {"alpha": 2.0, "gamma": 3.0}),
    "PRelu": ("x slopes", {}),
    "Softmax": ("x", {"axis": 2}),
    "LRN": ("x", {"size": 3, "alpha": 0.5, "beta": 0.6, "bias": 0.7}),
    "Pad": ("x pads", {"mode": "reflect"}),
    "Pad with edges": ("x pads", {"mode": "edge"}),
    "Slice": ("x starts ends axes steps", {}),
    "Div": ("x other", {}),
}


@pytest.mark.parametrize("name", CURVES)
def test_what_is_several_layers_here_gives_onnxruntimes_numbers(name, tmp_path):
    inputs, options = CURVES[name]
    weights = {
        "low": np.float32(-0.4), "high": np.float32(0.9), "slopes": abs(floats(4, 1, 1)) / 3,
        "pads": np.array([0, 0, 1, 2, 0, 0, 2, 1]), "starts": np.array([-1, 1]),
        "ends": np.array([-100, 3]), "axes": np.array([2, 1]), "steps": np.array([-2, 1]),
        "k": floats(4, 3, 2, 2), "two": np.float32(0.5),
    }  # fmt: skip
    nodes = [
        node("Conv", "picture k", "x"),
        node("Exp", "x", "other"),
        node(name.split()[0], inputs, "y", **options),
        node("Mul", "y two", "half"),
    ]
    out = {"half": ("c", "h", "w")}
    path = write(tmp_path / "n.onnx", nodes, {"picture": (3, 6, 5)}, out, weights)
    agrees(path, floats(2, 3, 6, 5) * 2)


def recurrent_story(kind, ways, gates):
    """A classifier of sequences as PyTorch writes it: turned, run, turned back, its last step."""
    sizes = {"w": (ways, gates * 4, 3), "r": (ways, gates * 4, 4), "b": (ways, gates * 8)}
    weights = {name: floats(*shape) * 0.5 for name, shape in sizes.items()}
    weights |= {
        "h": np.broadcast_to(floats(ways, 1, 4), (ways, 2, 4)), "shape": np.array([0, 0, -1]),
        "last": np.array(-1), "dense": floats(ways * 4, 2),
    }  # fmt: skip
    options = {"direction": "bidirectional" if ways == 2 else "reverse", "hidden_size": 4}
    if kind == "GRU":
        options["linear_before_reset"] = 1
    nodes = [
        node("Transpose", "x", "turned", perm=[1, 0, 2]),
        node(kind, "turned w r b  h".replace("  ", " none "), "steps", **options),
        node("Transpose", "steps", "back", perm=[2, 0, 1, 3]),
        node("Reshape", "back shape", "joined"),
        node("MatMul", "joined dense", "each"),
        node("Gather", "joined last", "end", axis=1),
        node("Gemm", "end dense", "y"),
    ]
    nodes[1].input[4] = ""
    return nodes, weights


@pytest.mark.parametrize("steps", [5, "steps"])
@pytest.mark.parametrize("ways", [1, 2])
@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_operators_become_layers(kind, gates, ways, steps, tmp_path):
    nodes, weights = recurrent_story(kind, ways, gates)
    path = write(
        tmp_path / "n.onnx", nodes, {"x": (steps, 3)}, {"each": (steps, 2), "y": (2,)}, weights
    )
    net = agrees(path, floats(2, 5, 3), channels=False)
    names = {"LSTM": "lstm", "GRU": "gru", "RNN": "simple_rnn"}
    name = "bidirectional" if ways == 2 else names[kind]
    layer = net.layer(name).gate("backward") if ways == 2 else net.layer(name)
    assert layer.gate("hidden")[0].upstream is not None
    assert layer.parameters["recurrent_kernel"].shape == (4, 4 * gates)


@pytest.mark.parametrize("name", ["lenet5", "resnet18_cifar"])
def test_networks_of_the_zoo_keep_layers_connections_and_numbers(name, tmp_path):
    net = getattr(ng.zoo, name)(seed=3)
    net.compile().export(tmp_path / "net.onnx")
    again = ng.from_onnx(tmp_path / "net.onnx")
    assert str(again) == str(net)
    x = np.random.default_rng(2).normal(size=(2, *net.inputs[0].shape))
    np.testing.assert_allclose(again.compile().predict(x), net.compile().predict(x), rtol=1e-6)
    one = again.layer("dense")[3].upstream[7]
    assert one.weight == pytest.approx(net.layer("dense")[3].upstream[7].weight, rel=1e-6)


def channels_first_story():
    """A network as other programs write it: channels first, weights transposed, residual."""
    weights = {
        "k1": floats(4, 3, 3, 2), "b1": floats(4), "k2": floats(4, 2, 3, 3), "s": abs(floats(4)),
        "m": floats(4), "v": abs(floats(4)) + 0.5, "c": floats(4, 1, 1), "w": floats(5, 48),
        "b": floats(5), "w2": floats(5, 3), "b2": floats(3), "shape": np.array([0, -1]),
    }  # fmt: skip
    nodes = [
        node("Mul", "x half", "scaled"),
        node("Conv", "scaled k1 b1", "y1", pads=[1, 0, 1, 1], strides=[2, 1]),
        node("LeakyRelu", "y1", "y2", alpha=0.1),
        node("Conv", "y2 k2", "y3", auto_pad="SAME_UPPER", group=2),
        node("BatchNormalization", "y3 s m m v", "y4"),
        node("Add", "y4 c", "y5"),
        node("Sub", "y5 y1", "y6"),
        node("MaxPool", "y6", "y7", kernel_shape=[2, 2], strides=[1, 2], pads=[0, 0, 0, 0]),
        node("Concat", "y7 y7", "y8", axis=1),
        node("Relu", "y8", "y9"),
        node("Reshape", "y9 shape", "y10"),
        node("Gemm", "y10 w b", "y11", transB=1, alpha=0.5),
        node("Tanh", "y11", "y12"),
        node("MatMul", "y12 w2", "y13"),
        node("Add", "b2 y13", "y14"),
        node("Softmax", "y14", "out"),
    ]
    return nodes, {"x": (3, 6, 6)}, {"out": (3,)}, weights | {"half": np.float32(0.5)}


def test_a_graph_with_channels_first_gives_onnxruntimes_numbers(tmp_path):
    nodes, inputs, outputs, weights = channels_first_story()
    weights["w"] = floats(5, 2 * 4 * 2 * 3)
    path = write(tmp_path / "net.onnx", nodes, inputs, outputs, weights)
    net = ng.from_onnx(path, name="story")
    x = floats(4, 3, 6, 6)
    ours = net.compile(dtype="float64").predict(np.moveaxis(x, 1, -1))
    np.testing.assert_allclose(ours, run(session_of(str(path)), [x])[0], rtol=1e-5, atol=1e-6)
    assert (net.name, net.inputs[0].name, net.inputs[0].shape) == ("story", "x", (6, 6, 3))
    assert net.layer("dense").activation_name == "tanh"
    assert "permute" not in " ".join(layer.name for layer in net.all_layers)
    assert net.layer("conv2d").parameters["kernel"].shape == (3, 2, 3, 4)


def test_pictures_that_come_out_have_their_channels_last(tmp_path):
    weights = {"k": floats(2, 3, 1, 1), "pads": np.array([0, 0, 1, 0, 0, 0, 0, 2])}
    nodes = [
        node("Pad", "x pads", "p"),
        node("Conv", "p k", "y"),
        node("GlobalAveragePool", "y", "mean"),
        node("Flatten", "mean", "flat"),
    ]
    path = write(
        tmp_path / "n.onnx", nodes, {"x": (3, 4, 5)}, {"y": (2, 5, 7), "flat": (2,)}, weights
    )
    x = floats(2, 3, 4, 5)
    net = ng.from_onnx(path)
    picture, flat = net.compile(dtype="float64").predict(np.moveaxis(x, 1, -1))
    theirs = run(session_of(str(path)), [x])
    np.testing.assert_allclose(np.moveaxis(picture, -1, 1), theirs[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(flat, theirs[1], rtol=1e-5, atol=1e-6)


def with_weights(path, to):
    """Write a light model again, with weights in the place of the nodes that stand for them."""
    proto = onnx.load(path)
    graph, rng = proto.graph, np.random.default_rng(1)
    shapes = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    for each in [each for each in graph.node if each.op_type == "ConstantOfShape"]:
        shape = shapes[each.input[0]].tolist()
        if len(shape) > 1:
            values = rng.normal(0.0, np.prod(shape[1:]) ** -0.5, shape)
        else:  # biases, and statistics that must be positive
            values = rng.uniform(0.5, 1.0, shape)
        values = values.astype(np.float32)
        graph.initializer.append(onnx.numpy_helper.from_array(values, each.output[0]))
        graph.node.remove(each)
    proto.ir_version = 8  # from 4 on weights need not be inputs
    onnx.save(proto, to)
    return to


# the others, with up to half a gigabyte of weights, would take a minute
@pytest.mark.parametrize("name", ["shufflenet", "squeezenet", "inception_v1"])
def test_light_models_of_the_onnx_package_run(name, tmp_path):
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    if not (folder / f"light_{name}.onnx").exists():
        pytest.skip("this onnx package has no light models")
    path = with_weights(folder / f"light_{name}.onnx", tmp_path / "net.onnx")
    net = ng.from_onnx(path)
    x = np.random.default_rng(0).uniform(size=(1, 3, 224, 224)).astype(np.float32)
    ours = net.compile().predict(np.moveaxis(x, 1, -1))
    theirs = run(session_of(str(path)), [x])[0]
    np.testing.assert_allclose(ours.reshape(-1), theirs.reshape(-1), rtol=1e-4, atol=1e-7)
    assert ours.max() < 0.99  # no certainty that would hide what differs


def refused():
    shape = {"x": (3, 4, 4)}
    return {
        "node 'the_y' (Softsign): the operator has no counterpart": (
            [node("Softsign", "x", "y")], shape, shape, {}),
        "node 'the_y' (LRN): LocalResponseNormalization: size is 2": (
            [node("LRN", "x", "y", size=2)], shape, shape, {}),
        "node 'the_y' (Gemm): transA=1": (
            [node("Gemm", "x w", "y", transA=1)], {"x": (3,)}, {"y": (2,)}, {"w": floats(3, 2)}),
        "node 'the_y' (MatMul): its weights are for 5 inputs": (
            [node("MatMul", "x w", "y")], {"x": (3,)}, {"y": (2,)}, {"w": floats(5, 2)}),
        "node 'the_y' (MaxPool): dilations and indices": (
            [node("MaxPool", "x", "y", kernel_shape=[2, 2], dilations=[2, 2])],
            shape, {"y": (3, 2, 2)}, {}),
        "node 'the_y' (Gelu): approximate='tanh' is not known here; only 'none' is": (
            [node("Gelu", "x", "y", approximate="tanh")], shape, shape, {}),
        "node 'the_y' (Clip): it clips to 2 .. 1": (
            [node("Clip", "x a b", "y")], shape, shape, {"a": np.float32(2), "b": np.float32(1)}),
        "node 'the_y' (Transpose): perm [1, 0]": (
            [node("Transpose", "x", "y", perm=[1, 0])], {"x": (3,)}, {"y": (3,)}, {}),
        "node 'the_y' (Concat): its constants do not fit": (
            [node("Concat", "a b", "y", axis=0), node("Add", "x y", "z")],
            shape, {"z": (3, 4, 4)}, {"a": np.float32(2), "b": np.float32(1)}),
        "input 'x' has shape": ([node("Relu", "x", "y")], {"x": ("a",)}, {"y": ("a",)}, {}),
    }  # fmt: skip


@pytest.mark.parametrize("sentence", refused())
def test_what_has_no_counterpart_is_named_with_its_node(sentence, tmp_path):
    with pytest.raises(ng.GraphError) as caught:
        ng.from_onnx(write(tmp_path / "net.onnx", *refused()[sentence], opset=20))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_and_foreign_files_are_refused_in_one_sentence(tmp_path):
    net = ng.Network([3, 4, 2], seed=0)
    path = tmp_path / "net.onnx"
    net.compile().export(path)
    content = path.read_bytes()
    for size in range(0, len(content), 37):
        path.write_bytes(content[:size])
        with pytest.raises(ng.FormatError, match="is not a whole ONNX file"):
            ng.from_onnx(path)
    for foreign in (b"PNG and so on", b"\x08" * 50, b'{"layers": []}'):
        path.write_bytes(foreign)
        with pytest.raises(ng.FormatError, match="export it again"):
            ng.from_onnx(path)
    with pytest.raises(ng.StorageError, match="no such file"):
        ng.from_onnx(tmp_path / "none.onnx")
    with pytest.raises(ng.errors.OptionError, match="by its path"):
        ng.from_onnx(3)

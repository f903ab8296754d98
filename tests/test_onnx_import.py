"""ONNX files as networks: ours come back as they were, others' give onnxruntime's numbers."""

from pathlib import Path

import numpy as np
import pytest
from cases import CASES
from test_onnx_export import LIBRARY, as_list, run, session_of

import neurograph as ng

onnx = pytest.importorskip("onnx")
helper, FLOAT = pytest.importorskip("onnx.helper"), 1

# what is written as several operators that stand for no layer alone
NOT_BACK = {"activation_step", "activation_gelu", "layer_normalization_axes", "masking"}
NOT_BACK |= {"child_sum_tree_lstm"}  # a layer fed by its bias alone, for every sample
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


@pytest.mark.parametrize("name", [each for each in LIBRARY if each not in NOT_BACK])
def test_what_was_exported_comes_back(name, tmp_path):
    case = CASES[name]
    net = case.network()
    x, _ = case.data(net)
    if any(layer.sequence for layer in net.layers):
        pytest.skip("a sequence in time is not exported")
    net.compile(dtype="float64").export(tmp_path / "net.onnx")
    again = ng.from_onnx(tmp_path / "net.onnx")
    ours = as_list(net.compile(dtype="float64").predict(x))
    theirs = as_list(again.compile(dtype="float64").predict(x))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(other, mine, rtol=1e-5, atol=1e-5 * max(1, abs(mine).max()))


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
    assert "permute" not in " ".join(layer.name for layer in net.layers)
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
        scale = np.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.1
        values = abs(rng.normal(size=shape) * scale).astype(np.float32)
        graph.initializer.append(onnx.numpy_helper.from_array(values, each.output[0]))
        graph.node.remove(each)
    proto.ir_version = 8  # from 4 on weights need not be inputs
    onnx.save(proto, to)
    return to


@pytest.mark.parametrize("name", ["shufflenet", "squeezenet"])
def test_light_models_of_the_onnx_package_run(name, tmp_path):
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    if not (folder / f"light_{name}.onnx").exists():
        pytest.skip("this onnx package has no light models")
    path = with_weights(folder / f"light_{name}.onnx", tmp_path / "net.onnx")
    net = ng.from_onnx(path)
    x = np.random.default_rng(0).uniform(size=(1, 3, 224, 224)).astype(np.float32)
    ours = net.compile().predict(np.moveaxis(x, 1, -1))
    theirs = run(session_of(str(path)), [x])[0]
    np.testing.assert_allclose(ours.reshape(-1), theirs.reshape(-1), rtol=1e-3, atol=1e-5)


def refused():
    shape = {"x": (3, 4, 4)}
    return {
        "node 'the_y' (LRN): the operator has no counterpart": (
            [node("LRN", "x", "y", size=3)], shape, shape, {}),
        "node 'the_y' (Gemm): transA=1": (
            [node("Gemm", "x w", "y", transA=1)], {"x": (3,)}, {"y": (2,)}, {"w": floats(3, 2)}),
        "node 'the_y' (MatMul): its weights are for 5 inputs": (
            [node("MatMul", "x w", "y")], {"x": (3,)}, {"y": (2,)}, {"w": floats(5, 2)}),
        "node 'the_y' (AveragePool): count_include_pad=1": (
            [node("AveragePool", "x", "y", kernel_shape=[2, 2], pads=[1] * 4, count_include_pad=1)],
            shape, {"y": (3, 5, 5)}, {}),
        "node 'the_y' (Elu): alpha=0.5": ([node("Elu", "x", "y", alpha=0.5)], shape, shape, {}),
        "node 'the_y' (Transpose): perm [1, 0]": (
            [node("Transpose", "x", "y", perm=[1, 0])], {"x": (3,)}, {"y": (3,)}, {}),
        "input 'x' has shape": ([node("Relu", "x", "y")], {"x": ("a",)}, {"y": ("a",)}, {}),
    }  # fmt: skip


@pytest.mark.parametrize("sentence", refused())
def test_what_has_no_counterpart_is_named_with_its_node(sentence, tmp_path):
    with pytest.raises(ng.GraphError) as caught:
        ng.from_onnx(write(tmp_path / "net.onnx", *refused()[sentence]))
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

"""Damaged files are refused in one sentence: never a crash, another exception or wrong numbers."""

from __future__ import annotations

import copy
import json
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storage_cases import assert_same, forge, rewrite

import neurograph as ng
from neurograph.errors import NeurographError
from neurograph.graph.network import Network
from neurograph.storage import file, tensors

FUZZ = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-3, 40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["$tuple", "input", "const", "sum", "max", "relu", "float32", "Input", "0"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def small_network() -> Network:
    x = ng.Input((3, 3, 1))
    h = ng.Conv2D(2, 2, activation="relu", kernel_regularizer="l1")(x)
    h = ng.MaxPooling2D(2)(ng.BatchNormalization()(h))
    y = ng.Dense(2, activation="softmax")(ng.Flatten()(h))
    net = ng.Network(inputs=x, outputs=y, name="small", seed=3)
    net.node("dense[1]").upstream[0].remove()
    net.connect("input[0, 1, 0]", "dense[0]", weight=0.5, trainable=False)
    node = ng.Node("tanh", name="h", position=(1, 2))
    shared = ng.Parameter([0.1, 0.2], name="w")
    ng.Connection(x[4], node, parameter=shared, index=1)
    ng.Connection(node, y[1], parameter=shared)
    net.node("dense[0]").upstream[0].trainable = False
    net.parameters["dense/bias"].learning_rate_factor = np.array([0.5, 2.0])
    return net


NET = small_network()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def saved(folder):
    path = folder / "small.safetensors"
    file.save(path, NET, {"state": np.arange(3.0)}, {"history": [0.5, float("nan")], "at": (1, 2)})
    return path.read_bytes()


@pytest.fixture(scope="module")
def parts(folder, saved):
    path = folder / "parts.safetensors"
    path.write_bytes(saved)
    return tensors.read_tensors(path)


def outcome(path) -> Network | None:
    """Return the network, or None where the file was refused in one line."""
    try:
        return file.load(path).network
    except NeurographError as error:
        return refused(error)


def refused(error) -> None:
    """Check that a message is one line."""
    assert str(error)
    assert "\n" not in str(error)


def test_every_truncation_is_refused(folder):
    path = folder / "truncated.safetensors"
    file.save(path, Network([1, 1]), {"state": np.arange(3)})
    for length in reversed(range(path.stat().st_size)):
        os.truncate(path, length)
        assert outcome(path) is None, length


@FUZZ
@given(data=st.data())
def test_flipped_bytes_are_refused_or_harmless(data, saved, folder):
    damaged = bytearray(saved)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(saved) - 1))] ^= data.draw(st.integers(1, 255))
    path = folder / "flipped.safetensors"
    rewrite(path, damaged)
    network = outcome(path)
    if network is not None:
        assert_same(NET, network)


@FUZZ
@given(data=st.data())
def test_a_forged_structure_is_refused_or_makes_a_network(data, parts, folder):
    metadata, arrays = parts
    key = data.draw(st.sampled_from(["structure", "structure", "structure", "extras", "checksums"]))
    document = json.loads(metadata[key])
    for _ in range(data.draw(st.integers(1, 2))):
        document = mutated(data, document)
    path = folder / "forged.safetensors"
    forge(path, {**metadata, key: json.dumps(document)}, arrays)
    outcome(path)


@FUZZ
@given(data=st.data())
def test_forged_arrays_are_refused_or_make_a_network(data, parts, folder):
    metadata, arrays = parts
    name = data.draw(st.sampled_from(sorted(arrays)))
    shape = data.draw(st.sampled_from([arrays[name].shape, (), (0,), (1,), (3, 2), (70,)]))
    dtype = data.draw(st.sampled_from([arrays[name].dtype.name, "float32", "int64", "bool"]))
    numbers = st.integers(-2, 30) | st.integers(-(2**62), 2**62)
    values = [data.draw(numbers) for _ in range(int(np.prod(shape)))]
    forged = {**arrays, name: np.array(values).reshape(shape).astype(dtype)}
    sums = json.dumps({key: file.checksum(array) for key, array in forged.items()})
    path = folder / "arrays.safetensors"
    forge(path, {**metadata, "checksums": sums}, forged)
    outcome(path)


@FUZZ
@given(data=st.data())
def test_forged_json_is_refused_or_makes_a_network(data):
    document = mutated(data, json.loads(NET.to_json()))
    try:
        ng.from_json(json.dumps(document) if isinstance(document, dict) else "{" + str(document))
    except NeurographError as error:
        refused(error)


@settings(FUZZ, max_examples=50)
@given(data=st.data())
def test_damaged_weights_are_refused_in_every_format(data, folder):
    kind = data.draw(st.sampled_from(["npz", "txt", "json"]))
    path = folder / f"weights.{kind}"
    {"npz": NET.save_npz, "txt": NET.to_text, "json": NET.to_json}[kind](path)
    damaged = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged) - 1)) :]
    for _ in range(data.draw(st.integers(0, 2))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    rewrite(path, damaged)
    twin = small_network()
    before = twin.to_text()
    try:
        twin.load_weights(path)
    except NeurographError as error:
        refused(error)
        assert twin.to_text() == before


def mutated(data, document):
    """Change one place of a JSON document: another value, a missing or an additional entry."""
    document = copy.deepcopy(document)
    place, key, parent = document, None, None
    while (
        isinstance(place, (dict, list))
        and place
        and (parent is None or data.draw(st.integers(0, 5)))
    ):
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        parent, key = place, data.draw(st.sampled_from(keys))
        place = parent[key]
    if parent is None:
        return data.draw(JSON)
    if data.draw(st.integers(0, 4)) == 0:
        del parent[key]
    elif isinstance(place, int) and data.draw(st.booleans()):
        parent[key] = place + data.draw(st.integers(-3, 3))
    elif isinstance(place, list) and data.draw(st.booleans()):
        place.append(data.draw(JSON) if not place else copy.deepcopy(place[-1]))
    else:
        parent[key] = data.draw(JSON)
    return document

"""Weights as text and networks as JSON: readable, exact, and refused line by line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import neurograph as ng
from neurograph.errors import FormatError, NeurographError
from neurograph.storage.text import read_text

NUMBERS = st.sampled_from(["float16", "float32", "float64"]).flatmap(
    lambda dtype: arrays.arrays(
        dtype,
        arrays.array_shapes(min_dims=0, max_dims=3, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)


def holder(value, name="w"):
    """Return a network whose one parameter holds an array."""
    a, y = ng.InputNode("a"), ng.Node(name="y")
    parameter = ng.Parameter(np.zeros(value.shape), name=name)
    parameter._bind(value, np.zeros_like(value))
    ng.Connection(a, y, parameter=parameter)
    return ng.Network(inputs=[a], outputs=[y])


@settings(deadline=None, derandomize=True, max_examples=150)
@given(value=NUMBERS, name=st.text(min_size=1, max_size=6))
def test_every_number_comes_back_bit_by_bit(value, name):
    net = holder(value, name)
    back = read_text(net.to_text())
    assert list(back) == [name]
    assert back[name].tobytes() == value.tobytes()
    assert (back[name].dtype, back[name].shape) == (value.dtype, value.shape)
    twin = ng.from_json(net.to_json()).parameters[name].value
    assert (twin.tobytes(), twin.dtype, twin.shape) == (value.tobytes(), value.dtype, value.shape)


def test_the_text_is_one_row_a_line():
    net = ng.Network([ng.Input((2,)), ng.Dense(3)], name="tiny")
    net.parameters["dense/kernel"].value = [[0.1, -2.0, 3e-300], [1 / 3, 0.0, -0.0]]
    kernel = net.parameters["dense/kernel"]
    kernel.move(np.zeros((2, 3)), np.zeros((2, 3)))
    net.parameters["dense/bias"]._bind(np.array([0.1, 1e-9, 7], "f4"), np.zeros(3, "f4"))
    assert net.to_text() == (
        "# neurograph weights, format 1\n"
        "# tiny: 2 -> 3, 1 layer with weights, 9 connections, 9 parameters\n"
        "\n"
        'parameter "dense/kernel" shape (2, 3) float64\n'
        "0.1 -2.0 3e-300\n"
        "0.3333333333333333 0.0 -0.0\n"
        "\n"
        'parameter "dense/bias" shape (3) float32\n'
        "0.1 1e-09 7.0\n"
    )


def test_text_goes_to_a_file_and_back(tmp_path):
    path = tmp_path / "weights.txt"
    net = ng.Network([2, 3, 1], seed=1)
    assert net.to_text(path) == path.read_text()
    twin = ng.Network([2, 3, 1], seed=2)
    twin.from_text(path)
    assert twin.to_text() == net.to_text()
    third = ng.Network([2, 3, 1], seed=3)
    third.from_text(net.to_text())
    assert third.to_text() == net.to_text()


HEAD = 'parameter "w" shape (2, 2) float64'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it holds no parameters"),
        ("# only a comment\n\n", "it holds no parameters"),
        (
            "w 1 2\n3",
            'line 1: expected a line such as parameter "dense/kernel" shape (3, 4) float64, got '
            "'w 1 2'",
        ),
        (f"{HEAD}\n1 2", "parameter 'w': the text ends after 1 of its rows"),
        (f"{HEAD}\n1 2\n# comment\n3", "line 4: parameter 'w' needs 2 numbers a row, got 1"),
        (f"{HEAD}\n1 2\n3 4 5", "line 3: parameter 'w' needs 2 numbers a row, got 3"),
        (f"{HEAD}\n1 2\n3 four", "line 3: parameter 'w' needs numbers, got '3 four'"),
        (f"{HEAD}\n1 2\n3 4\n{HEAD}\n1 2\n3 4", "line 4: parameter 'w' is there twice"),
        (
            'parameter "w" shape (3000000000) float32\n1',
            "line 1: parameter 'w' of shape (3000000000,) is too large",
        ),
        (
            'parameter "w" shape (2) int8\n1 2',
            'line 1: expected a line such as parameter "dense/kernel" shape (3, 4) float64, got '
            "'parameter \"w\" shape (2) int8'",
        ),
    ],
)
def test_a_wrong_line_is_named(text, reason, tmp_path):
    with pytest.raises(FormatError) as caught:
        read_text(text)
    assert str(caught.value) == reason
    path = tmp_path / "weights.txt"
    path.write_text(text)
    with pytest.raises(FormatError) as caught:
        ng.Network([1, 1]).from_text(path)
    assert str(caught.value) == f"cannot load {str(path)!r}: {reason}"


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    text=st.text()
    | st.lists(st.sampled_from([HEAD, "1 2", "nan 1", "1e999 -1", "#"])).map("\n".join)
)
def test_any_text_is_read_or_refused(text):
    message = ""
    try:
        read_text(text)
    except FormatError as error:
        message = str(error)
    assert "\n" not in message


def test_numbers_written_by_hand_are_fine():
    found = read_text(f" {HEAD} \n# by hand\n1 2.50\n\n  -3e2\t4  ")
    assert found["w"].tolist() == [[1.0, 2.5], [-300.0, 4.0]]


def test_text_that_is_not_finite_is_refused():
    net = holder(np.zeros((2, 2)))
    with pytest.raises(ng.DataError) as caught:
        net.from_text(f"{HEAD}\n1 2\n1e999 4\n")
    assert str(caught.value) == (
        "from_text: parameter 'w' is inf at [1, 0]; weights must be finite numbers"
    )


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "weights.txt"
    path.write_bytes(b"# \xff\xfe")
    for call in (ng.Network([1, 1]).from_text, ng.from_json):
        with pytest.raises(FormatError) as caught:
            call(path)
        assert str(caught.value) == f"cannot load {str(path)!r}: it is not text"


# JSON ---------------------------------------------------------------------------------------------


def test_json_is_readable_and_goes_to_a_file(tmp_path):
    path = tmp_path / "net.json"
    net = ng.Network([ng.Input((2,)), ng.Dense(1, activation="relu")], name="tiny", seed=1)
    net.parameters["dense/kernel"].value = [[0.1], [-2.5]]
    text = net.to_json(path)
    assert path.read_text() == text
    document = json.loads(text)
    assert list(document) == ["format", "version", "structure", "weights"]
    assert document["weights"] == {"dense/kernel": [[0.1], [-2.5]], "dense/bias": [0.0]}
    assert '"dense/kernel": [\n[0.1],\n[-2.5]]' in text
    for twin in (ng.from_json(path), ng.from_json(str(path)), ng.from_json(f"\n {text}")):
        assert twin.to_json() == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "expecting property name enclosed in double quotes in line 1, column 2"),
        ('{"format": "neurograph", "version": NaN}', "NaN is not a number in JSON"),
        ("[1, 2]", "it was not written by neurograph's to_json"),
        ('{"format": "keras"}', "it was not written by neurograph's to_json"),
        ('{"format": "neurograph", "version": "1"}', "its format is '1', expected 1"),
        ('{"format": "neurograph", "version": 1}', "its structure or its weights are missing"),
        ("[" * 100_000, "its JSON is nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "it is not the JSON that neurograph writes: Exceeds"),
    ],
)
def test_wrong_json_is_explained(text, reason):
    with pytest.raises(FormatError) as caught:
        ng.from_json(text)
    assert str(caught.value).startswith("cannot load the JSON text: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({}, "parameter 'layer_1/kernel' has no weights"),
        ({"layer_1/bias": [1, 2]}, "parameter 'layer_1/bias': its values have shape [2], expec"),
        ({"layer_1/bias": ["a"]}, "parameter 'layer_1/bias': its values are not numbers in a t"),
        ({"layer_1/bias": [[1], 2]}, "parameter 'layer_1/bias': its values are not numbers in"),
        ({"layer_1/bias": [1e999]}, "it is not the JSON"),
        ({"extra": [1]}, "parameter 'extra' has weights but no place in the structure"),
    ],
)
def test_wrong_weights_in_json_are_named(weights, reason):
    document = json.loads(ng.Network([1, 1]).to_json())
    document["weights"] = weights and {**document["weights"], **weights}
    with pytest.raises(NeurographError) as caught:
        ng.from_json(json.dumps(document))
    assert reason in str(caught.value)


def test_only_text_and_paths_are_json():
    with pytest.raises(ng.OptionError) as caught:
        ng.from_json(3)
    assert str(caught.value) == "from_json takes a JSON text or a path, got 3"

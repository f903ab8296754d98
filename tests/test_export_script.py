"""Exported scripts, run where neurograph cannot be imported, give the model's numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import CASES

import neurograph as ng
from neurograph.compiler import export

NAMES = [
    "dense_softmax", "activation_gelu", "activation_selu", "conv2d_same_strides", "conv2d_groups",
    "conv1d_causal", "depthwise_multiplier", "max_pooling2d_same", "average_pooling2d_same",
    "batch_normalization_image", "layer_normalization_axes", "layer_normalization_cycle",
    "local_response",
    "residual", "inception", "several_ends", "handmade",
    "handmade_aggregations", "handmade_lateral", "handmade_both_ways", "handmade_convolution",
    "handmade_lstm_turned", "handmade_pooling", "pruned", "simple_rnn", "lstm",
    "lstm_backwards", "gru", "gru_before", "delay_two",
]  # fmt: skip
RUN = """
import sys, runpy
import numpy as np
sys.modules["neurograph"] = None
sys.modules["scipy"] = None
empty = np.empty

def full_of_rubbish(*given, **options):
    made = empty(*given, **options)
    if made.dtype.kind == "f":
        made.fill(np.finfo(made.dtype).max)
    return made

np.empty = full_of_rubbish
script = runpy.run_path(sys.argv[1])
xs = np.load(sys.argv[2])
found = script["predict"](*(xs[name] for name in sorted(xs.files)))
found = found if isinstance(found, list) else [found]
np.savez(sys.argv[3], **{f"y{k}": each for k, each in enumerate(found)})
"""


def as_list(values):
    return values if isinstance(values, list) else [values]


def run_script(path: Path, xs: list[np.ndarray]) -> list[np.ndarray]:
    """Run a script's predict in a process of its own."""
    given, out = path.with_name("x.npz"), path.with_name("y.npz")
    np.savez(given, **{f"x{k}": each for k, each in enumerate(xs)})
    command = [sys.executable, "-W", "error", "-c", RUN, str(path), str(given), str(out)]
    subprocess.run(command, check=True, cwd=path.parent, capture_output=True, text=True)
    with np.load(out) as found:
        return [found[name] for name in sorted(found.files)]


@pytest.mark.parametrize("name", NAMES)
def test_a_script_predicts_what_the_model_predicts(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    net = case.network()
    x, _ = case.data(net, batch=3)
    model = net.compile("sgd", case.loss, dtype="float64")
    model.export(tmp_path / "net.py", steps=case.steps)
    for ours, theirs in zip(
        as_list(model.predict(x)), run_script(tmp_path / "net.py", as_list(x)), strict=True
    ):
        np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-12)


def test_large_weights_go_into_a_file_beside_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(export, "EMBEDDED", 100)
    net = ng.Network([ng.Input((6,)), ng.Dense(9, activation="relu"), ng.Dense(2)], seed=0)
    model = net.compile()
    model.export(tmp_path / "net.py")
    assert (tmp_path / "net.npz").exists()
    x = np.random.default_rng(0).normal(size=(70, 6))
    (found,) = run_script(tmp_path / "net.py", [x])
    np.testing.assert_allclose(found, model.predict(x), rtol=1e-5, atol=1e-6)


def test_the_script_tells_about_itself(tmp_path: Path) -> None:
    ng.Network([3, 2], seed=0).compile().export(tmp_path / "net.py")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "net.py")], check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("outputs for inputs of 0: [[0.")


def test_sequences_of_any_length_need_a_number_of_steps(tmp_path: Path) -> None:
    model = ng.Network([ng.Input((None, 2)), ng.LSTM(3)]).compile()
    with pytest.raises(ng.OptionError, match="say how many steps"):
        model.export(tmp_path / "net.py")
    assert not (tmp_path / "net.py").exists()


def test_an_activation_of_ones_own_is_named(tmp_path: Path) -> None:
    ng.register_activation("cubed", lambda net: net**3, lambda net, output: 3 * net**2)
    model = ng.Network([ng.Input((4,)), ng.Dense(2, activation="cubed")]).compile()
    with pytest.raises(ng.GraphError, match="'cubed' is an activation of your own"):
        model.export(tmp_path / "net.py")
    assert not list(tmp_path.iterdir())


def test_what_has_no_text_is_named(tmp_path: Path) -> None:
    model = ng.Network([ng.Input((4, 3)), ng.BatchNormalization(axis=1)]).compile()
    with pytest.raises(ng.GraphError, match="batch_normalization"):
        model.export(tmp_path / "net.py")
    assert not list(tmp_path.iterdir())

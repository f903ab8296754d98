"""Every example, run quickly: what it returns and what it prints."""

import os
import runpy
from pathlib import Path

import numpy as np
import pytest

import neurograph as ng

EXAMPLES = Path(__file__).parent.parent / "examples"
needs_data = pytest.mark.skipif(
    not os.environ.get("NEUROGRAPH_DATA"), reason="NEUROGRAPH_DATA names no folder of data sets"
)


@pytest.fixture
def example(capsys):
    """Run an example's main; return what it returned and what it printed."""

    def call(name):
        found = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](quick=True)
        return found, capsys.readouterr().out

    return call


def test_perceptron_and(example):
    perceptron, out = example("perceptron_and")
    assert perceptron.weights == pytest.approx([0.1, 0.2])
    assert perceptron.bias == pytest.approx(-0.2)
    assert "1 and 1 = 1" in out
    assert "1 and 0 = 0" in out


def test_salary(example):
    unit, out = example("salary")
    assert unit.weights == pytest.approx([1124.0634970262222], rel=1e-12)
    assert unit.bias == pytest.approx(85.48528882583837, rel=1e-12)
    assert "3907.30" in out


def test_truth_table(example):
    errors, out = example("truth_table")
    assert errors[-1] < 0.005 < errors[0]
    assert "0 xor 1 = 0.9" in out


def test_people(example):
    (loss, accuracy), out = example("people")
    assert loss == pytest.approx(0.44, abs=0.03)
    assert accuracy == pytest.approx(0.79, abs=0.03)
    assert "26 parameters" in out


def test_iris(example):
    accuracy, out = example("iris")
    assert accuracy >= 0.96
    assert "setosa: setosa" in out


@needs_data
def test_mnist_mlp(example):
    (trained, tested), out = example("mnist_mlp")
    assert 0.88 < tested < trained
    assert "407,050" in out


@needs_data
def test_fashion_mlp(example):
    accuracy, out = example("fashion_mlp")
    assert accuracy > 0.65
    assert "was taken for a" in out


def test_gradient_descent(example):
    paths, _ = example("gradient_descent")
    assert paths["0.5, one step"][1] == pytest.approx(-1)
    assert paths["0.2"][40] == pytest.approx(-1)
    assert paths["0.2"][1] == pytest.approx(5 - 0.2 * 2 * 6)
    assert paths["1, to and fro"][:3] == pytest.approx([5, -7, 5])
    assert paths["1.1, away"][40] > 1000
    assert paths["0.001, too small"][40] == pytest.approx(6 * 0.998**40 - 1)
    assert -1 < paths["0.2, decaying"][40] < -0.99


def test_own_loss(example):
    ordered, out = example("own_loss")
    assert abs(ordered["squared error"]) < 0.01
    assert 0.02 < ordered["own loss"] < 0.06
    assert "lost" in out


@needs_data
def test_lenet_mnist(example):
    accuracy, out = example("lenet_mnist")
    assert accuracy > 0.7
    assert "pixels" in out


def test_handmade_graph(example):
    (first, last), out = example("handmade_graph")
    assert last < 0.2 * first
    assert "def backward():" in out
    assert "no gradient is wrong" in out


def test_every_example_is_tested():
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {each.stem for each in EXAMPLES.glob("*.py")} <= tested


@needs_data
def test_fashion_lenet(example):
    accuracy, out = example("fashion_lenet")
    assert accuracy > 0.5
    assert "named right" in out


@needs_data
def test_cifar(example):
    accuracy, out = example("cifar")
    assert accuracy > 0.1
    assert "cbapd: " in out


def test_networkx_pruning(example):
    (before, after, tuned), out = example("networkx_pruning")
    assert before > 0.8
    assert tuned >= after
    assert "strongest path from petal" in out


def test_next_letter(example):
    shares, out = example("next_letter")
    assert shares == [1.0] * 4
    assert "abcd -> e" in out


def test_stock(example, monkeypatch):
    monkeypatch.delenv("NEUROGRAPH_DATA", raising=False)
    errors, out = example("stock")
    price = ng.datasets.prices().columns["price"]
    assert errors["as today"] == pytest.approx(np.sqrt(np.mean(np.diff(price[-301:]) ** 2)))
    for name in ("SimpleRNN", "LSTM", "GRU"):
        assert errors["as today"] < errors[name] < price[-300:].std()
    assert "the best network" in out


def test_stock_reads_a_file(tmp_path, capsys):
    days = np.datetime64("2020-01-01") + np.arange(400)
    rows = [f"{day},{100 + k % 7},1,1,1,1,x" for k, day in enumerate(days)]
    path = tmp_path / "share.csv"
    path.write_text("\n".join(["date,open,close,high,low,volume,code", *rows]))
    errors = runpy.run_path(str(EXAMPLES / "stock.py"))["main"](str(path), quick=True)
    steps = np.diff(100 + np.arange(99, 400) % 7)
    assert errors["as today"] == pytest.approx(np.sqrt(np.mean(steps**2.0)))
    assert "share: opening prices" in capsys.readouterr().out


def test_sunspots(example):
    errors, _ = example("sunspots")
    assert errors["GRU"] < errors["linear"] < errors["as last year"] < errors["as 11 years ago"]


def test_inventing_names(example):
    (bits, new), out = example("inventing_names")
    assert bits["LSTM"] < bits["letters"]
    assert bits["pairs of letters"] < bits["letters"]
    data = ng.datasets.names()
    assert len(new) > 50
    assert not {*data.train.x, *data.test.x}.intersection(new)
    assert "temperature 0.5" in out


def test_brackets(example):
    found, out = example("brackets")
    assert found["forwards"][0] < 0.75 < 0.97 < found["forwards"][1]
    assert found["backwards"][1] < 0.75 < 0.97 < found["backwards"][0]
    assert min(found["both ways"]) > 0.97
    assert "blind" in out


def test_truth_trees(example):
    right, out = example("truth_trees")
    assert right[1] == 1
    assert right[2] > 0.9
    assert min(right.values()) > 0.75
    assert "(never seen)" in out


@needs_data
def test_sentiment_trees(example):
    if not (Path(os.environ["NEUROGRAPH_DATA"]) / "sst").is_dir():
        pytest.skip("NEUROGRAPH_DATA holds no folder sst")
    found, out = example("sentiment_trees")
    for cell in ("Recursive", "ChildSumTreeLSTM"):
        assert found[5, cell][1] > found[5, "commonest label"][1] + 0.02
        assert found[2, cell][1] > found[2, "commonest label"][1] + 0.02
    assert found[2, "naive Bayes"][0] > found[2, "commonest label"][0]
    assert "rather bad or good" in out

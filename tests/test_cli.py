"""The command line, in this process; once in one of its own."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import neurograph as ng
from neurograph.cli import COMMANDS, main, make_parser

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    words = ["train", "mlp", "--data", "digits", "--epochs", "2", "--quiet", "--out", str(folder)]
    assert main([*words, "--optimizer", "adam", "--learning-rate", "0.01", "--seed", "3"]) == 0
    return folder


@pytest.fixture
def said(capsys):
    """Run a command line; return exit status, standard output and standard error."""

    def call(*words):
        try:
            status = main([str(each) for each in words])
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return call


# the demo --------------------------------------------------------------------------------------


def test_demo_tells_the_whole_story(said, tmp_path):
    status, out, err = said("demo", "--out", tmp_path)
    assert (status, err) == (0, "")
    for part in ("The data", "Training", "Checking the gradients", "Looking inside", "Saving"):
        assert part in out
    assert out.count("   ok: ") == 5
    assert "FAILED" not in out
    names = {each.name for each in tmp_path.iterdir()}
    assert {"model.safetensors", "settings.json", "network.dot", "step.py"} <= names
    assert (tmp_path / "network.dot").read_text().startswith("digraph")


def test_demo_that_learns_too_little_fails(said, tmp_path):
    status, out, _ = said("demo", "--out", tmp_path, "--epochs", 1)
    assert status == 1
    assert "FAILED: at least 96% of the held-out digits are read right" in out
    assert "1 of 4 checks failed" in out


def test_demo_refuses_zero_epochs(said, tmp_path):
    status, out, err = said("demo", "--out", tmp_path, "--epochs", 0)
    assert (status, out) == (2, "")
    assert "demo: epochs" in err
    assert err.count("\n") == 1


# training ---------------------------------------------------------------------------------------


def test_training_leaves_a_folder(run_folder):
    names = {each.name for each in run_folder.iterdir()}
    assert {"model.safetensors", "history.csv", "settings.json"} <= names
    settings = json.loads((run_folder / "settings.json").read_text())
    assert (settings["data"], settings["epochs"], settings["seed"]) == ("digits", 2, 3)
    assert settings["class_names"] == list("0123456789")
    rows = (run_folder / "history.csv").read_text().splitlines()
    assert rows[0] == "epoch,loss,accuracy,val_loss,val_accuracy"
    assert len(rows) == 3


def test_resumed_training_ends_like_one_that_never_stopped(said, tmp_path):
    words = ["train", "people", "--data", "iris", "--quiet", "--batch-size", 8]
    assert said(*words, "--epochs", 4, "--out", tmp_path / "whole")[0] == 0
    assert said(*words, "--epochs", 2, "--out", tmp_path / "parts")[0] == 0
    assert said("train", "--resume", "--out", tmp_path / "parts", "--epochs", 4, "--quiet")[0] == 0
    weights = [
        ng.load(tmp_path / name / "model.safetensors").network.get_weights()
        for name in ("whole", "parts")
    ]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
    rows = (tmp_path / "parts" / "history.csv").read_text()
    assert rows == (tmp_path / "whole" / "history.csv").read_text()


def test_training_does_not_overwrite_a_run(said, run_folder):
    before = (run_folder / "model.safetensors").read_bytes()
    status, _, err = said("train", "mlp", "--data", "digits", "--out", run_folder)
    assert status == 2
    assert "add --resume, or choose another --out" in err
    assert (run_folder / "model.safetensors").read_bytes() == before


def test_going_on_with_other_settings_is_refused(said, run_folder):
    status, _, err = said("train", "--resume", "--out", run_folder, "--batch-size", 7)
    assert status == 2
    assert "batch_size 32, not 7" in err


def test_network_from_a_file(said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import neurograph as ng\n"
        "def small():\n"
        "    return ng.Network([ng.Input((4,)), ng.Dense(3, activation='softmax')], seed=0)\n"
    )
    words = ["train", "mine.py:small", "--data", "iris", "--epochs", "1"]
    status, out, _ = said(*words)
    assert status == 0
    assert "the run is in runs" in out
    assert (tmp_path / "runs" / "mine-iris" / "model.safetensors").exists()
    status, _, err = said("train", "mine.py:smal", "--data", "iris")
    assert status == 2
    assert "did you mean 'small'" in err


@pytest.mark.parametrize("words", [("evaluate",), ("inspect", "dense[0]")])
def test_the_function_of_a_file_is_called_once(said, tmp_path, words):
    calls = tmp_path / "calls"
    (tmp_path / "mine.py").write_text(
        "import neurograph as ng\n"
        "def small():\n"
        f"    with open({str(calls)!r}, 'a') as file:\n"
        "        file.write('called ')\n"
        "    return ng.Network([ng.Input((4,)), ng.Dense(3, activation='softmax')], seed=0)\n"
    )
    command, *rest = words
    assert said(command, f"{tmp_path / 'mine.py'}:small", *rest, "--data", "iris")[0] == 0
    assert calls.read_text() == "called "


def test_evaluate_gives_what_training_gave(said, run_folder):
    status, out, _ = said("evaluate", run_folder)
    last = (run_folder / "history.csv").read_text().splitlines()[-1].split(",")
    assert status == 0
    assert f"loss      {float(last[3]):.4f}" in out
    assert f"accuracy  {float(last[4]):.4f}" in out


# looking ----------------------------------------------------------------------------------------


def test_predict_names_a_held_out_sample(said, run_folder):
    status, out, _ = said("predict", run_folder, "--sample", 0, "--top", 2)
    data = ng.datasets.digits().scaled().flat()
    model = ng.load(run_folder / "model.safetensors")
    share = model.predict(data.x_test[:1])[0]
    assert status == 0
    assert out.startswith("sample 0 of digits: it is")
    assert out.count("|\n") == 8
    last = out.splitlines()[-2].split()
    assert last[:2] == [str(share.argmax()), f"{share.max():.1%}"]


def test_a_network_that_nobody_trained_says_so(said, run_folder, tmp_path):
    (tmp_path / "row.csv").write_text("weight,height,age\n1,2,3\n")
    for words in (
        ["evaluate", "mlp", "--data", "iris"],
        ["predict", "people", tmp_path / "row.csv"],
    ):
        status, out, _ = said(*words)
        assert status == 0
        assert f"\n{words[1]} is new, with random weights: train it first" in out
    assert "is new" not in said("evaluate", run_folder)[1]


def test_predict_reads_a_picture(said, run_folder, tmp_path):
    Image = pytest.importorskip("PIL.Image")
    picture = np.full((60, 40), 240, np.uint8)
    picture[10:50, 18:24] = 20
    Image.fromarray(picture).save(tmp_path / "one.png")
    status, out, _ = said("predict", run_folder, tmp_path / "one.png")
    assert status == 0
    assert "  1  " in out


def test_predict_reads_and_writes_tables(said, tmp_path):
    folder = tmp_path / "run"
    words = ["train", "people", "--data", "iris", "--epochs", "30", "--batch-size", "8", "--quiet"]
    assert said(*words, "--learning-rate", 0.01, "--out", folder)[0] == 0
    table = "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n"
    (tmp_path / "two.csv").write_text(table)
    status, out, _ = said("predict", folder, tmp_path / "two.csv", "--out", tmp_path / "out.csv")
    assert status == 0
    assert "row 0: setosa" in out
    assert "row 1: virginica" in out
    written = np.loadtxt(tmp_path / "out.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(written.sum(axis=1), 1, atol=1e-5)
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    status, out, err = said("predict", folder, tmp_path / "bad.csv")
    assert (status, out) == (2, "")
    assert "bad.csv: it holds an array of shape (1, 2), the network takes rows of 4 numbers" in err


def test_inspect_shows_the_values_of_the_model(said, run_folder):
    status, out, _ = said("inspect", run_folder, "dense_1[3]", "--sample", 1, "--top", 2)
    model = ng.load(run_folder / "model.safetensors")
    data = ng.datasets.digits().scaled().flat().one_hot()
    model.inspect(data.x_test[1:2], data.y_test[1:2])
    node = model.network.layer("dense_1")[3]
    best = max(node.upstream, key=lambda c: abs(c.weight * np.sum(c.upstream_node.output)))
    assert status == 0
    assert f"output {node.output[0]:.6g}, delta {node.delta[0]:.6g}" in out
    row = next(line for line in out.splitlines() if line.strip().startswith(best.label))
    assert row.split()[3] == f"{best.weight:.6g}"
    assert row.split()[-1] == f"{best.gradient:.6g}"
    assert "… " in out
    assert "share the weight" not in out


def test_inspect_says_whose_gradient_a_shared_weight_has(said, tmp_path):
    (tmp_path / "windows.py").write_text(
        "import neurograph as ng\n"
        "def net():\n"
        "    layers = [ng.Input((8, 8, 1)), ng.Conv2D(2, 3), ng.Flatten(), ng.Dense(10)]\n"
        "    return ng.Network(layers, seed=0)\n"
    )
    spec = f"{tmp_path / 'windows.py'}:net"
    for place in ("conv2d[1, 2, 0]", "input[1, 2, 0] -> conv2d[1, 2, 0]"):
        status, out, _ = said("inspect", spec, place, "--data", "digits")
        assert status == 0
        assert "of all connections that share the weight, at all steps" in out
    status, out, _ = said("inspect", spec, "dense[3]", "--data", "digits")
    assert status == 0
    assert "share the weight" not in out


def test_inspect_shows_a_connection_and_arithmetic(said, run_folder):
    status, out, _ = said("inspect", run_folder, "dense[2] -> dense_1[3]")
    assert status == 0
    assert "downstream node  dense_1[3], delta" in out
    status, out, _ = said("inspect", run_folder, "dense_1[3]", "--arithmetic")
    assert status == 0
    assert "output = softmax over the whole layer" in out


@pytest.mark.parametrize("spec", ["people", "run"])
def test_check_passes(said, run_folder, spec):
    status, out, _ = said("check", run_folder if spec == "run" else spec, "--samples", 20)
    assert status == 0
    assert "no gradient is wrong" in out
    assert "all equal" in out


@pytest.mark.parametrize(
    "layers",
    [
        "ng.Input((2,)), ng.Recursive(2, children=3)",
        "ng.Input((None,)), ng.Embedding(3, 2), ng.Recursive(2, return_sequences=True)",
        "ng.Input((None,)), ng.Embedding(3, 2), ng.ChildSumTreeLSTM(2), ng.Dense(1)",
    ],
)
def test_a_network_along_trees_is_checked_on_trees(said, tmp_path, layers):
    text = f"import neurograph as ng\ndef net():\n    return ng.Network([{layers}], seed=0)\n"
    (tmp_path / "trees.py").write_text(text)
    status, out, err = said("check", f"{tmp_path / 'trees.py'}:net", "--samples", 20)
    assert (status, err) == (0, "")
    assert "no gradient is wrong" in out
    assert "all equal" in out
    status, out, _ = said("summary", f"{tmp_path / 'trees.py'}:net")
    assert status == 0
    assert "(nodes," in out


def test_check_of_a_wrong_derivative_fails(said, tmp_path):
    (tmp_path / "wrong.py").write_text(
        "import neurograph as ng, numpy as np\n"
        "def net():\n"
        "    ng.register_activation('cli_wrong', np.sin, lambda net, output: 0.9 * np.cos(net))\n"
        "    return ng.Network([ng.Input((3,)), ng.Dense(2, activation='cli_wrong')], seed=0)\n"
    )
    status, out, _ = said("check", f"{tmp_path / 'wrong.py'}:net")
    assert status == 1
    assert "wrong" in out


def test_explain_summary_and_exports(said, run_folder, tmp_path):
    assert "product" in said("explain", run_folder)[1]
    assert "def forward():" in said("explain", "people", "--source")[1]
    assert "100,480" not in said("summary", "people")[1]
    for ending in ("json", "npz", "txt", "graphml", "safetensors"):
        path = tmp_path / f"people.{ending}"
        assert said("export", "people", path)[0] == 0
        assert path.stat().st_size > 0
    again = ng.from_json(tmp_path / "people.json")
    assert len(again.connections) == 26
    tables = {
        ending: said("summary", tmp_path / f"people.{ending}")
        for ending in ("safetensors", "json", "graphml")
    }
    assert tables["safetensors"][0] == 0
    assert tables["safetensors"] == tables["json"] == tables["graphml"]
    for ending in ("txt", "npz"):
        status, _, err = said("summary", tmp_path / f"people.{ending}")
        assert status == 2
        assert f"ends in .{ending} holds no whole network; give one that ends in .safetens" in err
    (tmp_path / "other.json").write_text("[1]")
    assert "not written by neurograph's to_json" in said("summary", tmp_path / "other.json")[2]


def test_an_onnx_file_is_a_network_too(said, run_folder, tmp_path):
    pytest.importorskip("onnx")
    assert said("export", run_folder, tmp_path / "net.onnx")[0] == 0
    assert said("check", tmp_path / "net.onnx")[0] == 0


def test_render_draws(said, run_folder, tmp_path):
    path = tmp_path / "net.dot"
    words = ["--view", "nodes", "--show", "weight,output", "--sample", 2]
    status, out, _ = said("render", run_folder, path, *words)
    assert status == 0
    assert path.read_text().startswith("digraph")
    assert str(path) in out


def test_the_command_lines_in_the_documents_are_understood():
    lines = [
        shlex.split(line, comments=True)[1:]
        for path in DOCUMENTS
        for line in re.findall(r"^    (neurograph .*)$", path.read_text(encoding="utf-8"), re.M)
    ]
    assert len(lines) > 12
    for words in lines:
        assert make_parser(words).parse_args(words).command == words[0], words


# what goes wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["summary", "lent5"], "did you mean 'lenet5'?"),
        (["train", "mlp"], "neurograph train SPEC --data NAME"),
        (["train", "mlp", "--data", "mnst"], "did you mean 'mnist'?"),
        (["train", "mlp", "--data", "names"], "is text"),
        (["train", "mlp", "--data", "digits", "--optimizer", "adm"], "did you mean 'adam'?"),
        (["train", "mlp", "--data", "digits", "--out", "x", "--epochs", "-1"], "epochs"),
        (["train", "mlp", "--data", "digits", "--batch-size", "0"], "--batch-size"),
        (["train", "mlp", "--data", "digits", "--seed", "-1"], "--seed must be"),
        (["train", "mlp", "--data", "digits", "--validation-split", "2"], "--validation-split"),
        (["train", "mlp", "--data", "airline"], "give one that fits as file.py:function"),
        (["train", "--resume"], "add --out DIR"),
        (["train", "--resume", "--out", "nowhere"], "there is no run in nowhere"),
        (["evaluate", "people"], "add --data NAME"),
        (["render", "people", "x.svg", "--limit", "0"], "limit must be a number of at least 3"),
        (["summary", "no/such.safetensors"], "there is no such file or folder"),
        (["summary", "nosuch.json"], "there is no such file or folder"),
        (["evaluate", "lenet5_cifar", "--data", "iris"], "shape"),
        (["summary", "people.py"], "returns a network, people.py:NAME"),
        (["predict", "people"], "give a picture"),
        (["predict", "people", "no.csv"], "no.csv"),
        (["predict", "people", "no.png"], "no.png: there is no such file"),
        (["predict", "people", "no.doc"], "predict reads"),
        (["predict", "people", "no.csv", "--out", "x.txt"], "x.txt: outputs are written as"),
        (["predict", "people", "no.csv", "--top", "0"], "--top"),
        (["inspect", "people", "dens[1]"], "did you mean 'dense"),
        (["inspect", "people", "dense[9]"], "nodes 0 to 3, there is no node 9"),
        (["inspect", "people", "dense[0]->dense_1[9]"], "nodes 0 to 1, there is no node 9"),
        (["inspect", "people", "dense[1]", "--top", "0"], "--top"),
        (["render", "people", "x.swg"], "did you mean 'svg'?"),
        (["render", "people", "x.dot", "--view", "node"], "did you mean 'nodes'?"),
        (["export", "people", "x.jsn"], "did you mean '.json'?"),
        (["datasets", "irs"], "did you mean 'iris'?"),
        (["check", "people", "--batch", "0"], "--batch"),
        (["bench", "tiny", "--threads", "0"], "--threads"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(said, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    status, _, err = said(*words)
    assert status == 2
    assert sentence in err
    assert err.count("\n") == 1
    assert err.startswith(f"neurograph {words[0]}: ")
    assert err.count(f"{words[0]}: ") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_or_written_is_named(said, tmp_path):
    pytest.importorskip("PIL.Image")
    (tmp_path / "text.png").write_text("no picture")
    status, out, err = said("predict", "mlp", tmp_path / "text.png")
    assert (status, out) == (2, "")
    assert err.endswith("picture 'text.png' cannot be read: Pillow knows no such format\n")
    for content in ("", "no array"):
        (tmp_path / "text.npy").write_text(content)
        status, out, err = said("predict", "mlp", tmp_path / "text.npy")
        assert (status, out) == (2, "")
        assert err.endswith("text.npy: this is no .npy file with an array of numbers\n")
    words = ["train", "mlp", "--data", "iris", "--epochs", 1, "--quiet"]
    status, _, err = said(*words, "--out", tmp_path / "text.png")
    assert status == 2
    assert err == f"neurograph train: {tmp_path / 'text.png'}: file exists\n"


def test_debug_shows_the_traceback(said):
    status, _, err = said("--debug", "summary", "lent5")
    assert status == 2
    assert err.startswith("Traceback")
    assert "did you mean 'lenet5'?" in err


def test_what_a_file_of_ones_own_raises_is_one_sentence(said, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def none():\n    return 1 / 0\ndef some(size):\n    return size\n")
    status, _, err = said("summary", f"{file}:none")
    assert status == 2
    assert err.endswith(":none raised ZeroDivisionError: division by zero; --debug shows where\n")
    status, _, err = said("summary", f"{file}:some")
    assert (status, err.count("\n")) == (2, 1)
    assert "raised TypeError: some() missing 1 required positional argument: 'size'" in err
    file.write_text("def none(:")
    status, _, err = said("summary", f"{file}:none")
    assert (status, err.count("\n")) == (2, 1)
    assert "mine.py raised SyntaxError: " in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "neurograph: say what to do"),
        (["trian"], "neurograph: argument COMMAND: invalid choice: 'trian'"),
        (["train", "mlp", "--epochs", "a"], "neurograph train: argument --epochs: invalid int"),
        (["render", "mlp"], "neurograph render: the following arguments are required: FILE"),
        (["explain", "mlp", "dense[0]"], "neurograph: unrecognized arguments: dense[0]"),
    ],
)
def test_wrong_usage_is_one_line(said, words, sentence):
    status, _, err = said(*words)
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(sentence)


def test_usage(said):
    status, out, _ = said("--help")
    assert status == 0
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help(said, command):
    status, out, _ = said(command, "--help")
    assert status == 0
    assert out.startswith(f"usage: neurograph {command}")


def test_datasets_and_doctor(said):
    status, out, _ = said("datasets")
    assert status == 0
    assert "iris" in out
    assert "setosa" in said("datasets", "iris")[1]
    status, out, _ = said("doctor")
    assert status == 0
    assert "numpy" in out


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_in_a_process_of_its_own(encoding):
    done = subprocess.run(
        [sys.executable, "-m", "neurograph", "summary", "people"],
        capture_output=True, text=True, encoding=encoding, check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "26 parameters" in done.stdout

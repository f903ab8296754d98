"""The benchmark measures, and every library builds the same networks."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from neurograph.bench import ours
from neurograph.bench.measure import Result
from neurograph.bench.peers import CONTENDERS, OURS
from neurograph.bench.rows import LEVELS, ROWS, WIDTH, random_edges
from neurograph.cli import main

SMALL = [name for name in ROWS if name not in ("wide", "vgg", "resnet", "inception")]


def test_bench_prints_a_table_and_writes_json(capfd, tmp_path):
    path = tmp_path / "bench.json"
    peers = "sklearn" if find_spec("sklearn") else ""
    words = ["bench", "tiny", "--rounds", "2", "--threads", "1", "--json", str(path)]
    assert main([*words, "--peers", peers]) == 0
    out = capfd.readouterr().out
    assert "tiny: 3-4-2, batch 8, training" in out
    found = json.loads(path.read_text())
    contenders = [each["contender"] for each in found["results"]]
    assert contenders == [OURS, *(["sklearn"] if peers else [])]
    for each in found["results"]:
        assert each["error"] == ""
        assert len(each["seconds"]) == 2
        assert all(seconds > 0 for seconds in each["seconds"])
        # one thread cannot work longer than it takes, but for the clocks' grain
        pairs = zip(each["processor"], each["seconds"], strict=True)
        assert all(0 < busy < 50 * seconds for busy, seconds in pairs)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["tny"], "did you mean 'tiny'?"),
        (["tiny", "--peers", "troch"], "did you mean 'torch'?"),
        (["tiny", "--rounds", "0"], "--rounds"),
    ],
)
def test_mistakes(capsys, words, sentence):
    assert main(["bench", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_results_are_medians_and_quartiles():
    result = Result("tiny", OURS, [3.0, 1.0, 2.0])
    assert result.median == 2.0
    assert result.spread == 0.25
    assert Result("tiny", OURS, [3.0]).spread == 0.0


@pytest.mark.parametrize("name", SMALL)
def test_every_row_runs_here(name):
    step = ours.make(ROWS[name], 1)
    step()


def test_random_edges_are_what_they_say():
    edges = random_edges(20_000)
    assert len(edges.up) == 20_000
    assert np.all(edges.up // WIDTH < edges.down // WIDTH)
    assert len(set(zip(edges.up.tolist(), edges.down.tolist(), strict=True))) == 20_000
    assert set(edges.down.tolist()) == set(range(WIDTH, (LEVELS + 1) * WIDTH))
    parts = [edges.into_level(level) for level in range(1, LEVELS + 1)]
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]


def test_the_random_graph_is_the_same_network_in_pytorch():
    torch = pytest.importorskip("torch")
    from neurograph.bench.torch_peer import Sparse

    x = ROWS["sparse"].data()[0][:3]
    with torch.inference_mode():
        theirs = Sparse(2000)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours.sparse_network(2000).predict(x), theirs, atol=1e-5)


@pytest.mark.parametrize("name", ["lenet", "inception", "char", "bidirectional"])
def test_pytorch_builds_networks_of_the_same_size(name):
    pytest.importorskip("torch")
    from neurograph.bench.torch_peer import Net

    row = ROWS[name]
    network = ours.network_of(row)
    mine = sum(each.size for each in network.parameters.values() if each.trainable)
    theirs = sum(each.numel() for each in Net(row).parameters())
    biases = {"char": 4 * 256, "bidirectional": 8 * 128}.get(name, 0)  # PyTorch has them twice
    assert theirs == mine + biases


def test_rows_and_contenders_name_what_there_is():
    assert all(row.name == name for name, row in ROWS.items())
    assert set(CONTENDERS) >= {OURS, "torch", "jax", "keras", "sklearn"}

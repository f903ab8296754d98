"""Two processes with half of the data each take the steps of one process with all of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import neurograph as ng

SCRIPT = """
import sys
import numpy as np
import neurograph as ng

net = ng.Network([3, 4, 2], seed=len(sys.argv))
model = net.compile("adam", "mse", dtype="float64")
rank, size = ng.average_over_ranks(model)
x = np.random.default_rng(0).normal(size=(8, 3))
y = np.random.default_rng(1).random((8, 2))
for step in range(5):
    model.train_on_batch(x[rank::size], y[rank::size])
if rank == 0:
    np.save(sys.argv[1], np.concatenate([w.ravel() for w in net.get_weights()]))
    print(size)
"""


def test_two_ranks_take_the_steps_of_one(tmp_path: Path) -> None:
    pytest.importorskip("mpi4py")
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which(
        "mpiexec"
    )
    if mpiexec is None:
        pytest.skip("there is no mpiexec")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    found = []
    for ranks in (1, 2):
        out = tmp_path / f"{ranks}.npy"
        done = subprocess.run(
            [mpiexec, "-n", str(ranks), sys.executable, str(script), str(out)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.split() == [str(ranks)]
        found.append(np.load(out))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_without_mpi4py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    model = ng.Network([2, 1]).compile("sgd", "sse")
    with pytest.raises(ng.MissingDependencyError, match=r"neurograph\[mpi\]"):
        ng.average_over_ranks(model)

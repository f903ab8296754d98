"""Recurrent cells made by hand: recognised, step by step, and beside the layer of the library.

``python tests/benchmarks/handmade_cells.py`` prints the processor time of a training step of each,
medians of interleaved rounds, and the ratios.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np

import neurograph as ng
from neurograph.compiler.made_cells import CellFinder

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_cells import KINDS, one_cell

BATCH, STEPS, FEATURES, UNITS, ROUNDS = 64, 60, 8, 80, 30


def layer(kind: str) -> Any:
    """Return the layer of the library that a cell is."""
    if kind.startswith("gru"):
        return ng.GRU(UNITS, return_sequences=True, reset_after=kind == "gru")
    return {"simple": ng.SimpleRNN, "lstm": ng.LSTM}[kind](UNITS, return_sequences=True)


def models(kind: str, x: Any, y: Any) -> dict[str, Any]:
    """Compile the three forms; each has taken a first step."""
    found = {}
    for way in ("recognised", "step by step", "library"):
        if way == "library":
            net = ng.Network([ng.Input((None, FEATURES)), layer(kind), ng.Dense(2)])
        else:
            net = one_cell(kind, FEATURES, UNITS)[0]
        find = (lambda self, stage: None) if way == "step by step" else CellFinder.find
        with patch.object(CellFinder, "find", find):
            found[way] = net.compile("rmsprop", "mse")
            found[way].train_on_batch(x, y)
    return found


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, STEPS, FEATURES)).astype(np.float32)
    y = rng.normal(size=(BATCH, STEPS, 2)).astype(np.float32)
    for kind in KINDS:
        forms = models(kind, x, y)
        times: dict[str, list[float]] = {way: [] for way in forms}
        for _ in range(ROUNDS):
            for way, model in forms.items():
                start = time.process_time()
                model.train_on_batch(x, y)
                times[way].append(1e3 * (time.process_time() - start))
        found, general, library = (median(each) for each in times.values())
        print(
            f"{kind:10} {found:6.2f} ms; step by step {general / found:.2f} times as long, "
            f"the layer {library / found:.2f}"
        )


if __name__ == "__main__":
    main()

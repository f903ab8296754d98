"""The ONNX package's own tests of single operators, run on what ``from_onnx`` makes of them.

``python tests/onnx_node_tests.py`` prints the list of docs/looking.md, then why what is refused is
refused. A test counts if its model has operators of our table only and is not the expansion of an
operator into others. One of its inputs, or all, are inputs here, the others constants of the file.
"""

from __future__ import annotations

import re
import sys
import tempfile
import warnings
from collections import Counter, defaultdict
from itertools import permutations, repeat
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases

import neurograph as ng
from neurograph.interop.onnx_nodes import TABLE
from neurograph.interop.onnx_recurrent import RECURRENT


def kinds(test: Any) -> str:
    """Return the operators of a test."""
    return "+".join(sorted({node.op_type for node in test.model.graph.node}))


def belongs(test: Any) -> bool:
    """Whether all operators of a test are of the table."""
    nodes = test.model.graph.node
    named = all(node.domain in ("", "ai.onnx") and node.op_type in TABLE for node in nodes)
    return named and "_expanded" not in test.name


def plain(value: Any) -> Any:
    """Return an array where a tensor is given as it stands in files."""
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def forms(model: Any, values: list[Any]) -> list[tuple[Any, list[int]]]:
    """Return a model with some inputs turned into constants, and which are inputs still."""
    every = list(range(len(values)))
    found = []
    for live in [*([k] for k in every), every]:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        for k in every:
            if k not in live and not isinstance(values[k], list):
                array, name = np.asarray(values[k]), model.graph.input[k].name
                copy.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        found.append((copy, live))
    return found


def same(found: Any, expected: Any, kind: str) -> bool:
    """Whether an output is the one expected, its batch first and its channels last."""
    found, expected = np.asarray(found), np.asarray(expected)
    orders = [expected]
    if kind == "Transpose":  # the batch and the steps come first here, wherever it puts them
        orders += [expected.transpose(order) for order in permutations(range(expected.ndim))]
    elif expected.ndim > 2:
        orders += [np.moveaxis(expected, 1, -1), expected.swapaxes(0, 1)]
        orders += [np.moveaxis(expected, 2, 0)] if kind in RECURRENT else []
    return any(
        found.shape == each.shape and np.allclose(found, each, rtol=1e-3, atol=1e-5, equal_nan=True)
        for each in orders
    )


def fed(network: Any, values: list[Any], kind: str) -> list[Any]:
    """Return inputs in our order: the batch first, the channels last."""
    found = []
    for value, port in zip(values, network.inputs, strict=True):
        array = np.asarray(value)
        if array.shape[1:] != port.shape and array.ndim > 2:
            array = array.swapaxes(0, 1) if kind in RECURRENT else np.moveaxis(array, 1, -1)
        found.append(array)
    return found


def outcome(test: Any, path: Path) -> str:
    """Return "", or why a test is refused; raise AssertionError for other numbers."""
    values, expected = (list(map(plain, each)) for each in test.data_sets[0])
    reason = ""
    for model, live in forms(test.model, values):
        path.write_bytes(model.SerializeToString())
        try:
            network = ng.from_onnx(path)
            inputs = fed(network, [values[k] for k in live], kinds(test))
            outputs = network.predict(inputs[0] if len(inputs) == 1 else inputs)
        except ng.NeurographError as error:
            reason = reason or str(error)
            continue
        several = outputs if isinstance(outputs, list) else [outputs]
        right = all(map(same, several, expected, repeat(kinds(test))))
        assert right, f"{test.name} gives other numbers"
        return ""
    return reason


def main() -> int:
    """Run the tests; print what came of them."""
    warnings.simplefilter("ignore")
    counts: dict[str, Counter[bool]] = defaultdict(Counter)
    reasons: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for test in filter(belongs, collect_testcases(None)):
            reason = outcome(test, Path(folder) / "net.onnx")
            counts[kinds(test)][not reason] += 1
            if reason:
                reasons[re.sub(r"^from_onnx: (node '.*?' |input '.*?' )?", "", reason)] += 1
    passed, refused = (sum(each[way] for each in counts.values()) for way in (True, False))
    print(f"onnx {onnx.__version__}: {passed} give the expected numbers, {refused} are refused\n")
    rows = [f"{kind} {each[True]}/{each.total()}" for kind, each in sorted(counts.items())]
    print(fill(", ".join(rows), 105))
    print()
    for reason, number in reasons.most_common():
        print(f"{number:4} {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Export: the prediction of a network as a script that needs NumPy alone."""

from __future__ import annotations

import ast
import base64
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np

from neurograph.compiler.executable import PREDICT, Executable
from neurograph.compiler.plan import Plan
from neurograph.compiler.storage import Sizes
from neurograph.errors import GraphError, OptionError
from neurograph.kernels import portable

BATCH = 32
EMBEDDED = 100_000  # so many bytes of weights are written into the script itself

_HEAD = '''"""{name}: predict(x) gives the outputs for {inputs}.

Written by neurograph; it needs NumPy alone{beside}. Samples go through in blocks of {batch}.
"""

import base64
import math
from pathlib import Path
from typing import Any

import numpy as np

'''

_TAIL = '''
_fed = ({places},)
_given_back = ({results},)


def predict({arguments}):
    """Return the outputs, (samples, …), for inputs {inputs}."""
    arrays = [np.asarray(each, np.float64) for each in ({arguments},)]
    count, found = len(arrays[0]), []
    for start in range(0, count, {batch}):
        size = min({batch}, count - start)
        for place, values in zip(_fed, arrays):
            place[:size] = values[start : start + size]
            place[size:] = 0
        forward()
        found.append([np.array(each[:size]) for each in _given_back])
    joined = [np.concatenate(each) for each in zip(*found)]
    return joined[0] if len(joined) == 1 else joined


if __name__ == "__main__":
    _zeros = [np.zeros((1, *place.shape[1:])) for place in _fed]
    print("outputs for inputs of 0:", np.round(predict(*_zeros), 4).tolist())
'''


def script(executable: Executable, path: Path, steps: int | None = None) -> tuple[str, Any]:
    """Return the text of the script, and the arrays for a file beside it (None if it has all).

    Raises
    ------
    OptionError
        The network takes sequences of any length and ``steps`` is not given.
    GraphError
        It holds something that has no plain NumPy text: the message names it.
    """
    plan = executable.plan(PREDICT, Sizes(BATCH, _steps(executable, steps)))
    needs = sorted(name for name, value in plan.given.items() if not isinstance(value, np.ndarray))
    if needs:
        raise GraphError(
            f"network {executable.network.name!r}: {needs[0]!r} has no plain NumPy text, so it "
            f"cannot be exported as a script; save the model instead"
        )
    arrays = {name: np.asarray(value) for name, value in plan.given.items()}
    arrays["parameters"] = executable.arena.parameters
    small = sum(each.nbytes for each in arrays.values()) <= EMBEDDED
    weights = path.with_suffix(".npz")
    text = plan.source.split("\n", 1)[1] if plan.source.startswith('"""') else plan.source
    body = [line for line in text.splitlines() if not line.startswith(("from ", "import "))]
    source = "\n".join(body)
    _check_activations(executable.network.name, source)
    names = [port.name for port in executable.network.inputs]
    shapes = ", ".join(
        f"{n} {plan.arrays[p].shape[1:]}" for n, p in zip(names, plan.program.inputs, strict=True)
    )
    parts = [
        _HEAD.format(
            name=executable.network.name.replace('"', "'").replace("\\", "/"),
            inputs=shapes,
            beside="" if small else f" and {weights.name} beside it",
            batch=BATCH,
        ),
        _embedded(arrays) if small else _beside(weights.name),
        "team = None",
        "gradients = np.zeros(0)",
        *_portable(source),
        _own(source),
        _tail(plan, shapes),
    ]
    return "\n".join(parts), None if small else arrays


def _check_activations(network: str, source: str) -> None:
    """Refuse activations that were registered: their functions have no text of their own."""
    for _, name in re.findall(r"get_activation\((['\"])(.*?)\1\)", source):
        raise GraphError(
            f"network {network!r}: {name!r} is an activation of your own, so it cannot be "
            f"exported as a script; save the model instead"
        )


def _own(source: str) -> str:
    """Return the text without the lines that let it begin with zeros."""
    lines = source.splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("if 'parameters' not in"))
    stop = next(k for k in range(start + 1, len(lines)) if not lines[k].startswith("    "))
    return "\n".join(lines[:start] + lines[stop:])


def _steps(executable: Executable, steps: int | None) -> tuple[int, ...]:
    free = [layers for layers in executable.clocks if not any(layer.steps for layer in layers)]
    if free and steps is None:
        raise OptionError(
            f"export: {free[0][0].name!r} takes sequences of any length; say how many steps the "
            f"script is for, in Python: model.export(path, steps=60)"
        )
    return tuple(
        next((layer.steps for layer in layers if layer.steps), steps) or 1
        for layers in executable.clocks
    )


def _embedded(arrays: dict[str, Any]) -> str:
    lines = ["given = {"]
    for name, array in arrays.items():
        data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        lines.append(
            f"    {name!r}: np.frombuffer(base64.b64decode({data!r}), np.{array.dtype})"
            f".reshape({array.shape}).copy(),"
        )
    return "\n".join([*lines, "}", "parameters = given['parameters']"])


def _beside(name: str) -> str:
    return "\n".join(
        [f"given = dict(np.load(Path(__file__).with_name({name!r})))",
         "parameters = given['parameters']"]
    )  # fmt: skip


def _portable(source: str) -> list[str]:
    """Return the plain kernels that a text calls, and what they need themselves."""
    text = inspect.getsource(portable)
    items: dict[str, str] = {}
    for node in ast.parse(text).body:
        segment = ast.get_source_segment(text, node) or ""
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            items[node.name] = segment
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    items[target.id] = segment
    wanted: list[str] = []

    def want(part: str) -> None:
        for name in re.findall(r"\b\w+\b", part):
            if name in items and name not in wanted:
                wanted.append(name)
                want(items[name])

    want(source)
    chosen = [items[name] for name in items if name in wanted]
    return list(dict.fromkeys(f"\n{each}\n" for each in chosen))


def _tail(plan: Plan, shapes: str) -> str:
    def turned(name: str) -> str:
        return name if plan.lead[name] == 1 else f"{name}.swapaxes(0, 1)"

    inputs = plan.program.inputs
    arguments = ", ".join(f"x_{k}" for k in range(len(inputs))) if len(inputs) > 1 else "x"
    return _TAIL.format(
        arguments=arguments,
        inputs=shapes,
        batch=BATCH,
        places=", ".join(map(turned, inputs)),
        results=", ".join(map(turned, plan.program.outputs)),
    )

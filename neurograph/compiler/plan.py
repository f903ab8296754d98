"""Plan: a program with all its arrays for one batch size, and the functions that run it."""

from __future__ import annotations

import json
import linecache
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.compiler.arena import Arena
from neurograph.compiler.emit import Emitter
from neurograph.compiler.names import KERNELS
from neurograph.compiler.operations import OPERATIONS
from neurograph.compiler.program import Loop, Program, Statement, statements
from neurograph.compiler.storage import Sizes, assign, moving_statistics
from neurograph.errors import CompileError
from neurograph.graph.layer import Layer
from neurograph.kernels.blas import single_threaded
from neurograph.kernels.team import Team

_count = 0


class Plan:
    """The arrays and functions of a program for one batch size and number of steps.

    Attributes
    ----------
    source : str
        The NumPy text; executing it gives the functions ``forward`` and ``backward``.
    arrays : dict
        All names of the text.
    forward : callable
    backward : callable
        Returns the loss.
    bytes : int
        The memory of the values, without parameters.
    states : list
        The stateful layers, each with its array before the first step and after the last.
    masks : list
        For each output the array, the batch first, that says which of its steps count; or None.
    """

    def __init__(
        self,
        program: Program,
        sizes: Sizes,
        arena: Arena,
        *,
        reuse: bool = True,
        in_place: bool = True,
        title: str = "",
        team: Team | None = None,
    ) -> None:
        self.program = program
        self.sizes = sizes
        storage = assign(program, sizes, reuse, in_place)
        self.bytes = storage.bytes
        emitter = Emitter(program, sizes, storage)
        self.source = _text(emitter, program, arena, title)
        self.given = emitter.given
        self._texts, self._times = emitter.texts, emitter.times
        self.arrays: dict[str, Any] = {
            "parameters": arena.parameters,
            "gradients": arena.gradients,
            "team": team,
            "given": emitter.given,
        }
        self._execute()
        self.forward: Callable[[], None] = self.arrays["forward"]
        self.backward: Callable[[], float] | None = self.arrays.get("backward")
        if team is not None and team.threads > 1 and _divided(program, sizes):
            self.forward = _alone(self.forward)
            self.backward = self.backward and _alone(self.backward)
        self._verify(emitter)
        self.masks: list[NDArray[Any] | None] = []
        self.states: list[tuple[Layer, NDArray[Any] | None, NDArray[Any]]] = []
        self.lead = {name: array.lead for name, array in program.arrays.items()}
        self.normalized = [
            (
                self.arrays[f"{statement.get('name')}_workspace"],
                program.constants[f"{statement.get('name')}_function"],
            )
            for statement in statements(program.forward)
            if statement.op == "normalize"
        ]
        self.moving = moving_statistics(program)
        self.noise = [
            (name, program.constants[f"{name}_sampler"])
            for name, array in program.arrays.items()
            if array.role == "noise"
        ]

    def __repr__(self) -> str:
        return (
            f"<Plan for batches of {self.sizes.batch:,}: {len(self.program.arrays):,} arrays, "
            f"{self.bytes:,} bytes without parameters>"
        )

    @property
    def losses(self) -> list[float]:
        """The loss of each output in the last run, unweighted; empty if there is only one."""
        return list(self.arrays.get("losses", ()))

    def replay(self) -> Iterator[tuple[Statement, int | None]]:
        """Run the forward pass statement by statement; yield each after it ran, with its step."""
        for step in self.program.forward:
            body = step.body if isinstance(step, Loop) else (step,)
            codes = [compile(self._texts[id(each)], "<replay>", "exec") for each in body]
            for t in self._times.get(id(step), (None,)):
                self.arrays["t"] = t
                for statement, code in zip(body, codes, strict=True):
                    exec(code, self.arrays)
                    yield statement, t

    def batch_first(self, name: str) -> NDArray[Any]:
        """Return an array as a view with the batch before time."""
        array: NDArray[Any] = self.arrays[name]
        return array if self.lead[name] == 1 else array.swapaxes(0, 1)

    def _execute(self) -> None:
        global _count
        _count += 1
        name = f"<neurograph program {_count}>"
        linecache.cache[name] = (len(self.source), None, self.source.splitlines(True), name)
        with np.errstate(all="ignore"):
            exec(compile(self.source, name, "exec"), self.arrays)

    def _verify(self, emitter: Emitter) -> None:
        """Check that every view is a view: a copy would lose what is written to it."""
        arrays = emitter.builder.arrays
        for name, array in arrays.items():
            if array.view is None or name not in self.arrays:
                continue
            base = array.view.base
            while base not in self.arrays and (view := arrays[base].view):  # written into this one
                base = view.base
            if not np.shares_memory(self.arrays[name], self.arrays[base]):
                raise CompileError(f"{name} is a copy of {base}, not a view")
        for name, base in emitter.row_views.items():
            if not np.shares_memory(self.arrays[name], self.arrays[base]):
                raise CompileError(f"{name} is a copy of {base}, not a view")


def _text(emitter: Emitter, program: Program, arena: Arena, title: str) -> str:
    """Return the NumPy text: imports, declarations, and the functions."""
    functions = [emitter.function("forward", program.forward)]
    several = []
    if program.backward:
        backward = [emitter.function("backward", program.backward)]
        if len(emitter.losses) > 1:
            several = [f"losses = [0.0] * {len(emitter.losses)}  # of each output"]
            backward.append(f"    losses[:] = {', '.join(emitter.losses)}")
        backward.append(f"    return {' + '.join(emitter.loss_terms) or '0.0'}")
        functions.append("\n".join(backward))
    declarations = emitter.declarations()
    called = set(re.findall(r"\b(\w+)\(", "\n".join([*declarations, *functions])))
    head = [
        f'"""{json.dumps(title)[1:-1]}"""',
        "import numpy as np",
        *(f"from {home} import {kernel}" for kernel, home in KERNELS.items() if kernel in called),
        "",
        "if 'parameters' not in globals():  # on its own, the text begins with zeros",
        f"    parameters = np.zeros({len(arena.parameters)}, np.{arena.dtype})",
        f"    gradients = np.zeros({len(arena.parameters)}, np.{arena.dtype})",
        "",
        *declarations,
        *several,
    ]
    return "\n\n\n".join(["\n".join(head), *functions]) + "\n"


def _alone(run: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function during whose run the threads of BLAS stay out of a team's way."""

    def alone() -> Any:
        with single_threaded():
            return run()

    return alone


def _divided(program: Program, sizes: Sizes) -> bool:
    """Whether a team divides nearly all products of a program among its members."""
    divided = others = 0
    for step in (*program.forward, *program.backward):
        if isinstance(step, Loop) or step.op in ("cell", "cell_gradient"):
            return False
        if step.op in ("product", "outer"):
            others += OPERATIONS[step.op].flops(program, step, sizes.count)
        elif step.op.startswith("convolve"):
            divided += OPERATIONS[step.op].flops(program, step, sizes.count)
    return others < divided / 4

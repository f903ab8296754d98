"""Flow: the arrows of a picture of a program, against the memory itself, number by number."""

import re

import numpy as np
import pytest
from cases import CASES
from render_networks import by_hand

from neurograph.compiler.program import Program, Ref, Statement, statements
from neurograph.render.flow import Flow

SIZES = {"B": 2, "T": 5}
CHOSEN = (
    "delay_two",
    "fold_and_step",
    "handmade_aggregations",
    "lstm_dropout",
    "masking_general",
    "siamese",
)


class Memory:
    """The arrays of a program, where each number is the name of the statement that wrote it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.arrays: dict[str, np.ndarray] = {}

    def array(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            array = self.program.arrays[name]
            if array.view is None:
                shape = [size(dim) for dim in array.dims]
                self.arrays[name] = np.full(shape, None, dtype=object)
            elif array.view.index is None:
                base = self.array(array.view.base)
                self.arrays[name] = base.reshape([size(dim) for dim in array.dims])
                assert np.shares_memory(base, self.arrays[name])
            else:
                parts = tuple(slice(*part) for part in array.view.index)
                self.arrays[name] = self.array(array.view.base)[parts]
        return self.arrays[name]

    def at(self, ref: Ref) -> np.ndarray:
        """Return an array, or what a loop sees of it in other steps than its own."""
        array, late = self.array(ref.name), ref.offset or 0
        if not late:
            return array
        base = self.array(self.program.base(ref.name))
        before = (array.ctypes.data - base.ctypes.data) // base.strides[0]
        start, stop = max(before + late, 0), base.shape[0] + late
        rest = array.ctypes.data - base.ctypes.data - before * base.strides[0]
        return np.lib.stride_tricks.as_strided(
            base[start:].reshape(-1)[rest // base.itemsize :],
            (stop - start, *array.shape[1:]),
            (base.strides[0], *array.strides[1:]),
        )

    def read(self, statement: Statement) -> set[str]:
        """Return who wrote what a statement reads."""
        parts = [self.at(ref) for ref in statement.inputs]
        rows = self.program.constants.get(statement.get("rows"))
        if statement.op == "gather":
            parts[0] = np.take(parts[0], rows, axis=-2)
        if statement.accumulate:
            out = self.at(statement.out)
            parts.append(np.take(out, rows, axis=-2) if statement.op == "scatter" else out)
        return {each for part in parts for each in part.reshape(-1).tolist()} - {None}

    def write(self, statement: Statement, name: str) -> None:
        out = self.array(statement.out.name)
        if statement.op == "scatter":
            rows = self.program.constants[statement.get("rows")]
            out = np.moveaxis(out, -2, 0)
            out[rows] = name
        else:
            out[...] = name


def size(dim: int | str) -> int:
    """Return the length of an axis such as T+2."""
    found = re.fullmatch(r"(\w)\S*?(?:\+(\d+))?", str(dim))
    return dim if isinstance(dim, int) else SIZES[found[1]] + int(found[2] or 0)


@pytest.mark.parametrize("name", ["by_hand", *CHOSEN])
def test_arrows_come_from_whoever_wrote_what_is_read(name):
    net = by_hand() if name == "by_hand" else CASES[name].build()
    program = net.compile(passes=()).program
    flow, memory = Flow(program), Memory(program)
    for given, array in program.arrays.items():
        if array.role in ("input", "target") and array.view is None:
            flow.given(given, given)
            memory.array(given)[...] = given
    checked = 0
    for number, statement in enumerate(statements((*program.forward, *program.backward))):
        assert set(flow.sources(statement)) == memory.read(statement), str(statement)
        flow.written(statement, f"s{number}")
        memory.write(statement, f"s{number}")
        checked += 1
    assert checked > 12

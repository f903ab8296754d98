"""Emit: writes the NumPy text of a program for one batch size."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from textwrap import dedent
from typing import Any

from neurograph.compiler.backward import shifted
from neurograph.compiler.builder import Builder
from neurograph.compiler.declarations import Declarations
from neurograph.compiler.given import declare
from neurograph.compiler.operations import OPERATIONS
from neurograph.compiler.program import Array, Loop, Program, Ref, Statement, Step
from neurograph.compiler.storage import Sizes, Storage
from neurograph.lines import Lines

_AUGMENTED = re.compile(r"^(\s*)(\w+(?:\[t\])?) ([-+*/&])= (.+)$")
_NUMBER = re.compile(
    r"^(\s*np\.(?:add|subtract|multiply|divide|maximum|minimum|greater)\((?:[\w\[\].]+, )?)"
    r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)(, .*out=.*)$"
)
_NUMBER_NAMES = {0.0: "zero", 0.5: "half", 1.0: "one", 2.0: "two", -1.0: "minus_one"}
_UFUNCS = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "&": "logical_and",
}


def _as_call(match: re.Match[str]) -> str:
    """Turn an augmented assignment, which would make a local variable, into a NumPy call."""
    indent, name, sign, value = match.groups()
    return f"{indent}np.{_UFUNCS[sign]}({name}, {value}, out={name})"


def _in_one_piece(statement: Statement, direction: int, steps: int) -> str:
    """Return the test whether step t and the one it sends something to lie in one piece.

    Steps count in the order of the forward pass, against the loop's; those before the first, the
    initial state, belong to the first piece.
    """
    offset, pieces = statement.out.offset, statement.get("truncate")
    assert offset is not None
    here = "t" if direction < 0 else f"({steps - 1} - t)"
    there = f"max({here} - {abs(offset)}, 0)"
    return f"{there} // {pieces} == {here} // {pieces}"


class Emitter:
    """Collects the lines of the source text, for operations that ask for names and temporaries."""

    def __init__(self, program: Program, sizes: Sizes, storage: Storage) -> None:
        self.builder = Builder("", program)
        self.program = program
        self.sizes = sizes
        self.batch = sizes.batch
        self.storage = storage
        self.given: dict[str, Any] = {}
        self.constants: dict[str, str] = {}
        self._constant_lines: list[str] = []
        self.body: list[str] = []
        self._written: list[str] = []
        self._views: dict[str, str] = {}
        self._tops: list[str] = []
        self._scratch: dict[tuple[str, int], int] = {}
        self._scratch_views: dict[str, str] = {}
        self._next_scratch = 0
        self._indent = "    "
        self.losses: list[str] = []
        self.loss_terms: list[str] = []
        self.texts: dict[int, str] = {}  # the lines of each statement, by its id
        self.times: dict[int, range] = {}  # the steps that each loop goes through, by its id
        self.row_views: dict[str, str] = {}
        self.known = self.builder.taken
        self.known |= set(program.arrays)

    # what operations ask ----------------------------------------------------------------------

    def array(self, ref: Ref) -> Array:
        """Return the declaration of an operand."""
        return self.builder.arrays[ref.name]

    def shape(self, ref: Ref) -> tuple[int, ...]:
        """Return the shape of an operand (of one step of it, inside a loop)."""
        shape = self.sizes.shape(self.array(ref).dims)
        return shape if ref.offset is None else shape[1:]

    def ndim(self, ref: Ref) -> int:
        """Return the number of axes of an operand."""
        return len(self.shape(ref))

    def size(self, ref: Ref) -> int:
        """Return the number of elements of an operand."""
        return math.prod(self.shape(ref))

    def lead(self, ref: Ref) -> int:
        """Return the number of leading axes of an operand: batch, or time and batch."""
        return self.array(ref).lead - (ref.offset is not None)

    def nodes_first(self, ref: Ref) -> bool:
        """Whether the nodes of an operand come before the batch."""
        return self.array(ref).nodes_first

    def dtype(self, ref: Ref) -> str:
        """Return the dtype of an operand."""
        return self.array(ref).dtype

    def is_contiguous(self, ref: Ref) -> bool:
        """Whether an operand is one piece of memory in C order."""
        array = self.array(ref)
        while array.view is not None:
            base = self.builder.arrays[array.view.base]
            if array.view.index is not None:
                first = 1 if ref.offset is None else 2
                for axis, (low, high) in enumerate(array.view.index):
                    whole = low == 0 and (high is None or high == base.dims[axis])
                    if axis >= first and not whole:
                        return False
                    if axis == 1 and ref.offset is None and not whole and base.dims[0] != 1:
                        return False
            array = base
        return True

    def same(self, one: Ref, other: Ref) -> bool:
        """Whether two operands are the same memory."""
        if one.name == other.name:
            return one.offset == other.offset
        a, b = self.array(one), self.array(other)
        if a.view is not None or b.view is not None:
            return False
        buffers = self.storage.buffer_of
        return a.name in buffers and buffers.get(a.name) == buffers.get(b.name)

    def name(self, ref: Ref) -> str:
        """Return the expression of an operand."""
        if ref.offset is None:
            return ref.name
        name = shifted(self.builder, ref.name, ref.offset) if ref.offset else ref.name
        return f"{name}[t]"

    def rows(self, ref: Ref, columns: int | None = None) -> str:
        """Return an operand as a matrix: all leading axes in one, ``columns`` in the other."""
        shape = self.shape(ref)
        columns = shape[-1] if columns is None else columns
        if len(shape) == 2 and shape[1] == columns:
            return self.name(ref)
        rows = math.prod(shape) // columns
        if ref.offset is not None:
            return f"{self.name(ref)}.reshape({rows}, {columns})"
        return self.alias(ref, "rows", f"{ref.name}.reshape({rows}, {columns})")

    def flat(self, ref: Ref) -> str:
        """Return an array as a vector."""
        if self.ndim(ref) == 1:
            return self.name(ref)
        return self.top(f"{ref.name}_flat", f"{ref.name}.reshape(-1)")

    def alias(self, ref: Ref, what: str, expression: str) -> str:
        """Return a name for a reshaped operand; the plan checks that it is no copy."""
        found = self.top(f"{ref.name}_{what}", expression)
        self.row_views[found] = ref.name
        return found

    def top(self, name: str, expression: str, *, own: bool = False) -> str:
        """Return a name for an expression that is evaluated once, when the plan is made.

        Equal expressions share a name, unless each is to have an object of its ``own``.
        """
        for known, other in self._views.items():
            if other == expression and (not own or known == name):
                return known
        found = self._free(name)
        self._views[found] = expression
        self._tops.append(f"{found} = {expression}")
        return found

    def _free(self, name: str) -> str:
        found, number = name, 1
        while found in self.known:
            number += 1
            found = f"{name}_{number}"
        self.known.add(found)
        return found

    def scratch(self, shape: tuple[int, ...], dtype: str = "") -> str:
        """Return a temporary; the next statement may use the same memory."""
        dtype = dtype or self._dtype()
        key = (dtype, self._next_scratch)
        self._next_scratch += 1
        size = math.prod(shape)
        self._scratch[key] = max(self._scratch.get(key, 0), size)
        kind = "mask" if dtype == "bool" else "scratch"
        base = f"{kind}_{key[1]}"
        shaped = f"{base}_{'x'.join(map(str, shape))}"
        self._scratch_views[shaped] = f"{base}[:{size}].reshape({', '.join(map(str, shape))})"
        return shaped

    def mask(self, shape: tuple[int, ...]) -> str:
        """Return a boolean temporary."""
        return self.scratch(shape, "bool")

    def ones(self, count: int) -> str:
        """Return a vector of ones."""
        return self.top(f"ones_{count}", f"np.ones({count}, np.{self._dtype()})")

    def _dtype(self) -> str:
        return next(
            (a.dtype for a in self.program.arrays.values() if a.dtype.startswith("float")),
            "float64",
        )

    def constant(self, name: str) -> str:
        """Return the name of an object that the text needs from outside."""
        if name not in self.constants:
            self.constants[name] = self._declare_constant(name)
        return self.constants[name]

    def _declare_constant(self, name: str) -> str:
        """Write the lines that make an object; return the name that it, or its parts, got."""
        found, number = name, 1
        while True:
            given: dict[str, Any] = {}
            lines = declare(found, self.program.constants[name], given)
            made = {line.partition(" = ")[0] for line in lines if " = " in line}
            if not made & self.known:
                break
            number += 1
            found = f"{name}_{number}"
        self.known |= made
        self.given |= given
        self._constant_lines += lines
        return found

    def constant_value(self, name: str) -> Any:
        """Return an object that an attribute refers to."""
        return self.program.constants[name]

    def loss_name(self, factor: float = 1.0, penalty: bool = False) -> str:
        """Return the variable that gets the value of the next loss, a term of the whole loss."""
        name = f"loss_{len(self.loss_terms) + 1}"
        self.loss_terms.append(name if factor == 1 else f"{factor} * {name}")
        if not penalty:
            self.losses.append(name)
        return name

    # what operations write --------------------------------------------------------------------

    def line(self, text: str) -> None:
        """Add a line to the function that is being written.

        ``a += b`` becomes a call, and a number that is an operand an array of one element, which
        NumPy takes in half the time of a Python number.
        """
        text = _AUGMENTED.sub(_as_call, text)
        self.body.append(self._indent + _NUMBER.sub(self._numbered, text))

    def _numbered(self, match: re.Match[str]) -> str:
        before, number, after = match.groups()
        value = float(number)
        name = _NUMBER_NAMES.get(value)
        if name is None:
            name = "number_" + re.sub(r"\W", "_", number.replace("-", "minus_"))
        return f"{before}{self.top(name, f'np.array({number}, np.{self._dtype()})')}{after}"

    def lines(self, lines: Lines, names: Mapping[str, str], shape: tuple[int, ...]) -> None:
        """Add the statements of ``lines`` with their slots renamed."""
        slots = dict(names)
        slots |= {slot: self.scratch(shape) for slot in lines.scratch}
        slots |= {slot: self.mask(shape) for slot in lines.masks}
        for slot, expression in lines.setup:
            renamed = Lines(expression).rename(slots)[0]
            slots[slot] = self.top(slot, renamed)
        for text in lines.rename(slots):
            self.line(text)

    def dot(self, left: str, right: str, out: str, plain: bool) -> None:
        """Add a matrix product; ``plain``: no operand has gaps, which np.dot would copy."""
        function = "np.dot" if plain else "np.matmul"
        self.line(f"{function}({left}, {right}, out={out})")

    def into(
        self, statement: Statement, write: Callable[[str], None], columns: int | None = None
    ) -> None:
        """Write a result to the output, or to a temporary that is then added to it."""
        out = statement.out
        target = self.name(out) if columns is None else self.rows(out, columns)
        if not statement.accumulate:
            write(target)
            return
        shape = self.shape(out)
        if columns is not None:
            shape = (math.prod(shape) // columns, columns)
        part = self.scratch(shape)
        write(part)
        self.line(f"{target} += {part}")

    # the whole text ---------------------------------------------------------------------------

    def function(self, name: str, steps: tuple[Step, ...]) -> str:
        """Return the text of a function that runs the steps."""
        self.body = []
        for step in steps:
            if isinstance(step, Loop):
                self._loop(step)
            else:
                self._statement(step)
        lines = self.body or ["    pass"]
        self._written += lines
        return "\n".join([f"def {name}():", *lines])

    def _statement(self, statement: Statement) -> None:
        self._next_scratch, start = 0, len(self.body)
        OPERATIONS[statement.op].emit(self, statement)
        self.texts[id(statement)] = dedent("\n".join(self.body[start:]))

    def _loop(self, loop: Loop) -> None:
        timed = next(s.out for s in loop.body if s.out.offset is not None)
        symbol = str(self.array(timed).dims[0]).partition("+")[0]
        steps = self.sizes.dim(symbol)
        order = f"range({steps})" if loop.direction > 0 else f"range({steps - 1}, -1, -1)"
        self.times[id(loop)] = range(steps)[:: loop.direction]
        self.line(f"for t in {order}:")
        self._indent = "        "
        for statement in loop.body:
            if statement.get("truncate"):
                self.line(f"if {_in_one_piece(statement, loop.direction, steps)}:")
                self._indent += "    "
            self._statement(statement)
            self._indent = "        "
        self._indent = "    "

    def declarations(self) -> list[str]:
        """Return the lines that make all arrays; call it after the functions were written."""
        lines = [f"{name} = {text}" for name, text in self._scratch_views.items()]
        text = "\n".join([*self._written, *self._tops])
        declared = Declarations(
            self.program, self.builder.arrays, self.sizes, self.storage, text, self.given
        )
        scratch = []
        for (dtype, number), size in self._scratch.items():
            kind = "mask" if dtype == "bool" else "scratch"
            scratch.append(f"{kind}_{number} = np.empty({size}, np.{dtype})")
        if scratch:
            scratch.insert(0, "# temporaries of single statements")
        tops = ["# the same in other shapes, and numbers", *self._tops] if self._tops else []
        return [*self._constants(), *declared.lines(), *scratch, *lines, *tops]

    def _constants(self) -> list[str]:
        imports = sorted({line for line in self._constant_lines if line.startswith("from ")})
        rest = [line for line in self._constant_lines if not line.startswith("from ")]
        return [*imports, *(["# tables and functions"] if rest else []), *rest]

"""Program: typed operations on named arrays, with one loop construct; printable and parsable.

An array is set once and may then be added to; views name parts of other arrays, so that joining,
slicing, flattening and looking back in time cost nothing and need no operation. Dimensions are
numbers or the symbols ``B`` (batch) and ``T`` (time), ``T+1`` for an array with room for an
initial state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from neurograph.errors import FormatError

Dim = int | str
Attribute = str | int | float | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class View:
    """A part of another array: ``index`` holds (start, stop) for its leading axes, or a reshape.

    ``stop`` None means the end; a negative stop counts from the end.
    """

    base: str
    index: tuple[tuple[int, int | None], ...] | None = None


@dataclass(frozen=True, slots=True)
class Array:
    """A named array.

    ``role`` is ``value``, ``input``, ``target``, ``parameter``, ``gradient``, ``noise``, ``table``
    (contents fixed when the plan is made) or ``state`` (what the batch before left).
    ``nodes_first`` arrays have the nodes before the batch.
    """

    name: str
    dims: tuple[Dim, ...]
    dtype: str
    role: str = "value"
    view: View | None = None
    nodes_first: bool = False
    offset: int = -1
    ones_column: bool = False

    @property
    def lead(self) -> int:
        """The number of leading axes: batch, or time and batch."""
        if self.nodes_first:
            return len(self.dims) - 1
        return max((k + 1 for k, dim in enumerate(self.dims) if isinstance(dim, str)), default=0)

    @property
    def nodes(self) -> tuple[int, ...]:
        """The dimensions of the nodes, without batch and time."""
        dims = self.dims[-2:-1] if self.nodes_first else self.dims[self.lead :]
        return tuple(dim for dim in dims if isinstance(dim, int))

    def type_text(self) -> str:
        """Return the type as it is printed: ``f32[B, 4]``."""
        return f"{self.dtype}[{', '.join(map(str, self.dims))}]"


@dataclass(frozen=True, slots=True)
class Ref:
    """An array as an operand; inside a loop ``offset`` picks step ``t + offset``."""

    name: str
    offset: int | None = None

    def __str__(self) -> str:
        if self.offset is None:
            return self.name
        return f"{self.name}[t{self.offset:+d}]" if self.offset else f"{self.name}[t]"


@dataclass(frozen=True, slots=True)
class Statement:
    """``out = op[attributes](inputs)``, or ``+=``."""

    op: str
    out: Ref
    inputs: tuple[Ref, ...]
    accumulate: bool = False
    attributes: tuple[tuple[str, Attribute], ...] = ()

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        return dict(self.attributes).get(name, default)

    def __str__(self) -> str:
        attributes = ", ".join(f"{key}={_attribute_text(value)}" for key, value in self.attributes)
        options = f"[{attributes}]" if attributes else ""
        sign = "+=" if self.accumulate else "="
        return f"{self.out} {sign} {self.op}{options}({', '.join(map(str, self.inputs))})"


@dataclass(frozen=True, slots=True)
class Loop:
    """The body for every step of time: ``direction`` 1 from the first, -1 from the last."""

    direction: int
    body: tuple[Statement, ...]

    def __str__(self) -> str:
        head = "loop forward:" if self.direction > 0 else "loop backward:"
        return "\n".join([head, *(f"    {statement}" for statement in self.body)])


Step = Statement | Loop


@dataclass(frozen=True)
class Program:
    """A network lowered to operations.

    Attributes
    ----------
    arrays : mapping of name to Array
    forward, backward : tuple of Statement or Loop
    constants : mapping
        What attributes refer to by name: geometries, edge tables, activations, losses.
    values : mapping
        ``(layer name, "net" | "output" | "delta")`` to the array that holds it.
    outputs, inputs : tuple of str
    kept : tuple of str
        Arrays besides the outputs that are read after a run: gradients of the inputs, states
        for the next batch.
    """

    arrays: Mapping[str, Array]
    forward: tuple[Step, ...] = ()
    backward: tuple[Step, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[tuple[str, str], str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = []
        for array in self.arrays.values():
            first = "nodes first " if array.nodes_first else ""
            if array.view is None:
                place = f" at {array.offset}" if array.offset >= 0 else ""
                ones = " with ones" if array.ones_column else ""
                lines.append(f"{array.role} {array.name} {first}{array.type_text()}{place}{ones}")
            else:
                lines.append(f"view {array.name} {first}{array.type_text()} = {_view_text(array)}")
        for title, steps in (("forward", self.forward), ("backward", self.backward)):
            lines.append(f"{title}:")
            for step in steps:
                lines += [f"    {line}" for line in str(step).splitlines()]
        if self.inputs:
            lines.append(f"inputs: {', '.join(self.inputs)}")
        if self.outputs:
            lines.append(f"outputs: {', '.join(self.outputs)}")
        if self.kept:
            lines.append(f"kept: {', '.join(self.kept)}")
        return "\n".join(lines)

    @property
    def results(self) -> set[str]:
        """The arrays that own what is read after a run."""
        return {self.base(name) for name in (*self.outputs, *self.kept)}

    def base(self, name: str) -> str:
        """Return the array that owns the memory of a view (or of itself)."""
        array = self.arrays[name]
        while array.view is not None:
            array = self.arrays[array.view.base]
        return array.name

    def with_steps(self, forward: Iterable[Step], backward: Iterable[Step]) -> Program:
        """Return a copy with other statements."""
        return replace(self, forward=tuple(forward), backward=tuple(backward))


def statements(steps: Iterable[Step]) -> Iterator[Statement]:
    """Iterate over all statements, those inside loops too."""
    for step in steps:
        if isinstance(step, Loop):
            yield from step.body
        else:
            yield step


def map_statements(
    steps: Iterable[Step], change: Callable[[Statement], Statement | None]
) -> tuple[Step, ...]:
    """Return the steps with every statement changed, or dropped where ``change`` gives None."""
    found: list[Step] = []
    for step in steps:
        if isinstance(step, Loop):
            body = tuple(s for s in map(change, step.body) if s is not None)
            if body:
                found.append(Loop(step.direction, body))
        else:
            changed = change(step)
            if changed is not None:
                found.append(changed)
    return tuple(found)


# text ---------------------------------------------------------------------------------------------


def _attribute_text(value: Attribute) -> str:
    if isinstance(value, tuple):
        return "(" + " ".join(map(str, value)) + ")"
    return str(value)


def _attribute_value(text: str) -> Attribute:
    if text.startswith("("):
        return tuple(int(each) for each in text[1:-1].split())
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _view_text(array: Array) -> str:
    view = array.view
    assert view is not None
    if view.index is None:
        return f"{view.base} reshaped"
    parts = [f"{low}:{'' if high is None else high}" for low, high in view.index]
    return f"{view.base}[{', '.join(parts)}]"


_ARRAY = re.compile(
    r"(\w+) ([\w.]+) (nodes first )?(\w+)\[(.*?)\]"
    r"(?: at (\d+)| = ([\w.]+)(?:\[(.*)\]| reshaped))?( with ones)?$"
)
_STATEMENT = re.compile(r"(\S+) (\+?=) (\w+)(?:\[(.*)\])?\((.*)\)$")
_REF = re.compile(r"([\w.]+)(?:\[t([+-]\d+)?\])?$")


def parse(text: str, constants: Mapping[str, Any] | None = None) -> Program:
    """Return the program that ``str(program)`` printed; constants are given, not printed.

    Raises
    ------
    FormatError
        Naming the line that cannot be read.

    Examples
    --------
    >>> text = '''input x f32[B, 2]
    ... parameter w f32[2, 1]
    ... value y f32[B, 1]
    ... forward:
    ...     y = product(x, w)
    ... backward:
    ... outputs: y'''
    >>> str(parse(text)) == text
    True
    """
    arrays: dict[str, Array] = {}
    parts: dict[str, list[Step]] = {"forward": [], "backward": []}
    ends: dict[str, tuple[str, ...]] = {"inputs": (), "outputs": (), "kept": ()}
    part: list[Step] | None = None
    loop: tuple[int, list[Statement]] | None = None

    def close() -> None:
        nonlocal loop
        if loop is not None and part is not None:
            part.append(Loop(loop[0], tuple(loop[1])))
        loop = None

    for number, line in enumerate(text.strip().splitlines(), 1):
        bare = line.strip()
        if bare in ("forward:", "backward:"):
            close()
            part = parts[bare[:-1]]
        elif bare.startswith(("inputs:", "outputs:", "kept:")):
            close()
            which, names = bare.split(":")
            ends[which] = tuple(each.strip() for each in names.split(","))
        elif bare in ("loop forward:", "loop backward:"):
            close()
            loop = (1 if bare == "loop forward:" else -1, [])
        elif part is None:
            array = _parse_array(bare, number)
            arrays[array.name] = array
        else:
            statement = _parse_statement(bare, number)
            if loop is not None and line.startswith("        "):
                loop[1].append(statement)
            else:
                close()
                part.append(statement)
    close()
    return Program(
        arrays,
        tuple(parts["forward"]),
        tuple(parts["backward"]),
        constants or {},
        {},
        **ends,
    )


def _parse_array(text: str, number: int) -> Array:
    match = _ARRAY.match(text)
    if not match:
        raise FormatError(f"program, line {number}: {text!r} declares no array")
    role, name, first, dtype, dims, place, base, index, ones = match.groups()
    view = None
    if base is not None:
        ranges = None
        if index is not None:
            ranges = tuple(
                (int(low), int(high) if high else None)
                for low, high in (each.strip().split(":") for each in index.split(","))
            )
        view = View(base, ranges)
    shape = tuple(
        int(each) if each.strip().isdigit() else each.strip() for each in dims.split(",") if each
    )
    offset = int(place) if place else -1
    return Array(
        name, shape, dtype, "value" if view else role, view, bool(first), offset, bool(ones)
    )


def _parse_statement(text: str, number: int) -> Statement:
    match = _STATEMENT.match(text)
    if not match:
        raise FormatError(f"program, line {number}: {text!r} is no statement")
    out, sign, op, attributes, inputs = match.groups()
    pairs = tuple(
        (key.strip(), _attribute_value(value))
        for key, value in (each.split("=") for each in (attributes or "").split(", ") if each)
    )
    refs = tuple(_parse_ref(each, number) for each in inputs.split(", ") if each)
    return Statement(op, _parse_ref(out, number), refs, sign == "+=", pairs)


def _parse_ref(text: str, number: int) -> Ref:
    match = _REF.match(text)
    if not match:
        raise FormatError(f"program, line {number}: {text!r} is no array")
    if "[" not in text:
        return Ref(match[1])
    return Ref(match[1], int(match[2] or 0))

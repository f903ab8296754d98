"""Backward: the gradient statements of a program, derived from one rule per operation.

The statements of the forward pass are taken in reverse; each adds to the gradients of its inputs. A
loop runs the other way round in time. Gradients of parameters that a loop would add up step by step
are taken out of it: one product over all steps at once. Truncated, what goes to an earlier step has
the attribute ``truncate``, the length of the pieces in which it stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from neurograph.compiler.builder import Builder
from neurograph.compiler.names import late_name
from neurograph.compiler.operations import OPERATIONS
from neurograph.compiler.program import (
    Attribute,
    Loop,
    Program,
    Ref,
    Statement,
    Step,
    statements,
)
from neurograph.compiler.settle import Region, overlap, region_of, whole_of
from neurograph.errors import CompileError


class Backward:
    """Collects gradient statements; operations call ``of``, ``wanted`` and ``add``."""

    def __init__(
        self, program: Program, dtype: str, roots: Iterable[str], truncate: int | None = None
    ) -> None:
        self.program = program
        self.truncate = truncate
        self.builder = Builder(dtype, program)
        self.names: dict[str, str] = {}
        self._wanted = Wanted(program, roots)
        self._late: list[Statement] = []
        self._direction = 0  # in time, of the forward loop whose statements are taken

    def constant(self, name: str) -> Any:
        """Return what an attribute refers to."""
        return self.builder.constants[name]

    def wanted(self, ref: Ref) -> bool:
        """Whether anybody needs the gradient of an operand."""
        return self._wanted.includes(ref)

    def is_shared(self, ref: Ref) -> bool:
        """Whether several statements read an array, so that several add to its gradient."""
        base = self.program.base(ref.name)
        readers = (
            any(self.program.base(each.name) == base for each in statement.inputs)
            for statement in statements(self.program.forward)
        )
        return sum(readers) > 1

    def of(self, ref: Ref) -> Ref:
        """Return the gradient array of an operand, made when first asked for."""
        return Ref(self.name_of(ref.name), ref.offset)

    def name_of(self, name: str) -> str:
        """Return the name of the gradient of an array."""
        found = self.names.get(name)
        if found is None:
            array = self.program.arrays[name]
            if array.view is None:
                role = "gradient" if array.role == "parameter" else "value"
                found = self.builder.array(
                    f"d_{name}",
                    array.dims,
                    role,
                    dtype=array.dtype,
                    nodes_first=array.nodes_first,
                    offset=array.offset,
                )
            else:
                base = self.name_of(array.view.base)
                if array.view.index is None:
                    found = self.builder.reshape(base, array.dims, f"d_{name}")
                else:
                    found = self.builder.part(base, array.view.index, f"d_{name}")
            self.names[name] = found
        return found

    def add(
        self,
        op: str,
        out: Ref,
        *inputs: Ref,
        accumulate: bool = True,
        given: Mapping[str, Attribute] | None = None,
        **attributes: Attribute,
    ) -> None:
        """Add ``out += op(inputs)``; inside a loop the gradients of parameters wait for its end."""
        if self._direction and out.offset is None:
            whole = tuple(self._all_steps(ref) for ref in inputs)
            self._late.append(
                Statement(
                    op,
                    Ref(out.name),
                    whole,
                    accumulate,
                    (*(given or {}).items(), *attributes.items()),
                )
            )
        else:
            if self.truncate and self._direction * (out.offset or 0) < 0:  # to an earlier step
                attributes["truncate"] = self.truncate
            self.builder.emit(op, out, *inputs, accumulate=accumulate, given=given, **attributes)

    def _all_steps(self, ref: Ref) -> Ref:
        """Return the operand of a loop for all its steps at once, shifted as it is in the loop."""
        if not ref.offset:
            return Ref(ref.name)
        return Ref(shifted(self.builder, ref.name, ref.offset))

    def run(self, steps: Iterable[Step]) -> list[Step]:
        """Return the backward steps of forward steps."""
        for step in reversed(list(steps)):
            if not isinstance(step, Loop):
                self._differentiate(step)
                continue
            self._direction = step.direction
            with self.builder.loop(-step.direction):
                for statement in reversed(step.body):
                    self._differentiate(statement)
            self._direction = 0
            self.builder.steps += self._late
            self._late = []
        return self.builder.steps

    def _differentiate(self, statement: Statement) -> None:
        rule = OPERATIONS[statement.op].gradient
        if rule is not None and self.wanted(statement.out):
            rule(self, statement)


def shifted(builder: Builder, name: str, offset: int) -> str:
    """Return the view of all steps of a sequence, ``offset`` steps earlier or later."""
    array = builder.arrays[name]
    if array.view is None:
        raise CompileError(f"{name} has no history from which to take step t{offset:+d}")
    label = late_name(name, offset)
    base = builder.arrays[array.view.base]
    if array.view.index is not None and "+" in str(base.dims[0]):
        (low, high), *rest = array.view.index
        stop = offset if high is None else high + offset
        late = (low + offset, None if stop == 0 else stop)
        return builder.part(base.name, (late, *rest), label)
    moved = shifted(builder, base.name, offset)
    if array.view.index is None:
        return builder.reshape(moved, array.dims, label)
    return builder.part(moved, array.view.index, label)


class Wanted:
    """The parts of arrays whose gradient is needed so that those of the roots can be had."""

    def __init__(self, program: Program, roots: Iterable[str]) -> None:
        self._program = program
        self._regions: dict[str, list[Region]] = {}
        for name in roots:
            self._include(Ref(name))
        grew = True
        while grew:
            grew = False
            for statement in statements(program.forward):
                if any(map(self.includes, statement.inputs)):
                    grew |= self._include(statement.out)

    def _where(self, ref: Ref) -> tuple[str, Region]:
        base = self._program.base(ref.name)
        whole = whole_of(self._program.arrays[base])
        region = region_of(self._program, Ref(ref.name)) or whole
        if ref.offset:  # from its first step or its last, a loop reaches the initial state
            region = (whole[0], *region[1:])
        return base, region

    def _include(self, ref: Ref) -> bool:
        base, region = self._where(ref)
        known = self._regions.setdefault(base, [])
        if region in known:
            return False
        known.append(region)
        return True

    def includes(self, ref: Ref) -> bool:
        """Whether the gradient of an operand is needed."""
        base, region = self._where(ref)
        return any(overlap(region, other) for other in self._regions.get(base, ()))

"""Hoist products out of loops: what does not depend on the loop is done for all steps at once."""

from __future__ import annotations

from dataclasses import replace

from neurograph.compiler.program import Loop, Program, Ref, Statement, Step

_MOVABLE = {"product", "bias", "scale", "copy", "sparse", "multiply"}


def hoist_products(program: Program) -> Program:
    """Return the program with additions to a net input moved before the loop where they can be.

    A statement can go if nothing it reads is written in the loop, all its operands are taken at the
    present step, and its output is a sum, to which others add in any order.
    """
    return program.with_steps(
        _hoisted(program, program.forward), _hoisted(program, program.backward)
    )


def _hoisted(program: Program, steps: tuple[Step, ...]) -> list[Step]:
    found: list[Step] = []
    for step in steps:
        if not isinstance(step, Loop):
            found.append(step)
            continue
        before, body = _split(program, step)
        found += before
        if body:
            found.append(Loop(step.direction, tuple(body)))
    return found


def _split(program: Program, loop: Loop) -> tuple[list[Statement], list[Statement]]:
    written = {program.base(statement.out.name) for statement in loop.body}
    sums = {
        statement.out
        for statement in loop.body
        if all(
            other.accumulate or other.op in _MOVABLE
            for other in loop.body
            if other.out == statement.out
        )
    }
    views = {
        program.base(s.out.name) for s in loop.body if program.arrays[s.out.name].view is not None
    }

    def can_go(statement: Statement) -> bool:
        return (
            statement.op in _MOVABLE
            and statement.out in sums
            and statement.out.offset == 0
            and program.base(statement.out.name) not in views
            and all(ref.offset in (0, None) for ref in statement.inputs)
            and not any(program.base(ref.name) in written for ref in statement.inputs)
        )

    moved = [statement for statement in loop.body if can_go(statement)]
    stay = [statement for statement in loop.body if not can_go(statement)]
    begun: set[Ref] = set()
    before: list[Statement] = []
    for statement in moved:
        first = statement.out not in begun
        begun.add(statement.out)
        before.append(
            replace(
                statement,
                out=Ref(statement.out.name),
                inputs=tuple(Ref(ref.name) for ref in statement.inputs),
                accumulate=not first,
            )
        )
    body = [
        replace(statement, accumulate=True) if statement.out in begun else statement
        for statement in stay
    ]
    return before, body

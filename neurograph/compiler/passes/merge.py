"""Merge sibling products: several products of one operand become one, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from neurograph.compiler.program import (
    Array,
    Loop,
    Program,
    Ref,
    Statement,
    View,
    map_statements,
    statements,
)


def merge_products(program: Program) -> Program:
    """Return the program with products of one operand and adjacent weight columns made one.

    That is what the gates of an LSTM are: their weights lie side by side in one kernel. The outputs
    become parts of one array, so everything else stays as it is. Siblings must be set or added
    alike and be base arrays of one type; those inside a loop are merged with those inside it only.
    """
    for group in _groups(program):
        merged = _merge(program, group)
        if merged is not None:
            return merge_products(merged)
    return program


def _groups(program: Program) -> list[list[Statement]]:
    """Return products that read the same operand and columns of the same weights, by column."""
    found: dict[object, list[Statement]] = {}
    for number, step in enumerate(program.forward):
        inside = isinstance(step, Loop)
        for statement in step.body if isinstance(step, Loop) else (step,):
            if statement.op != "product" or statement.get("turned"):
                continue
            weights = program.arrays[statement.inputs[1].name]
            if weights.view is None or weights.view.index is None or len(weights.view.index) != 2:
                continue
            key = (
                statement.inputs[0],
                weights.view.base,
                weights.view.index[0],
                statement.accumulate,
                statement.out.offset,
                number if inside else -1,
            )
            found.setdefault(key, []).append(statement)
    groups = []
    for siblings in found.values():
        ordered = sorted(siblings, key=lambda s: _columns(program, s)[0])
        run = [ordered[0]]
        for statement in ordered[1:]:
            if _columns(program, run[-1])[1] == _columns(program, statement)[0]:
                run.append(statement)
        if len(run) > 1:
            groups.append(run)
    return groups


def _columns(program: Program, statement: Statement) -> tuple[int, int]:
    """Return the columns of the weights that a product uses."""
    weights = program.arrays[statement.inputs[1].name]
    assert weights.view is not None
    assert weights.view.index is not None
    low, high = weights.view.index[1]
    last = program.arrays[weights.view.base].dims[-1]
    assert isinstance(last, int)
    return low, last if high is None else high


def _merge(program: Program, group: Sequence[Statement]) -> Program | None:
    first = group[0]
    place = _place(program, group)
    if place is None:
        return None
    outs = [program.arrays[statement.out.name] for statement in group]
    if any(out.view is not None or out.dims[:-1] != outs[0].dims[:-1] for out in outs):
        return None
    if any(_is_read_reshaped(program, out) for out in outs):
        return None
    if len({out.name for out in outs}) < len(outs) or outs[0].role != "value":
        return None
    joint = f"{outs[0].name}_merged"
    while joint in program.arrays:
        joint += "_"
    arrays = _with_parts(program.arrays, outs, joint)
    view = program.arrays[first.inputs[1].name].view
    assert view is not None
    assert view.index is not None
    columns = _columns(program, first)[0], _columns(program, group[-1])[1]
    weights = _weights(arrays, view.base, view.index[0], columns)
    new = replace(first, out=Ref(joint, first.out.offset), inputs=(first.inputs[0], Ref(weights)))

    def changed(statement: Statement) -> Statement | None:
        if statement is place:
            return new
        return None if any(statement is each for each in group) else statement

    return replace(program, arrays=arrays, forward=map_statements(program.forward, changed))


def _place(program: Program, group: Sequence[Statement]) -> Statement | None:
    """Return the sibling whose place the joint product takes, or None if there is no such place.

    What is set must be set when the first of them was, since others add to it; what is added can be
    added when the last of them was, if nobody reads it earlier.
    """
    order = list(statements(program.forward))
    places = [k for k, s in enumerate(order) if any(s is each for each in group)]
    if not group[0].accumulate:
        return order[places[0]]
    outs = {program.base(statement.out.name) for statement in group}
    between = order[places[0] : places[-1]]
    if any(program.base(ref.name) in outs for s in between for ref in s.inputs):
        return None
    return order[places[-1]]


def _is_read_reshaped(program: Program, out: Array) -> bool:
    """Whether somebody sees an output in another shape, which a part of columns cannot have."""
    return any(
        array.view is not None and array.view.index is None and program.base(name) == out.name
        for name, array in program.arrays.items()
    )


def _with_parts(arrays: Mapping[str, Array], outs: Sequence[Array], joint: str) -> dict[str, Array]:
    """Return the declarations with the outputs as parts of one array."""
    total = sum(int(out.dims[-1]) for out in outs)
    found: dict[str, Array] = {}
    for name, array in arrays.items():
        if name == outs[0].name:
            found[joint] = replace(outs[0], name=joint, dims=(*outs[0].dims[:-1], total))
        found[name] = array
    at = 0
    for out in outs:
        width = int(out.dims[-1])
        lead: tuple[tuple[int, int | None], ...] = ((0, None),) * (len(out.dims) - 1)
        found[out.name] = replace(out, view=View(joint, (*lead, (at, at + width))))
        at += width
    return {name: found[name] for name in (joint, *(n for n in found if n != joint))}


def _weights(
    arrays: dict[str, Array],
    base: str,
    rows: tuple[int, int | None],
    columns: tuple[int, int],
) -> str:
    source = arrays[base]
    count, total = source.dims
    assert isinstance(count, int)
    high = count if rows[1] is None else rows[1]
    if (rows[0], high, *columns) == (0, count, 0, total):
        return base
    name = "_".join(map(str, (base, *columns)))
    while name in arrays:
        name += "_"
    dims = (high - rows[0], columns[1] - columns[0])
    arrays[name] = Array(name, dims, source.dtype, "value", View(base, (rows, columns)))
    return name

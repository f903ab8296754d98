"""Settle: decide which additions set an array, and which arrays must be zeroed first.

Statements that contribute to an array are written as additions. The first one to touch a region
sets it; where contributions overlap only in part, or leave a gap, the array is filled with zeros
first. So are gradients that are read before anything was added to them, wholly or in part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from neurograph.compiler.program import (
    Array,
    Loop,
    Program,
    Ref,
    Statement,
    Step,
    statements,
)

Region = tuple[tuple[int, int], ...]
FEW = 40  # so many regions are compared in every way
_END = 1 << 40  # stands for the end of an axis of unknown length


def settle(program: Program) -> Program:
    """Return the program with every first addition turned into an assignment."""
    forward, filled = _settle(program, program.forward)
    backward, filled_back = _settle(program, program.backward, gradients=True)
    return program.with_steps([*filled, *forward], [*filled_back, *backward])


def _settle(
    program: Program, steps: Sequence[Step], *, gradients: bool = False
) -> tuple[list[Step], list[Step]]:
    regions: dict[str, list[Region]] = {}
    partial: set[str] = set()
    order: list[tuple[Statement, bool]] = []

    def first(statement: Statement) -> bool:
        base = program.base(statement.out.name)
        region = region_of(program, statement.out)
        known = regions.setdefault(base, [])
        if region is None:
            partial.add(base)
            known.append(whole_of(program.arrays[base]))
            return False
        if not statement.accumulate:
            known.append(region)
            return True
        if any(_inside(region, other) for other in known):
            return False
        if any(overlap(region, other) for other in known):
            partial.add(base)
            known.append(whole_of(program.arrays[base]))
            return False
        known.append(region)
        return True

    made = {program.base(statement.out.name) for statement in statements(steps)}

    def read(ref: Ref) -> None:
        base = program.base(ref.name)
        if base not in made or program.arrays[base].role != "value":
            return
        region = region_of(program, ref) or whole_of(program.arrays[base])
        known = regions.setdefault(base, [])
        if not _covers(region, known):
            partial.add(base)
            known.append(whole_of(program.arrays[base]))

    for step in steps:
        if isinstance(step, Loop):
            for statement in step.body:
                if statement.out.offset:  # what one step adds to another must not be set later on
                    base = program.base(statement.out.name)
                    partial.add(base)
                    regions.setdefault(base, []).append(whole_of(program.arrays[base]))
        body = step.body if isinstance(step, Loop) else (step,)
        for statement in body:
            for ref in statement.inputs if gradients else ():
                read(ref)
            order.append((statement, first(statement)))
    for base, known in regions.items():
        whole = whole_of(program.arrays[base])
        if program.arrays[base].role in ("value", "gradient") and not _covers(whole, known):
            partial.add(base)
    sets = {id(statement) for statement, is_first in order if is_first}

    def settled(statement: Statement) -> Statement:
        return replace(statement, accumulate=False) if id(statement) in sets else statement

    found: list[Step] = []
    for step in steps:
        if isinstance(step, Loop):
            found.append(Loop(step.direction, tuple(settled(s) for s in step.body)))
        else:
            found.append(settled(step))
    fills: list[Step] = [
        Statement("fill", Ref(base), (), False, (("value", 0),)) for base in sorted(partial)
    ]
    return found, fills


def whole_of(array: Array) -> Region:
    """Return the region of all elements."""
    return tuple((0, _size(dim)) for dim in array.dims)


def region_of(program: Program, ref: Ref) -> Region | None:
    """Return the index ranges a reference covers in its base; None if they are not known."""
    if ref.offset:
        return None
    array = program.arrays[ref.name]
    chain = []
    while array.view is not None:
        chain.append(array)
        array = program.arrays[array.view.base]
    ranges = [(0, _size(dim)) for dim in array.dims]
    reshaped = False
    for each in reversed(chain):
        assert each.view is not None
        if each.view.index is None:
            reshaped = True
            continue
        if reshaped:
            return None
        for axis, (low, high) in enumerate(each.view.index):
            start, stop = ranges[axis]
            end = stop if high is None else start + high if high >= 0 else stop + high
            ranges[axis] = (start + low if low >= 0 else stop + low, end)
    return tuple(ranges)


def _size(dim: int | str) -> int:
    if isinstance(dim, int):
        return dim
    _, _, extra = dim.partition("+")
    return _END + int(extra or 0)


def _inside(region: Region, other: Region) -> bool:
    return all(a >= c and b <= d for (a, b), (c, d) in zip(region, other, strict=True))


def overlap(region: Region, other: Region) -> bool:
    """Whether two regions of one array have an element in common."""
    return all(a < d and c < b for (a, b), (c, d) in zip(region, other, strict=True))


def _covers(whole: Region, regions: list[Region]) -> bool:
    """Whether regions together fill another: cut along one axis, or a few of any form."""
    if any(_inside(whole, region) for region in regions):
        return True
    for axis in range(len(whole)):
        rest = [
            region[axis]
            for region in regions
            if all(_inside((whole[k],), (region[k],)) for k in range(len(whole)) if k != axis)
        ]
        reach = whole[axis][0]
        for low, high in sorted(rest):
            if low > reach:
                break
            reach = max(reach, high)
        if rest and reach >= whole[axis][1]:
            return True
    return len(regions) <= FEW and _fill(whole, regions)


def _fill(whole: Region, regions: list[Region]) -> bool:
    """Whether regions together fill another: slice by slice along the first axis."""
    if not whole or not regions:
        return bool(regions)
    (low, high), *rest = whole
    cuts = {low, high} | {edge for region in regions for edge in region[0] if low < edge < high}
    ordered = sorted(cuts)
    return all(
        _fill(tuple(rest), [r[1:] for r in regions if r[0][0] <= start and stop <= r[0][1]])
        for start, stop in pairwise(ordered)
    )

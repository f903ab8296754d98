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
    map_statements,
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
) -> tuple[tuple[Step, ...], list[Step]]:
    """Return the steps with assignments, and the statements that zero arrays before them."""
    regions = _Regions(program, steps)
    sets = set()
    for step in steps:
        body = step.body if isinstance(step, Loop) else (step,)
        if isinstance(step, Loop):
            for statement in body:
                if statement.out.offset:  # what one step adds to another must not be set later on
                    regions.zero_first(program.base(statement.out.name))
        for statement in body:
            for ref in statement.inputs if gradients else ():
                regions.read(ref)
            if regions.write(statement):
                sets.add(id(statement))
    regions.find_gaps()

    def settled(statement: Statement) -> Statement:
        return replace(statement, accumulate=False) if id(statement) in sets else statement

    fills: list[Step] = [
        Statement("fill", Ref(base), (), False, (("value", 0),)) for base in sorted(regions.zeroed)
    ]
    return map_statements(steps, settled), fills


class _Regions:
    """The regions of every array that are set so far, and the arrays that must begin as zeros."""

    def __init__(self, program: Program, steps: Sequence[Step]) -> None:
        self.program = program
        self.made = {program.base(statement.out.name) for statement in statements(steps)}
        self.known: dict[str, list[Region]] = {}
        self.zeroed: set[str] = set()

    def zero_first(self, base: str) -> None:
        """Let an array be filled with zeros; then all of it is set."""
        self.zeroed.add(base)
        self.known.setdefault(base, []).append(whole_of(self.program.arrays[base]))

    def write(self, statement: Statement) -> bool:
        """Take in what a statement writes; return whether it is to set it."""
        base = self.program.base(statement.out.name)
        region = region_of(self.program, statement.out)
        known = self.known.setdefault(base, [])
        if region is not None and not statement.accumulate:
            known.append(region)
            return True
        if region is not None and any(_inside(region, other) for other in known):
            return False
        if region is None or any(overlap(region, other) for other in known):
            self.zero_first(base)
            return False
        known.append(region)
        return True

    def read(self, ref: Ref) -> None:
        """See that what a statement reads is set, if statements make it at all."""
        base = self.program.base(ref.name)
        array = self.program.arrays[base]
        if base not in self.made or array.role != "value":
            return
        region = region_of(self.program, ref) or whole_of(array)
        if not _covers(region, self.known.setdefault(base, [])):
            self.zero_first(base)

    def find_gaps(self) -> None:
        """Let what is set only in part begin as zeros."""
        for base, known in self.known.items():
            array = self.program.arrays[base]
            if array.role in ("value", "gradient") and not _covers(whole_of(array), known):
                self.zeroed.add(base)


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

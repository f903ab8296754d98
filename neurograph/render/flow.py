"""Flow: which statements of a program wrote what another one reads."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from neurograph.compiler.program import Program, Ref, Statement

Extent = Collection[int]  # the places along an axis: a range or a set
Region = list[Extent]  # by axis; empty where nothing is known

LONG = 1 << 40  # the length of an axis of samples or of time
MANY = 100_000  # places that are counted one by one


class Flow:
    """Who wrote which part of which array, in the order of the program.

    Parameters
    ----------
    program : Program

    Examples
    --------
    >>> from neurograph import Network
    >>> program = Network([2, 1], seed=0).compile().program
    >>> flow = Flow(program)
    >>> flow.given("layer_0_and_1", "the inputs")
    >>> flow.sources(program.forward[0])
    ['the inputs']
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.writers: dict[str, list[tuple[Region, str]]] = {}  # by the array that owns the memory
        self.cells: dict[Any, str] = {}  # recurrent cells, which keep values for their gradients

    def given(self, name: str, writer: str) -> None:
        """Note that an array comes from outside."""
        self._note(name, self._region(name), writer)

    def written(self, statement: Statement, writer: str) -> None:
        """Note what a statement writes."""
        region = self._region(statement.out.name)
        if statement.op == "scatter":
            self._choose(statement, statement.out.name, region)
        self._note(statement.out.name, region, writer)
        if statement.op == "cell":
            self.cells[statement.get("name")] = writer

    def sources(self, statement: Statement) -> list[str]:
        """Return the last writers of what a statement reads, each once, in order."""
        reads = [(ref.name, self._at(ref)) for ref in statement.inputs]
        if statement.op == "gather":
            self._choose(statement, *reads[0])
        if statement.accumulate:
            reads.append((statement.out.name, self._at(statement.out)))
            if statement.op == "scatter":
                self._choose(statement, *reads[-1])
        found = [each for name, part in reads for each in self._last(name, part)]
        if statement.op == "cell_gradient" and statement.get("name") in self.cells:
            found.append(self.cells[statement.get("name")])
        return list(dict.fromkeys(found))

    def _note(self, name: str, region: Region, writer: str) -> None:
        self.writers.setdefault(self.program.base(name), []).append((region, writer))

    def _last(self, name: str, region: Region) -> list[str]:
        """Return who last wrote a part of an array, piece by piece."""
        base = self.program.base(name)
        whole, rest = self._region(base), region
        found = []
        for written, writer in reversed(self.writers.get(base, [])):
            if not _meet(written, rest):
                continue
            found.append(writer)
            rest = _without(rest, written)
            if not all(map(len, rest)) or written == whole:
                break
        return found[::-1]

    def _at(self, ref: Ref) -> Region:
        """Return where an array lies, or other steps of it in a loop over time."""
        region = self._region(ref.name)
        if ref.offset and region and isinstance(region[0], range):
            start, stop = region[0].start + ref.offset, region[0].stop + ref.offset
            region[0] = range(max(start, 0), stop)
        return region

    def _region(self, name: str) -> Region:
        """Return where in the array that owns its memory an array lies."""
        array = self.program.arrays[name]
        if array.view is None:
            return [range(dim if isinstance(dim, int) else LONG) for dim in array.dims]
        if array.view.index is not None and self._is_reshaped(array.view.base):
            return []
        found = self._region(array.view.base)
        if array.view.index is None:
            return found
        for axis, (start, stop) in enumerate(array.view.index[: len(found)]):
            outer = found[axis]
            if isinstance(outer, range):
                found[axis] = outer[start:stop]
        return found

    def _is_reshaped(self, name: str) -> bool:
        """Whether the axes of an array are not those of the array that owns its memory."""
        view = self.program.arrays[name].view
        return view is not None and (view.index is None or self._is_reshaped(view.base))

    def _choose(self, statement: Statement, name: str, region: Region) -> None:
        """Leave of a region only the rows that a statement gathers or scatters."""
        rows = self.program.constants.get(statement.get("rows"))
        axis = len(self.program.arrays[name].dims) - 2
        if rows is None or self._is_reshaped(name):
            return
        outer = region[axis]
        if isinstance(outer, range):
            region[axis] = frozenset(outer[row] for row in rows.tolist())


def _meet(one: Region, other: Region) -> bool:
    """Whether two regions of one array may have something in common."""
    return all(
        _overlap(*sorted((a, b), key=len))  # the smaller one first
        for a, b in zip(one, other, strict=False)
    )


def _overlap(few: Extent, many: Extent) -> bool:
    if isinstance(few, range) and isinstance(many, range):
        return few.start < many.stop and many.start < few.stop
    return any(place in many for place in few)


def _without(region: Region, written: Region) -> Region:
    """Return what is left of a region, as far as a region can say it."""
    if len(written) != len(region):
        return region
    apart = [
        axis for axis, (a, b) in enumerate(zip(written, region, strict=True)) if not _holds(a, b)
    ]
    if not apart:
        return [(), *region[1:]]
    (axis, *others) = apart
    if not others:
        region = [*region[:axis], _left(region[axis], written[axis]), *region[axis + 1 :]]
    return region


def _left(extent: Extent, written: Extent) -> Extent:
    """Return what is left of the places along an axis; all of them if that is not to be told."""
    if isinstance(extent, range) and isinstance(written, range):
        if written.start <= extent.start:
            return range(max(extent.start, written.stop), extent.stop)
        if written.stop >= extent.stop:
            return range(extent.start, min(extent.stop, written.start))
    if len(extent) > MANY:
        return extent
    return frozenset(place for place in extent if place not in written)


def _holds(outer: Extent, inner: Extent) -> bool:
    if isinstance(outer, range) and isinstance(inner, range):
        return outer.start <= inner.start and inner.stop <= outer.stop
    return len(inner) <= len(outer) and all(place in outer for place in inner)

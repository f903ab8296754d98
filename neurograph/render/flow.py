"""Flow: which statements of a program wrote what another one reads."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from neurograph.compiler.program import Program, Statement

Extent = Collection[int] | None  # the places along an axis, a range or a set; None for all
Region = list[Extent]  # by axis; empty where nothing is known


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
        reads = [(ref.name, self._region(ref.name)) for ref in statement.inputs]
        if statement.op == "gather":
            self._choose(statement, *reads[0])
        if statement.accumulate:
            name = statement.out.name
            reads.append((name, self._region(name)))
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
        whole = self._region(base)
        found = []
        for written, writer in reversed(self.writers.get(base, [])):
            if _meet(written, region):
                found.append(writer)
            if written in (region, whole) or (written and _covers(written, region)):
                break
        return found[::-1]

    def _region(self, name: str) -> Region:
        """Return where in the array that owns its memory an array lies."""
        array = self.program.arrays[name]
        if array.view is None:
            return [range(dim) if isinstance(dim, int) else None for dim in array.dims]
        if array.view.index is None:  # in another shape
            return []
        found = self._region(array.view.base)
        base = self.program.arrays[array.view.base]
        for axis, (start, stop) in enumerate(array.view.index[: len(found)]):
            outer, dim = found[axis], base.dims[axis]
            if isinstance(outer, range) and isinstance(dim, int):
                found[axis] = outer[start:stop]
        return found

    def _choose(self, statement: Statement, name: str, region: Region) -> None:
        """Leave of a region only the rows that a statement gathers or scatters."""
        rows = self.program.constants.get(statement.get("rows"))
        axis = len(self.program.arrays[name].dims) - 2
        if rows is None or axis >= len(region):
            return
        outer = region[axis]
        if isinstance(outer, range):
            region[axis] = frozenset(outer[row] for row in rows.tolist())


def _meet(one: Region, other: Region) -> bool:
    """Whether two regions of one array may have something in common."""
    return all(
        a is None or b is None or _overlap(*sorted((a, b), key=len))
        for a, b in zip(one, other, strict=False)
    )


def _overlap(few: Collection[int], many: Collection[int]) -> bool:
    if isinstance(few, range) and isinstance(many, range):
        return few.start < many.stop and many.start < few.stop
    return any(place in many for place in few)


def _covers(one: Region, other: Region) -> bool:
    """Whether the first region holds all of the second."""
    return len(other) == len(one) and all(
        a is None or (b is not None and len(b) <= len(a) and _holds(a, b))
        for a, b in zip(one, other, strict=True)
    )


def _holds(outer: Collection[int], inner: Collection[int]) -> bool:
    if isinstance(outer, range) and isinstance(inner, range):
        return outer.start <= inner.start and inner.stop <= outer.stop
    return all(place in outer for place in inner)

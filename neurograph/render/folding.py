"""Folding: repeated blocks of boxes drawn once, with how many times they occur."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

LONGEST = 80


@dataclass(frozen=True, slots=True)
class Run:
    """``times`` copies of a block, one after the other: boxes ``start`` to ``start + length``."""

    start: int
    length: int
    times: int

    @property
    def stop(self) -> int:
        """The first box after the last copy."""
        return self.start + self.length * self.times

    def first_copy(self, box: int) -> int:
        """Return the box of the first copy that stands for a box of any copy."""
        return self.start + (box - self.start) % self.length


def find_runs(
    kinds: Sequence[Hashable], sources: Sequence[Sequence[int]], kept: frozenset[int]
) -> list[Run]:
    """Return the runs of equal blocks, none overlapping, the most saving first in each place.

    Two blocks are equal if their boxes are of equal kinds and are fed in the same way, the first
    box of each by the box just before the block. No box outside may look into a copy but the last.

    Parameters
    ----------
    kinds : sequence
        What each box is, in the order of calculation; equal kinds may be folded.
    sources : sequence of sequence of int
        The boxes that feed each box.
    kept : frozenset of int
        Boxes that must not be folded away.

    Examples
    --------
    >>> chain = [[], [0], [1], [2], [3], [4]]
    >>> find_runs(["in", "conv", "relu", "conv", "relu", "dense"], chain, frozenset())
    [Run(start=1, length=2, times=2)]
    """
    signs = [
        (kind, tuple(sorted(here - source for source in feeding)))
        for here, (kind, feeding) in enumerate(zip(kinds, sources, strict=True))
    ]
    readers: list[int] = list(range(len(kinds)))
    for here, feeding in enumerate(sources):
        for source in feeding:
            readers[source] = max(readers[source], here)
    runs: list[Run] = []
    place = 0
    while place < len(signs):
        best = Run(place, 1, 1)
        for length in range(1, min(LONGEST, (len(signs) - place) // 2) + 1):
            run = _run_at(signs, sources, readers, kept, place, length)
            if run.length * (run.times - 1) > best.length * (best.times - 1):
                best = run
        if best.times > 1:
            runs.append(best)
        place = best.stop if best.times > 1 else place + 1
    return runs


def _run_at(
    signs: Sequence[Hashable],
    sources: Sequence[Sequence[int]],
    readers: Sequence[int],
    kept: frozenset[int],
    start: int,
    length: int,
) -> Run:
    """Return the longest run of blocks of one length from a place on."""
    block = signs[start : start + length]
    if not kept.isdisjoint(range(start, start + length)):
        return Run(start, length, 1)
    inside = all(
        source >= start or source == start - 1
        for here in range(start, start + length)
        for source in sources[here]
    )
    times = 1
    while (
        inside
        and signs[start + times * length : start + (times + 1) * length] == block
        and kept.isdisjoint(range(start + times * length, start + (times + 1) * length))
        and _private(readers, start + (times - 1) * length, length)
    ):
        times += 1
    return Run(start, length, times)


def _private(readers: Sequence[int], start: int, length: int) -> bool:
    """Return whether nothing after the next copy looks into this one, the last box's reader aside.

    The next copy reads the last box of this one; every other box is read within its copy.
    """
    stop = start + length
    return all(readers[box] < stop for box in range(start, stop - 1)) and (
        readers[stop - 1] < stop + length
    )

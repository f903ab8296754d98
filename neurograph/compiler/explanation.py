"""Explanation: the table of what a network was lowered to, and why."""

from __future__ import annotations

from dataclasses import dataclass

from neurograph.compiler.lower import Row
from neurograph.compiler.storage import ITEM_SIZES

_HEAD = ("block", "kernel", "why", "connections", "parameters", "FLOPs", "bytes")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What every block of connections is calculated by; ``str()`` is the table.

    FLOPs are those of the forward pass for one sample (and step of time): a multiplication and an
    addition a connection. Bytes are those of the block's own weights.
    """

    rows: tuple[Row, ...]
    dtype: str

    def __str__(self) -> str:
        size = ITEM_SIZES[self.dtype]
        lines: list[tuple[str, ...]] = [_HEAD]
        for row in self.rows:
            numbers = (row.connections, row.parameters, 2 * row.connections, size * row.parameters)
            lines.append((row.block, row.kernel, row.reason, *(f"{n:,}" for n in numbers)))
        connections = sum(row.connections for row in self.rows)
        parameters = sum(row.parameters for row in self.rows)
        total = (connections, parameters, 2 * connections, size * parameters)
        lines.append(("all", "", f"{len(self.rows)} blocks", *(f"{n:,}" for n in total)))
        widths = [max(len(line[k]) for line in lines) for k in range(len(_HEAD))]
        shown = []
        for number, line in enumerate(lines):
            cells = [
                cell.ljust(width) if k < 3 else cell.rjust(width)
                for k, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            shown.append("  ".join(cells).rstrip())
            if number in (0, len(lines) - 2):
                shown.append("  ".join("-" * width for width in widths))
        return "\n".join(shown)

    __repr__ = __str__

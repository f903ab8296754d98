"""Reports: what a check found, row by row, worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neurograph.graph.connection import Connection

OK, KINK, WRONG = "ok", "kink", "wrong"
_ORDER = {WRONG: 0, KINK: 1, OK: 2}
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Row:
    """One derivative, analytic and numeric.

    Attributes
    ----------
    name : str
        The connection, ``"a -> h"``, or the weight or input.
    connection : Connection or None
        The one connection that has the weight.
    analytic, numeric : float
        dE/d weight as the network calculates it, and by differences.
    absolute, relative : float
        Their difference, and that over the larger of the two, or over a millionth of the largest
        gradient if that is more.
    verdict : {"ok", "kink", "wrong"}
        A kink: a function is not differentiable at the point, so no derivative is right.
    step : int or None
        In recurrent networks, for a wrong row: the step of time at which most is wrong.
    note : str
        For a kink: where it is. For an ok row of a larger relative error: that differences of the
        loss are too coarse to tell.
    """

    name: str
    connection: Connection | None
    analytic: float
    numeric: float
    absolute: float
    relative: float
    verdict: str
    step: int | None = None
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return the row as texts."""
        note = self.note or (f"at step {self.step}" if self.step is not None else "")
        numbers = (f"{self.analytic + 0.0:.9g}", f"{self.numeric + 0.0:.9g}")  # never "-0"
        errors = (f"{self.relative:.1e}", f"{self.absolute:.1e}")
        return (self.name, *numbers, *errors, self.verdict, note)


@dataclass(frozen=True, slots=True)
class GradientReport:
    """What ``gradient_check`` found. ``str()`` is a table, worst first; true if nothing is wrong.

    Attributes
    ----------
    rows : tuple of Row
        Worst first.
    total : int
        How many weights (and inputs) there are; more than rows if they were sampled.
    against : str
        Whose gradients were checked.
    method : str
        How the numeric ones were found.
    tolerance : float
        The largest relative error that is ok.
    first_wrong : str
        If a row is wrong: the first wrong node, coming from the outputs.
    """

    rows: tuple[Row, ...]
    total: int
    against: str
    method: str
    tolerance: float
    first_wrong: str = ""

    @property
    def ok(self) -> bool:
        """Whether no row is wrong."""
        return all(row.verdict != WRONG for row in self.rows)

    @property
    def worst(self) -> Row:
        """The row with the largest error: a wrong one if there is one."""
        return self.rows[0]

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        counts = {kind: sum(row.verdict == kind for row in self.rows) for kind in _ORDER}
        verb = "is" if counts[WRONG] == 1 else "are"
        verdict = "no gradient is wrong" if self.ok else f"{counts[WRONG]:,} {verb} wrong"
        kinks = {0: "", 1: ", 1 at a kink"}.get(counts[KINK], f", {counts[KINK]:,} at kinks")
        part = f" of {self.total:,}" if self.total > len(self.rows) else ""
        head = (
            f"gradient check, {self.against} against {self.method}: {len(self.rows):,}{part} "
            f"derivative{'s' if len(self.rows) != 1 else ''}, {verdict}{kinks} "
            f"(tolerance {self.tolerance:g})"
        )
        titles = ("connection", "analytic", "numeric", "relative", "absolute", "verdict", "")
        lines = [head, *_table(titles, [row.cells() for row in self.rows[:_SHOWN]])]
        if len(self.rows) > _SHOWN:
            least = self.rows[_SHOWN].relative
            lines.append(f"… {len(self.rows) - _SHOWN:,} more, relative errors of {least:.1e} down")
        return "\n".join([*lines, *([self.first_wrong] if self.first_wrong else [])])

    def __repr__(self) -> str:
        return f"<GradientReport: {len(self.rows):,} rows, {'ok' if self.ok else 'not ok'}>"


def worst_first(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Order rows: wrong ones, kinks, the rest; larger relative errors first."""
    return tuple(sorted(rows, key=lambda row: (_ORDER[row.verdict], -row.relative)))


@dataclass(frozen=True, slots=True)
class Difference:
    """The largest difference between two runs in one array.

    Attributes
    ----------
    what : str
        ``"output of dense[3]"``, ``"gradient of conv2d/kernel[0, 1, 0, 2]"``.
    compiled, explicit : float
        The values there.
    relative : float
        Their difference over the largest value of the array.
    ok : bool
    """

    what: str
    compiled: float
    explicit: float
    relative: float
    ok: bool


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What ``parity_check`` found. ``str()`` is a table, worst first; true if all is equal.

    Attributes
    ----------
    rows : tuple of Difference
        One for the net, output and delta of each layer and for the gradient of each parameter,
        worst first.
    tolerance : float
    first_wrong : str
        If the runs differ: the first node that does, forward from the inputs, and if all outputs
        agree, backward from the outputs.
    """

    rows: tuple[Difference, ...]
    tolerance: float
    first_wrong: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing differs by more than the tolerance."""
        return all(row.ok for row in self.rows)

    @property
    def worst(self) -> Difference:
        """The row with the largest difference."""
        return self.rows[0]

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        wrong = sum(not row.ok for row in self.rows)
        verdict = f"{wrong:,} differ{'s' if wrong == 1 else ''}" if wrong else "all equal"
        head = (
            f"parity check, compiled against node by node: {len(self.rows):,} arrays, {verdict} "
            f"(tolerance {self.tolerance:g})"
        )
        cells = [
            (row.what, f"{row.compiled:.9g}", f"{row.explicit:.9g}", f"{row.relative:.1e}",
             "ok" if row.ok else "differs")
            for row in self.rows[:_SHOWN]
        ]  # fmt: skip
        titles = ("largest difference in", "compiled", "node by node", "relative", "")
        lines = [head, *_table(titles, cells)]
        if len(self.rows) > _SHOWN:
            lines.append(f"… {len(self.rows) - _SHOWN:,} more")
        return "\n".join([*lines, *([self.first_wrong] if self.first_wrong else [])])

    def __repr__(self) -> str:
        return f"<ParityReport: {len(self.rows):,} rows, {'ok' if self.ok else 'not ok'}>"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines in columns: texts to the left, numbers to the right."""
    cells: list[Sequence[Any]] = [titles, *rows]
    widths = [max(len(row[k]) for row in cells) for k in range(len(titles))]
    return [
        "  ".join(
            text.rjust(width) if 0 < k < len(titles) - 2 else text.ljust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]

"""Tables of comma-separated values: columns by name."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurograph.datasets.checks import Array, as_text, contents
from neurograph.datasets.idx import gunzip
from neurograph.errors import DataError, FormatError, OptionError, UnknownNameError, unknown

_WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "."})


@dataclass(frozen=True, slots=True, eq=False)
class Table(Mapping[str, Array]):
    r"""Columns of equal length, found by name.

    A column is int64 or float64 where all its cells are numbers, otherwise text.

    Examples
    --------
    >>> table = parse_csv("height,weight,sex\n1.8,80,m\n1.6,55,f\n")
    >>> table["height"], table["weight"].dtype, len(table), table.rows
    (array([1.8, 1.6]), dtype('int64'), 3, 2)
    >>> table.matrix("height", "weight")
    array([[ 1.8, 80. ],
           [ 1.6, 55. ]])
    >>> table.classes("sex")
    (array([1, 0]), ('f', 'm'))
    """

    columns: Mapping[str, Array]
    source: str = "the table"

    def __getitem__(self, name: str) -> Array:
        try:
            return self.columns[name]
        except (KeyError, TypeError):
            raise _NoColumnError(
                *unknown("column", name, self.columns, of=self.source).args
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values())))

    def matrix(self, *names: str) -> NDArray[np.float64]:
        """Return the named columns, or all of numbers, side by side: (rows, columns)."""
        wanted = names or [n for n, column in self.columns.items() if column.dtype.kind in "fi"]
        if not wanted:
            raise DataError(f"{self.source} has no column of numbers")
        for name in wanted:
            if self[name].dtype.kind not in "fi":
                example = str(self[name][0])
                raise DataError(
                    f"the column {name!r} of {self.source} holds text such as {example!r}, "
                    "where numbers are expected"
                )
        return np.stack([self[name].astype(np.float64) for name in wanted], axis=1)

    def classes(self, name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Return a column as class numbers (rows,), and the sorted names they stand for."""
        names, numbers = np.unique(self[name], return_inverse=True)
        return numbers.astype(np.int64), tuple(str(each) for each in names)

    def __repr__(self) -> str:
        return f"<Table of {self.rows} rows: {', '.join(self.columns)}>"


class _NoColumnError(UnknownNameError, KeyError):
    """An unknown column; a KeyError too, because Mapping.get and ``in`` rely on that."""

    __str__ = Exception.__str__


def read_csv(
    path: str | os.PathLike[str],
    columns: Sequence[str] | None = None,
    *,
    delimiter: str = ",",
    missing: Literal["error", "nan"] = "error",
) -> Table:
    """Read a file of comma-separated values with a header line, gzipped or not.

    Parameters
    ----------
    path : path of a UTF-8 text file
    columns : sequence of str, optional
        Read only these.
    delimiter : str
        What stands between two cells.
    missing : "error" or "nan"
        What to do about empty cells (also NA, null, …) in a column of numbers.

    Raises
    ------
    FormatError
        For rows of uneven length, a missing or doubled header, or bytes that are no text,
        with the line's number.
    DataError
        For a missing file, no rows, or an empty cell among numbers.
    """
    raw, name = contents("read_csv()", path)
    text = as_text(gunzip(raw, name), name)
    return parse_csv(text, columns, delimiter=delimiter, missing=missing, source=name)


def parse_csv(
    text: str,
    columns: Sequence[str] | None = None,
    *,
    delimiter: str = ",",
    missing: Literal["error", "nan"] = "error",
    source: str = "the table",
) -> Table:
    """Read comma-separated values from a text; see ``read_csv``."""
    if missing not in ("error", "nan"):
        raise OptionError(f"missing is {missing!r}: it must be 'error' or 'nan'")
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise OptionError(f"delimiter is {delimiter!r}: it must be one character")
    header, rows, lines = _rows(text, delimiter, source)
    if not rows:
        raise DataError(f"{source} has a header but no rows")
    cells = dict(zip(header, zip(*rows, strict=True), strict=True))
    wanted = header if columns is None else list(columns)
    for name in wanted:
        if name not in cells:
            raise unknown("column", name, header, of=source)
    return Table(
        {name: _column(name, cells[name], lines, missing, source) for name in wanted}, source
    )


def _rows(text: str, delimiter: str, source: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the header, the rows and the number of each row's line."""
    if "\0" in text:
        raise FormatError(f"{source} holds NUL characters: it is no text")
    reader = csv.reader(
        io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter, strict=True
    )
    rows: list[list[str]] = []
    lines: list[int] = []
    header: list[str] = []
    try:
        for row in reader:
            if not row or (len(row) == 1 and not row[0].strip() and len(header) != 1):
                continue
            if not header:
                header = _header(row, source)
            elif len(row) != len(header):
                raise FormatError(
                    f"line {reader.line_num} of {source} has {len(row)} cells: "
                    f"the header has {len(header)}"
                )
            else:
                rows.append([cell.strip() for cell in row])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise FormatError(f"line {reader.line_num} of {source} cannot be read: {error}") from None
    if not header:
        raise DataError(f"{source} is empty")
    return header, rows, lines


def _header(row: list[str], source: str) -> list[str]:
    names = [name.strip() or f"column_{number}" for number, name in enumerate(row)]
    if all(map(_NUMBER.fullmatch, names)):
        raise FormatError(
            f"the first line of {source} holds only numbers: it must name the columns"
        )
    for name in names:
        if names.count(name) > 1:
            raise FormatError(f"the header of {source} has the column {name!r} twice")
    return names


def _column(name: str, cells: Sequence[str], lines: list[int], missing: str, source: str) -> Array:
    """Return cells as int64, float64 or text, whichever fits all of them."""
    if all(map(_WHOLE.fullmatch, cells)):
        return np.array([int(cell) for cell in cells], np.int64)
    empty = [cell.lower() in _MISSING for cell in cells]
    if all(gap or _NUMBER.fullmatch(cell) for cell, gap in zip(cells, empty, strict=True)):
        if any(empty) and missing == "error" and not all(empty):
            raise DataError(
                f"line {lines[empty.index(True)]} of {source} has no number in column {name!r}: "
                "fill the gap, or pass missing='nan'"
            )
        if not all(empty):
            pairs = zip(cells, empty, strict=True)
            values = np.array([np.nan if gap else float(cell) for cell, gap in pairs])
            if np.isinf(values).any():
                row = int(np.isinf(values).argmax())
                raise DataError(
                    f"line {lines[row]} of {source} holds {cells[row]}: too large a number"
                )
            return values
    return np.array(cells, dtype=np.str_)

"""Daily prices of a share, in the form that stock programs write."""

from __future__ import annotations

import os
import re

import numpy as np

from neurograph.datasets.checks import Array
from neurograph.datasets.table import Table, read_csv
from neurograph.errors import DataError, FormatError

_DAY = re.compile(r"(\d{4})[-/]?(\d{2})[-/]?(\d{2})", re.ASCII)
_NUMBERS = ("open", "close", "high", "low", "volume")


def read_stock(path: str | os.PathLike[str]) -> Table:
    """Read daily prices of a share: columns date, open, close, high, low, volume, code.

    Parameters
    ----------
    path : a file of comma-separated values with at least these columns, in any order

    Returns
    -------
    Table
        ``date`` as days (datetime64), prices and volume as float64, ``code`` as text;
        rows in order of time.
    """
    table = read_csv(path, ["date", *_NUMBERS, "code"])
    days = np.array([_day(str(cell), table.source) for cell in table["date"]], "datetime64[D]")
    backwards = np.diff(days) <= np.timedelta64(0, "D")
    if backwards.any():
        row = int(backwards.argmax()) + 1
        raise DataError(
            f"{table.source} is not in order of time: {days[row]} comes after {days[row - 1]}"
        )
    prices = table.matrix(*_NUMBERS).T.copy()
    columns: dict[str, Array] = {"date": days, **dict(zip(_NUMBERS, prices, strict=True))}
    return Table({**columns, "code": table["code"].astype(np.str_)}, table.source)


def _day(cell: str, source: str) -> np.datetime64:
    parts = _DAY.fullmatch(cell)
    try:
        return np.datetime64("-".join(parts.groups() if parts else [cell, "?"]), "D")
    except ValueError:
        raise FormatError(f"{source} has the date {cell!r}, which is not year-month-day") from None

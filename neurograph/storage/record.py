"""Record: one JSON object of a file, read field by field with a check of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import FormatError, short
from neurograph.storage.values import Revived

T = TypeVar("T")

_MOST = 2**40  # larger whole numbers stand for no size, index or delay


class Record:
    """A JSON object whose fields are checked as they are read.

    Parameters
    ----------
    what : str
        What it describes, for messages: ``"layer 'dense'"``.
    fields : object
        The JSON value, which must be an object.

    Examples
    --------
    >>> Record("layer 'dense'", {"shape": [3, -1]}).sizes("shape")
    Traceback (most recent call last):
    neurograph.errors.FormatError: layer 'dense': its field 'shape' is [3, -1], expected a list of \
whole numbers of at least 0
    """

    def __init__(self, what: str, fields: object) -> None:
        if not isinstance(fields, dict):
            raise FormatError(f"{what} is {short(fields)}, expected a JSON object")
        self.what = what
        self.fields: dict[str, Any] = fields

    def __contains__(self, name: str) -> bool:
        return self.fields.get(name) is not None

    def _take(self, name: str, expected: str, fits: Callable[[Any], bool]) -> Any:
        value = self.fields.get(name)
        if not fits(value):
            got = f"is {short(value)}" if name in self.fields else "is missing"
            raise FormatError(f"{self.what}: its field {name!r} {got}, expected {expected}")
        return value

    def text(self, name: str) -> str:
        """Return a text."""
        return str(self._take(name, "a text", lambda value: isinstance(value, str)))

    def flag(self, name: str) -> bool:
        """Return true or false."""
        return bool(self._take(name, "true or false", lambda value: isinstance(value, bool)))

    def whole(self, name: str, least: int = 0, below: int = _MOST) -> int:
        """Return a whole number."""
        expected = f"a whole number from {least} to {below - 1}"
        return int(self._take(name, expected, lambda value: _is_whole(value, least, below)))

    def sizes(self, name: str, least: int = 0, below: int = _MOST) -> tuple[int, ...]:
        """Return a list of whole numbers."""
        expected = f"a list of whole numbers of at least {least}"
        if below < _MOST:
            expected += f" and below {below}"

        def fits(value: Any) -> bool:
            return isinstance(value, list) and all(_is_whole(each, least, below) for each in value)

        return tuple(self._take(name, expected, fits))

    def mapping(self, name: str) -> dict[str, Any]:
        """Return a JSON object; a missing one counts as empty."""
        found = self.fields.get(name, {})
        self._take(name, "a JSON object", lambda _: isinstance(found, dict))
        return dict(found)

    def records(self, name: str, one: str) -> Iterator[Record]:
        """Yield the objects of a list; they are called `one` 0, `one` 1, … in messages."""
        rows = self._take(name, "a list", lambda value: isinstance(value, list))
        for number, row in enumerate(rows):
            label = f"{one} {number}"
            if isinstance(row, dict) and isinstance(row.get("name"), str) and row["name"]:
                label = f"{one} {row['name']!r}"
            yield Record(label, row)

    def column(self, name: str, revived: Revived) -> NDArray[np.int64]:
        """Return a list of whole numbers of any sign, shape (length,)."""
        values = revived(self.fields.get(name))
        if not isinstance(values, list) or not {type(each) for each in values} <= {int}:
            raise FormatError(f"{self.what}: its field {name!r} is not a list of whole numbers")
        try:
            return np.array(values, dtype=np.int64)
        except OverflowError as error:
            raise FormatError(f"{self.what}: its field {name!r} has too large numbers") from error


def pick(what: str, number: object, rows: Sequence[T]) -> T:
    """Return the row with a number, or raise FormatError."""
    if type(number) is not int or not 0 <= number < len(rows):
        raise FormatError(f"{what} is number {number!r} of {len(rows)}")
    return rows[number]


def _is_whole(value: object, least: int, below: int) -> bool:
    return type(value) is int and least <= value < below

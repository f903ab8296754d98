"""Options given by name, by value or as an object: checked once, kept as plain data.

``Table`` is the common part of ``get_initializer``, ``get_loss``, ``get_optimizer`` and their like:
a name, a name with arguments (``"huber(0.5)"``) or a saved configuration becomes an object.
"""

from __future__ import annotations

import ast
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

import numpy as np

from neurograph.errors import OptionError, short, unknown

T = TypeVar("T")


def number(
    what: str,
    value: object,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Return `value` as a float, or refuse it.

    Raises
    ------
    OptionError
        The value is not a finite number, or lies outside the bounds.

    Examples
    --------
    >>> number("momentum", 0.9, least=0, most=1)
    0.9
    >>> number("learning_rate", -1, least=0)
    Traceback (most recent call last):
    neurograph.errors.OptionError: learning_rate must be a number of at least 0, got -1
    """
    limits = [
        f"{word} {bound:g}"
        for word, bound in (
            ("of at least", least),
            ("above", above),
            ("at most", most),
            ("below", below),
        )
        if math.isfinite(bound)
    ]
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iuf":
        real, value = True, value.item()
    try:
        found = float(value) if real else math.nan  # type: ignore[arg-type]
    except OverflowError:
        found = math.inf
    if not (math.isfinite(found) and least <= found <= most and above < found < below):
        kind = "number " + " and ".join(limits) if limits else "finite number"
        raise OptionError(f"{what} must be a {kind}, got {short(value)}")
    return found


def whole(what: str, value: object, *, least: int = 0) -> int:
    """Return `value` as an int of at least `least`, or raise an OptionError.

    >>> whole("k", 5, least=1)
    5
    """
    found = number(what, value, least=least)
    if found != int(found):
        raise OptionError(f"{what} must be a whole number, got {short(value)}")
    return int(found)


def text(what: str, value: object) -> str:
    """Return `value` if it is a string, or raise an OptionError.

    >>> text("name", "h")
    'h'
    """
    if not isinstance(value, str):
        raise OptionError(f"{what} must be a string, got {short(value)}")
    return value


def path_text(what: str, path: object) -> str:
    """Return a path as a string, or raise an OptionError.

    >>> path_text("CSVLogger: filename", 5)
    Traceback (most recent call last):
    neurograph.errors.OptionError: CSVLogger: filename must be a path, got 5
    """
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, str):
        raise OptionError(f"{what} must be a path, got {path!r}")
    return path


def random_generator(what: str, seed: int | np.random.Generator | None) -> np.random.Generator:
    """Return the random generator that a seed stands for, or raise an OptionError.

    >>> random_generator("seed", -1)
    Traceback (most recent call last):
    neurograph.errors.OptionError: seed is -1; give a whole number from 0, or None
    """
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"{what} is {short(seed)}; give a whole number from 0, or None"
        ) from error


@dataclass(frozen=True, slots=True)
class Table(Generic[T]):
    """Names and what they make.

    Parameters
    ----------
    kind : str
        What the rows are, for messages: ``"loss"``.
    rows : mapping of str to class
        Every name, aliases too; the first name of a class is the one it is saved under. Names are
        found in any spelling: ``"he_normal"``, ``"HeNormal"``.

    Examples
    --------
    >>> table = Table("fraction", {"complex": complex})
    >>> table.make("complex(1, imag=2)")
    (1+2j)
    """

    kind: str
    rows: Mapping[str, Callable[..., T]]

    def make(self, spec: str | Mapping[str, Any]) -> T:
        """Make the object that a name, a call in text or a saved configuration stands for.

        Raises
        ------
        UnknownNameError
            No row has that name.
        OptionError
            The arguments are not those of the row, or the text is not a name or a call.
        """
        if isinstance(spec, str):
            name, positional, named = _read_call(self.kind, spec)
        else:
            named = dict(spec)
            name, positional = str(named.pop("name", "")), []
            if "function" in named:
                raise OptionError(
                    f"the {self.kind} {named['function']!r} is a function of your own, which no "
                    f"file can hold; pass the function again"
                )
        found = {_spelled(each): row for each, row in self.rows.items()}.get(_spelled(name))
        if found is None:
            raise unknown(self.kind, name, self.rows)
        try:
            return found(*positional, **named)
        except TypeError as error:
            raise OptionError(f"{self.kind} {name!r} cannot be made: {error}") from error

    def get(self, spec: object, kind: type[T], own: Callable[[Any], T] | None = None) -> T:
        """Return what a name, a configuration or a class of this kind stands for; or an object.

        ``own`` makes an object of a function, where a function of one's own may be given.

        Raises
        ------
        UnknownNameError, OptionError
            As ``make`` does, and for what is none of these.
        """
        if isinstance(spec, kind):
            return spec
        if isinstance(spec, (str, Mapping)):
            return self.make(spec)
        if isinstance(spec, type) and issubclass(spec, kind):
            return self.make(spec.__name__)
        if own is not None and callable(spec):
            return own(spec)
        raise self.refuse(spec)

    def config(self, item: object) -> dict[str, Any]:
        """Return a dataclass made by this table as plain data that ``make`` reads back."""
        names = [name for name, row in self.rows.items() if row is type(item)]
        return config_of(names[0] if names else type(item).__name__, item)

    def refuse(self, spec: object) -> OptionError:
        """Return the error for something that is no name, configuration, class or object."""
        article = "an" if self.kind[0] in "aeiou" else "a"
        return OptionError(
            f"{article} {self.kind} is given by its name, as an object or as a function, got "
            f"{short(spec)}; names: {', '.join(self.rows)}"
        )


def config_of(name: str, item: object) -> dict[str, Any]:
    """Return the options a dataclass was made with, under its name, as plain data."""
    options = {
        each.name: _plain(getattr(item, each.name))
        for each in fields(item)  # type: ignore[arg-type]
        if each.init
    }
    return {"name": name, **options}


def _spelled(name: str) -> str:
    return name.replace("_", "").lower()


def _plain(value: object) -> Any:
    if hasattr(value, "to_config"):
        return value.to_config()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if callable(value):
        return {"function": getattr(value, "__name__", type(value).__name__)}
    return value


def _read_call(kind: str, text: str) -> tuple[str, list[Any], dict[str, Any]]:
    if "(" not in text:
        return text.strip(), [], {}
    try:
        if len(text) > 500:
            raise ValueError("too long")
        call = ast.parse(text.strip(), mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            raise ValueError("not a call")
        positional = [ast.literal_eval(each) for each in call.args]
        named = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    except (ValueError, SyntaxError) as error:
        raise OptionError(
            f"{kind} {text!r} cannot be read: write a name, or a name with plain numbers such as "
            f"'name(0.5, option=2)'"
        ) from error
    return call.func.id, positional, named

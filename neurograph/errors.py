"""The errors of neurograph: full sentences that name what is wrong and what to try.

Every kind also derives from the builtin that fits it, so ``except ValueError`` works as expected.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class NeurographError(Exception):
    """Anything neurograph refuses to do."""


class GraphError(NeurographError, ValueError):
    """The nodes and connections do not make a network."""


class ShapeError(NeurographError, ValueError):
    """An array does not have the shape that a layer, node or parameter needs."""


class DataError(NeurographError, ValueError):
    """The values given cannot be learned from: wrong type, not finite, empty, out of range."""


class OptionError(NeurographError, ValueError):
    """An option or argument has a value that is not possible."""


class UnknownNameError(NeurographError, LookupError):
    """A name that stands for nothing; the message offers the nearest one that does."""


class FormatError(NeurographError, ValueError):
    """A file or text is not in the form it should be."""


class StorageError(NeurographError, OSError):
    """A file cannot be read or written; what was there before is still there."""


class MissingDependencyError(NeurographError, ImportError):
    """A feature needs a package that is not installed; the message says which."""


class CompileError(NeurographError, RuntimeError):
    """A program of the compiler breaks one of its own rules."""


def failed(doing: str, path: object, error: OSError) -> StorageError:
    """Return the error for a file that the system would not let us read or write.

    >>> print(failed("cannot load", "net.json", FileNotFoundError(2, "No such file or directory")))
    cannot load 'net.json': no such file or directory
    """
    return StorageError(f"{doing} {str(path)!r}: {(error.strerror or str(error)).lower()}")


def short(value: object) -> str:
    """Return how an error shows a value: one line, at most 60 characters of it."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}…"


def unknown(kind: str, name: object, known: Iterable[str], of: str = "") -> UnknownNameError:
    """Return the error for a name (of something) that is not known, with the nearest match.

    >>> raise unknown("activation", "sigmoyd", ["relu", "sigmoid"])
    Traceback (most recent call last):
    neurograph.errors.UnknownNameError: unknown activation 'sigmoyd': did you mean 'sigmoid'? \
Known: relu, sigmoid
    """
    where = f" of {of}" if of else ""
    names = [str(each) for each in known]
    if not names:
        return UnknownNameError(f"unknown {kind} {name!r}{where}; there are none")
    near = get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f": did you mean {near[0]!r}? Known" if near else "; known"
    shown = ", ".join(repr(each) if ", " in each else each for each in names[:40]) + (
        f", … {len(names) - 40} more" if len(names) > 40 else ""
    )
    return UnknownNameError(f"unknown {kind} {name!r}{where}{hint}: {shown}")

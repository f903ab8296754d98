"""The options of a picture, checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from types import NoneType
from typing import Any

from neurograph.errors import OptionError, unknown
from neurograph.options import number, whole

VIEWS = ("auto", "nodes", "layers", "unrolled", "program")
SHOWN = ("weight", "gradient", "sharing", "output", "net", "delta", "activation", "bias")
BIAS = ("auto", "nodes", "fold")
_LINES = ("show", "numbers", "top", "threshold", "sample", "title")
USED: dict[str, tuple[str, ...]] = {
    "nodes": (*_LINES, "limit", "bias", "step"),
    "layers": ("expand", "title"),
    "unrolled": (*_LINES, "expand", "steps", "tree"),
    "program": ("title",),
}


@dataclass(frozen=True, slots=True)
class Options:
    """What a picture shows.

    Parameters
    ----------
    show : sequence of str
        ``"weight"`` or ``"gradient"`` gives width and colour to the connections, ``"sharing"`` one
        colour to those that share a weight; ``"output"``, ``"net"`` or ``"delta"`` fills the nodes
        with what the last run left; ``"activation"`` and ``"bias"`` are written into the nodes.
    numbers : bool
        Write the numbers of what is shown, too.
    top : int, optional
        Draw only the strongest connections, this many.
    threshold : float, optional
        Draw only connections of at least this absolute weight.
    limit : int
        At most so many nodes of a layer; the rest is one ellipsis that says how many.
    bias : {"auto", "nodes", "fold"}
        Whether constants and noise are drawn as nodes; auto does so in small networks.
    expand : str or sequence of str
        Composite layers (an LSTM, a folded block) to be opened, by name; ``"all"`` opens all.
    steps : int, optional
        How many steps of time an unrolled picture has; default those of the last run, else 4.
    sample, step : int
        Which sample of the batch, and which step of time, values are taken from.
    title : str, optional
        Instead of the network's own line.
    tree : Tree or nested tuples, optional
        For a network along trees: the one that the unrolled picture shows.
    """

    show: tuple[str, ...] = ("weight",)
    numbers: bool = False
    top: int | None = None
    threshold: float | None = None
    limit: int = 10
    bias: str = "auto"
    expand: tuple[str, ...] = ()
    steps: int | None = None
    sample: int = 0
    step: int = -1
    title: str | None = None
    tree: Any = None

    @property
    def strength(self) -> str:
        """What the width and colour of a connection stand for: weight or gradient."""
        return "gradient" if "gradient" in self.show else "weight"

    @property
    def values(self) -> list[str]:
        """What fills the nodes, the first, and what more is written."""
        return [each for each in self.show if each in ("output", "net", "delta")]


def read_options(given: dict[str, Any], view: str) -> Options:
    """Return the options given by keyword for a view; ``auto`` leaves aside what it has no use for.

    Raises
    ------
    UnknownNameError
        With the nearest match, for an option or a thing to show that there is not.
    OptionError
        For a value that is not possible, or an option that the view has no use for.

    >>> read_options({"show": "output", "top": 5}, "nodes").values
    ['output']
    """
    known = [each.name for each in fields(Options)]
    for name in given:
        if name not in known:
            raise unknown("option of render", name, known)
        if view != "auto" and name not in USED[view]:
            others = " and ".join(repr(each) for each in USED if name in USED[each])
            raise OptionError(
                f"view {view!r} has no use for {name}, which is for {others}; its options "
                f"are {', '.join(USED[view])}"
            )
    options = dict(given)
    for name, what, allowed in (("show", "thing to show", SHOWN), ("expand", "", ())):
        if name in options:
            options[name] = _words(name, options[name])
            for each in options[name]:
                if allowed and each not in allowed:
                    raise unknown(what, each, allowed)
    if "bias" in options and options["bias"] not in BIAS:
        raise unknown("value of bias", options["bias"], BIAS)
    for name, least in (("top", 0), ("limit", 3), ("steps", 1)):
        if options.get(name) is not None:
            options[name] = whole(f"render: {name}", options[name], least=least)
    for name in ("sample", "step"):
        if name in options:
            options[name] = whole(f"render: {name}", options[name], least=-(2**31))
    if not isinstance(options.get("numbers", False), bool):
        raise OptionError(f"render: numbers is True or False, got {options['numbers']!r}")
    if not isinstance(options.get("title", ""), (str, NoneType)):
        raise OptionError(f"render: title is a text, got {options['title']!r}")
    if options.get("threshold") is not None:
        options["threshold"] = number("render: threshold", options["threshold"], least=0.0)
    return Options(**options)


def _words(name: str, given: object) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Iterable) or not all(isinstance(each, str) for each in given):
        raise OptionError(f"render: {name} is a name or several names, got {given!r}")
    return tuple(given)

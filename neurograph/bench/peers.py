"""Who takes part in the benchmark, and in which rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from neurograph.bench.rows import Row


@dataclass(frozen=True, slots=True)
class Contender:
    """A library, or a way of using it.

    Attributes
    ----------
    name : str
    package : str
        What has to be installed.
    module, function : str
        ``function(row, threads)`` returns a function that takes one step.
    takes : callable
        Whether it can do a row.
    """

    name: str
    package: str
    module: str
    function: str = "make"
    takes: Callable[[Row], bool] = lambda row: True

    @property
    def installed(self) -> bool:
        """Whether its package is there."""
        return find_spec(self.package) is not None


def _dense(row: Row) -> bool:
    return bool(row.layers) and all(each[0] == "dense" for each in row.layers)


HERE = "neurograph.bench"
OURS = "neurograph"
CONTENDERS = {
    each.name: each
    for each in (
        Contender(OURS, "neurograph", f"{HERE}.ours"),
        Contender("torch", "torch", f"{HERE}.torch_peer"),
        Contender("torch-compile", "torch", f"{HERE}.torch_peer", "make_compiled"),
        Contender("jax", "jax", f"{HERE}.jax_peer"),
        Contender("keras", "keras", f"{HERE}.keras_peer", takes=lambda row: not row.edges),
        Contender("sklearn", "sklearn", f"{HERE}.sklearn_peer", takes=_dense),
        Contender(
            "neat", "neat", f"{HERE}.sklearn_peer", "make_neat", lambda row: row.forward_only
        ),
    )
}
USUAL = ("torch", "jax", "keras", "sklearn", "neat")

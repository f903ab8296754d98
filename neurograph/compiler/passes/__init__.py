"""The passes: named, pure changes of a program, each of which can be switched off.

A pass takes a program and returns an equivalent one. After each the verifier checks the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from neurograph.compiler.passes.dead import drop_dead
from neurograph.compiler.passes.fuse import fuse_loss
from neurograph.compiler.passes.hoist import hoist_products
from neurograph.compiler.program import Program
from neurograph.compiler.verify import verify
from neurograph.errors import unknown

PASSES: dict[str, Callable[[Program], Program]] = {
    "hoist_products": hoist_products,
    "fuse_loss": fuse_loss,
    "drop_dead": drop_dead,
}
PLAN_PASSES = ("in_place", "reuse_memory")
KEEPING = ("hoist_products",)


def run_passes(
    program: Program, chosen: Sequence[str] | None = None, *, keep: bool = False
) -> Program:
    """Return the program after the chosen passes (None: all), verified after each.

    ``keep`` leaves out the passes after which some net input or delta is nowhere to be found.

    Raises
    ------
    UnknownNameError
        For a pass that does not exist.
    """
    names = [*PASSES] if chosen is None else list(chosen)
    for name in names:
        if name not in PASSES and name not in PLAN_PASSES:
            raise unknown("pass", name, [*PASSES, *PLAN_PASSES])
    verify(program, "lowering")
    for name, change in PASSES.items():
        if name in names and (not keep or name in KEEPING):
            program = change(program)
            verify(program, name)
    return program

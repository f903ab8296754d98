"""The passes: named, pure changes of a program, each of which can be switched off.

A pass takes a program and returns an equivalent one; after each the verifier checks the result.
Some work on the forward pass alone, and the backward pass is derived from what they leave; the
others come after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from neurograph.compiler.passes.bias import fold_bias
from neurograph.compiler.passes.copies import drop_copies
from neurograph.compiler.passes.dead import drop_dead
from neurograph.compiler.passes.fuse import fuse_loss
from neurograph.compiler.passes.hoist import hoist_products
from neurograph.compiler.passes.merge import merge_products
from neurograph.compiler.passes.normalize import fold_batch_norm, fuse_batch_norm
from neurograph.compiler.program import Program
from neurograph.compiler.verify import verify
from neurograph.errors import OptionError, unknown

Pass = Callable[[Program], Program]
FORWARD: dict[str, Pass] = {
    "hoist_products": hoist_products,
    "drop_copies": drop_copies,
    "merge_products": merge_products,
    "fold_bias": fold_bias,
    "fold_batch_norm": fold_batch_norm,
    "fuse_batch_norm": fuse_batch_norm,
}
WHOLE: dict[str, Pass] = {"fuse_loss": fuse_loss, "drop_dead": drop_dead}
PASSES = FORWARD | WHOLE
PLAN_PASSES = ("in_place", "reuse_memory")
LOSES_VALUES = (
    "drop_copies",
    "fold_batch_norm",
    "fuse_batch_norm",
    "fuse_loss",
    "drop_dead",
)  # after these some net or delta is nowhere to be found


def checked_passes(chosen: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the chosen passes (None: all).

    Raises
    ------
    UnknownNameError
        For a pass that does not exist; the message offers the nearest.
    """
    known = (*PASSES, *PLAN_PASSES)
    if chosen is None:
        return known
    if not isinstance(chosen, Iterable):
        raise OptionError(f"passes is {chosen!r}; give a list of names, of {', '.join(known)}")
    names = (chosen,) if isinstance(chosen, str) else tuple(chosen)
    for name in names:
        if name not in known:
            raise unknown("pass", name, known)
    return names


def run_passes(
    program: Program, chosen: Sequence[str] | None, stage: str, *, keep: bool = False
) -> Program:
    """Return the program after the chosen passes (None: all) of a stage, verified after each.

    Parameters
    ----------
    stage : {"forward", "whole"}
    keep : bool
        Leave out the passes that lose values.

    Raises
    ------
    UnknownNameError
        For a pass that does not exist.
    """
    names = checked_passes(chosen)
    verify(program, "lowering")
    for name, change in (FORWARD if stage == "forward" else WHOLE).items():
        if name in names and not (keep and name in LOSES_VALUES):
            program = change(program)
            verify(program, name)
    return program

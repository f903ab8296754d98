"""Running ``Lines`` on arrays at once, for plain use and for tests; the compiler inlines them."""

from __future__ import annotations

from functools import lru_cache
from types import CodeType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.lines import Lines


def run_lines(lines: Lines, like: NDArray[Any], **slots: Any) -> dict[str, Any]:
    r"""Execute `lines` on the given slots and return all names afterwards.

    Parameters
    ----------
    lines : Lines
    like : array
        The main array: scratch slots get its shape and dtype, masks its shape.
    **slots : arrays and numbers
        Everything the lines read and write but do not make themselves.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> ten = ("ten", "np.array(10.0)")
    >>> lines = Lines("np.multiply(x, ten, out=t)\nx += t", scratch=("t",), setup=(ten,))
    >>> run_lines(lines, x, x=x)["x"]
    array([11., 22.])
    """
    names: dict[str, Any] = {"np": np, **slots}
    names |= {slot: np.empty_like(like) for slot in lines.scratch}
    names |= {slot: np.empty(like.shape, bool) for slot in lines.masks}
    for slot, expression in lines.setup:
        if slot not in slots:
            names[slot] = eval(_compiled(expression, "eval"), names)
    exec(_compiled(lines.text, "exec"), names)
    return names


@lru_cache(maxsize=256)
def _compiled(text: str, mode: str) -> CodeType:
    return compile(text, "<lines>", mode)

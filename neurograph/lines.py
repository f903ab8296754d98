"""NumPy statements written once and inlined wherever the compiler needs them.

An activation, a loss or an optimizer has two forms: a plain function that defines it, and
``Lines``, the same arithmetic as in-place NumPy calls. The compiler renames the slots of the lines
to the arrays of a network and puts them into its source text, so that what runs is what is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NAME = re.compile(r"(?<![\w.'\"])[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Lines:
    r"""Statements over named slots.

    Parameters
    ----------
    text : str
        One statement a line. Every result goes to an existing array (``out=`` or ``[...]``).
    scratch : tuple of str
        Slots that are temporaries with the shape and dtype of the main array.
    masks : tuple of str
        Slots that are boolean temporaries with that shape.
    setup : tuple of (str, str)
        Further slots and the expressions that make them, over earlier slots and ``np``; evaluated
        once, in order, when the arrays are planned: constants as 0-d arrays (which NumPy takes in
        half the time of a Python number), temporaries of another shape.

    Examples
    --------
    >>> lines = Lines("np.multiply(x, x, out=t)\nx += t", scratch=("t",))
    >>> print("\n".join(lines.rename({"x": "net_1", "t": "scratch_0"})))
    np.multiply(net_1, net_1, out=scratch_0)
    net_1 += scratch_0
    """

    text: str
    scratch: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    setup: tuple[tuple[str, str], ...] = ()

    def rename(self, names: Mapping[str, str]) -> list[str]:
        """Return the statements with each slot replaced by the name it stands for."""

        def put(match: re.Match[str]) -> str:
            return names.get(match.group(), match.group())

        return [_NAME.sub(put, line) for line in self.text.strip().splitlines()]

"""Update: an optimizer's lines run over all parameters of a network, in blocks that fit in
cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from neurograph.compiler.arena import Arena
from neurograph.parameter import Array
from neurograph.train.optimizer import Optimizer

WHOLE = 100_000  # up to so many weights one block is fastest
BLOCK = 65_536


class Update:
    """The update step of a model: ``run()`` changes the weights by the gradients once.

    Attributes
    ----------
    source : str
        The NumPy text of the function ``update``.
    state : dict of str to array
        The optimizer's arrays, each as long as the trainable part of the arena.
    step : int
        How many updates were made.
    """

    def __init__(self, arena: Arena, optimizer: Optimizer, step: int = 0) -> None:
        self.arena = arena
        self.optimizer = optimizer
        self.step = step
        count = arena.trainable
        self.w, self.g = arena.parameters[:count], arena.gradients[:count]
        self.state: dict[str, Array] = optimizer.new_state(self.w)
        self.factors = arena.factors()
        self._scalars: dict[str, Array] = {}
        self.source, self._function = self._compile()

    def run(self) -> None:
        """Take one step."""
        for name, value in self.optimizer.scalars(self.step).items():
            self._scalars[name][...] = value
        self._function()
        self.step += 1

    def _compile(self) -> tuple[str, Callable[[], None]]:
        """Write and compile the text; the lines of the optimizer become a loop over blocks."""
        names: dict[str, Any] = {"np": np}
        arrays = {"w": self.w, "g": self.g, **self.state}
        if self.factors is not None:
            arrays["factor"] = self.factors
        with_factor = self.factors is not None
        lines = self.optimizer.lines(with_factor)
        count = len(self.w)
        size = count if count <= WHOLE else BLOCK
        for slot in lines.scratch:
            names[slot] = np.empty(max(size, 1), self.w.dtype)
        for slot, expression in lines.setup:
            names[slot] = eval(expression, {"np": np, **arrays, **names})
        self._scalars = {
            name: names.setdefault(name, np.array(0.0, self.w.dtype))
            for name in self.optimizer.scalars(0)
        }
        text = [
            '"""The update: one pass of the optimizer over all trainable weights."""',
            "import numpy as np",
            "",
            *(f"{slot} = {text}" for slot, text in _shown(lines.setup)),
            "",
            "",
            "def update():",
            *self._clip(names, with_factor),
        ]
        scratch = [*lines.scratch]
        body = lines.text.strip().splitlines()
        starts = range(0, count, size) if count else range(0)
        names["blocks"] = [
            tuple(array[start : min(start + size, count)] for array in arrays.values())
            + tuple(names[slot][: min(size, count - start)] for slot in scratch)
            for start in starts
        ]
        slots = ", ".join([*arrays, *scratch])
        text.append(f"    for {slots} in blocks:")
        text += [f"        {line}" for line in body]
        source = "\n".join(text) + "\n"
        module = dict(names)
        exec(compile("\n".join(text[text.index("def update():") :]), "<update>", "exec"), module)
        return source, module["update"]

    def _clip(self, names: dict[str, Any], with_factor: bool) -> list[str]:
        clip = self.optimizer.clip_lines(with_factor)
        if clip is None:
            return []
        parts = [slice(0, len(self.w))]
        if self.optimizer.clips_each_parameter:
            parts = [
                slice(self.arena.offsets[id(p)], self.arena.offsets[id(p)] + p.size)
                for p in self.arena.ordered
                if p.trainable
            ]
        extra = ["factor"] if with_factor else []
        names["gradient_parts"] = [
            (self.g[part], *([self.factors[part]] if self.factors is not None else []))
            + tuple(np.empty_like(self.g[part]) for _ in clip.scratch)
            for part in parts
        ]
        slots = ", ".join(["g", *extra, *clip.scratch])
        comma = "," if slots == "g" else ""
        return [
            f"    for {slots}{comma} in gradient_parts:",
            *(f"        {line}" for line in clip.text.strip().splitlines()),
        ]


def _shown(setup: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    return [(slot, text.replace("w.dtype", "parameters.dtype")) for slot, text in setup]


def carry_state(old: Update, new: Update, moved: Mapping[int, tuple[int, int]]) -> None:
    """Take over the optimizer's state for weights that are in both.

    Parameters
    ----------
    moved : mapping
        For runs of weights that stay together: new start to (old start, length).
    """
    new.step = old.step
    for name, array in new.state.items():
        before = old.state[name]
        for start, (from_start, length) in moved.items():
            array[start : start + length] = before[from_start : from_start + length]

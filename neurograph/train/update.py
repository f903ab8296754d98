"""Update: an optimizer's lines over all parameters of a network, in blocks that fit in cache."""

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
    exchange : callable or None
        Called with the gradients before each step, to change them in place.
    """

    def __init__(self, arena: Arena, optimizer: Optimizer, step: int = 0) -> None:
        self.arena = arena
        self.optimizer = optimizer
        self.step = step
        self.exchange: Callable[[Array], None] | None = None
        count = arena.trainable
        self.w, self.g = arena.parameters[:count], arena.gradients[:count]
        self.state: dict[str, Array] = dict.fromkeys(optimizer.state_names, self.w)
        self.factors = arena.factors()
        self._scalars: dict[str, Array] = {}
        self.source, self._function = self._compile()

    def run(self) -> None:
        """Take one step."""
        if self.exchange is not None:
            self.exchange(self.g)
        for name, value in self.optimizer.scalars(self.step).items():
            self._scalars[name][...] = value
        self._function()
        self.step += 1

    def _text(self, factors: bool) -> list[str]:
        """Write the text; the lines of the optimizer become a loop over blocks."""
        lines = self.optimizer.lines(factors)
        count = len(self.w)
        size = count if count <= WHOLE else BLOCK
        scalars = self.optimizer.scalars(self.step)
        setup = dict(lines.setup) | {
            name: f"np.array({v!r}, w.dtype)" for name, v in scalars.items()
        }
        vectors = ["w", "g", *self.state, *(["factor"] if factors else [])]
        inside = [f"{name}[k : k + {size}]" for name in vectors]
        inside += [f"{name}[: min({size}, {count} - k)]" for name in lines.scratch]
        return [
            '"""The update: one pass of the optimizer over all trainable weights."""',
            f"w, g = parameters[:{count}], gradients[:{count}]",
            *(
                f"{name} = np.full({count}, {self.optimizer.initial_state(name)!r}, w.dtype)"
                for name in self.state
            ),
            *self._factor_lines(factors),
            *(f"{name} = np.empty({max(size, 1)}, w.dtype)" for name in lines.scratch),
            *(f"{name} = {text}" for name, text in setup.items()),
            f"blocks = [({', '.join(inside)}) for k in range(0, {count}, {max(size, 1)})]",
            *self._clip_setup(factors),
            "",
            "",
            "def update():",
            *self._clip(factors),
            f"    for {', '.join([*vectors, *lines.scratch])} in blocks:",
            *(f"        {line}" for line in lines.text.strip().splitlines()),
        ]

    def _factor_lines(self, factors: bool) -> list[str]:
        if not factors or self.factors is None:
            return []
        lines = ["if 'factor' not in globals():", f"    factor = np.ones({len(self.w)}, w.dtype)"]
        for value in np.unique(self.factors[self.factors != 1]).tolist():
            places = np.flatnonzero(self.factors == value).tolist()
            lines.append(f"    factor[{places}] = {value!r}  # 0: frozen")
        return lines

    def _compile(self) -> tuple[str, Callable[[], None]]:
        """Execute the text and take over the arrays that it made."""
        source = "\n".join(self._text(self.factors is not None)) + "\n"
        names: dict[str, Any] = {
            "np": np,
            "parameters": self.arena.parameters,
            "gradients": self.arena.gradients,
        }
        if self.factors is not None:
            names["factor"] = self.factors
        exec(compile(source, "<neurograph update>", "exec"), names)
        self.state = {name: names[name] for name in self.state}
        self._scalars = {name: names[name] for name in self.optimizer.scalars(self.step)}
        return source, names["update"]

    def _clip_setup(self, factors: bool) -> list[str]:
        clip = self.optimizer.clip_lines(factors)
        if clip is None:
            return []
        bounds = [(0, len(self.w))]
        if self.optimizer.clips_each_parameter:
            starts = [
                (self.arena.offsets[id(p)], p.size) for p in self.arena.ordered if p.trainable
            ]
            bounds = [(start, start + size) for start, size in starts]
        inside = ["g[a:b]", *(["factor[a:b]"] if factors else [])]
        inside += ["np.empty(b - a, w.dtype)" for _ in clip.scratch]
        return [f"parts = [({', '.join(inside)},) for a, b in {bounds}]"]

    def _clip(self, factors: bool) -> list[str]:
        clip = self.optimizer.clip_lines(factors)
        if clip is None:
            return []
        slots = ", ".join(["g", *(["factor"] if factors else []), *clip.scratch])
        return [
            f"    for {slots}{',' if slots == 'g' else ''} in parts:",
            *(f"        {line}" for line in clip.text.strip().splitlines()),
        ]


def carry_state(old: Update, new: Update, moved: Mapping[int, tuple[int, int]]) -> None:
    """Take over the optimizer's state for weights that are in both.

    Parameters
    ----------
    moved : mapping
        For runs of weights that stay together: new start to (old start, length).
    """
    new.step, new.exchange = old.step, old.exchange
    for name, array in new.state.items():
        before = old.state[name]
        for start, (from_start, length) in moved.items():
            array[start : start + length] = before[from_start : from_start + length]

"""Update: an optimizer's lines over all parameters of a network, in blocks that fit in cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from neurograph.compiler.arena import Arena
from neurograph.parameter import Array
from neurograph.train.optimizer import Optimizer

WHOLE = 100_000  # up to so many weights one block is fastest
BLOCK = 65_536
SHORT = 24  # so many frozen weights are written out


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
    given : dict
        What the text takes from outside: factors of the changes, where many weights are frozen.
    exchange : callable or None
        Called with the gradients before each step, to change them in place.
    """

    def __init__(self, arena: Arena, optimizer: Optimizer) -> None:
        self.arena = arena
        self.optimizer = optimizer
        self.step = 0
        self.exchange: Callable[[Array], None] | None = None
        count = arena.trainable
        self.w, self.g = arena.parameters[:count], arena.gradients[:count]
        self.state: dict[str, Array] = {}
        self.factors = arena.factors()
        self.given: dict[str, Any] = {}
        self._scalars: dict[str, Array] = {}
        self._scales: dict[str, float] = {}
        self._revision = -1
        self.source = ""
        self._function: Callable[[], None]
        self.follow()

    def follow(self) -> None:
        """Take over options that were set in the optimizer; its averages stay what they are."""
        if self._revision == self.optimizer.revision:
            return
        before, scales = self.state, self._scales
        self._revision = self.optimizer.revision
        self.state = dict.fromkeys(self.optimizer.state_names, self.w)
        self._scales = {name: self.optimizer.state_scale(name) for name in self.state}
        self.source, self._function = self._compile()
        for name in before.keys() & self.state.keys():
            np.multiply(before[name], scales[name] / self._scales[name], out=self.state[name])

    def run(self) -> None:
        """Take one step."""
        if self._revision != self.optimizer.revision:
            self.follow()
        if self.exchange is not None:
            self.exchange(self.g)
        for name, value in self._now().items():
            self._scalars[name][...] = value
        self._function()
        self.step += 1

    def _text(self, factors: bool) -> list[str]:
        """Write the text; the lines of the optimizer become a loop over blocks."""
        lines = self.optimizer.lines(factors)
        count, size = len(self.w), self._size()
        scalars = {name: f"np.array({v!r}, w.dtype)" for name, v in self._now().items()}
        slots = ["w", "g", *self.state, *(["factor"] if factors else []), *lines.scratch]
        text = [
            f'"""The update: {self.optimizer.name} over all trainable weights."""',
            *(
                f"{name} = np.full({count}, {self.optimizer.initial_state(name)!r}, w.dtype)"
                for name in self.state
            ),
            *(self._factor_lines() if factors else []),
            *(f"{name} = np.empty({size}, w.dtype)" for name in lines.scratch),
            *(f"{name} = {made}" for name, made in (dict(lines.setup) | scalars).items()),
            *self._blocks(slots, lines.scratch),
            *self._clip_setup(factors),
            "",
            "",
            "def update():",
            *self._clip(factors),
            f"    for {', '.join(slots)} in blocks:",
            *(f"        {line}" for line in lines.text.strip().splitlines()),
        ]
        return [line.replace("w.dtype", f"np.{self.w.dtype}") for line in text]

    def _now(self) -> dict[str, float]:
        return self.optimizer.scalars(self.step)

    def _size(self) -> int:
        count = len(self.w)
        return count if count <= WHOLE else BLOCK

    def _blocks(self, slots: Sequence[str], scratch: Sequence[str]) -> list[str]:
        """Return the lines that cut the vectors into blocks; there is one if they are short."""
        count, size = len(self.w), self._size()
        homes = ["parameters", "gradients", *slots[2:]]
        if size == count:
            whole = [f"{name}[:{count}]" for name in homes[:2]] + homes[2:]
            return [f"blocks = [({', '.join(whole)})]"]
        parts = [f"{name}[: n - k]" if name in scratch else f"{name}[k:n]" for name in homes]
        return [
            "blocks = [",
            f"    ({', '.join(parts)})",
            f"    for k in range(0, {count}, {size})",
            f"    for n in (min(k + {size}, {count}),)",
            "]",
        ]

    def _factor_lines(self) -> list[str]:
        """Return the lines that make the factors of the changes, 0 where weights are frozen."""
        assert self.factors is not None
        places = np.flatnonzero(self.factors != 1).tolist()
        if len(places) > SHORT:
            self.given["factor"] = self.factors
            return ["factor = given['factor']  # of each weight's change: 0 where it is frozen"]
        lines = [f"factor = np.ones({len(self.w)}, w.dtype)"]
        for value in sorted({float(self.factors[place]) for place in places}):
            some = [place for place in places if self.factors[place] == value]
            lines.append(f"factor[{some}] = {value!r}" + ("  # frozen" if not value else ""))
        return lines

    def _compile(self) -> tuple[str, Callable[[], None]]:
        """Execute the text and take over the arrays that it made."""
        source = "\n".join(self._text(self.factors is not None)) + "\n"
        names: dict[str, Any] = {
            "np": np,
            "parameters": self.arena.parameters,
            "gradients": self.arena.gradients,
            "given": self.given,
        }
        exec(compile(source, "<neurograph update>", "exec"), names)
        self.state = {name: names[name] for name in self.state}
        self._scalars = {name: names[name] for name in self._now()}
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
        inside = ["gradients[a:b]", *(["factor[a:b]"] if factors else [])]
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

"""Recurrent cells built by hand: every gate a node, every product a node, the past a delay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import neurograph as ng
from neurograph.graph.network import Network

KINDS = ("simple", "lstm", "gru", "gru_before")


def fixed(up: Any, down: Any, weight: float = 1.0, delay: int = 0) -> None:
    """Connect two nodes by a weight that training leaves alone."""
    ng.Connection(up, down, weight=weight, delay=delay, trainable=False)


class Cell:
    """The nodes of one cell by part: ``cell["forget"][2]``; ``cell["hidden"]`` are its states.

    ``x`` and ``one`` are the nodes that feed it (``one`` may be None: no bias); ``join`` makes the
    weights of the gates, if given.
    """

    def __init__(
        self,
        kind: str,
        x: Sequence[Any],
        units: int,
        one: Any,
        *,
        delay: int = 1,
        tag: str = "",
        initial: bool = False,
        seed: int = 0,
        join: Callable[..., Any] | None = None,
    ) -> None:
        self.kind, self.x, self.units, self.one, self.delay = kind, x, units, one, delay
        self.tag, self.initial = tag, initial
        self.generator = np.random.default_rng(seed)
        self.join = join or self._own_weight
        self.parts: dict[str, list[ng.Node]] = {}
        {"simple": self._simple, "lstm": self._lstm}.get(kind, self._gru)()

    def __getitem__(self, part: str) -> list[ng.Node]:
        return self.parts[part]

    def _own_weight(self, up: Any, down: Any, delay: int = 0) -> None:
        ng.Connection(up, down, weight=float(self.generator.normal() * 0.4), delay=delay)

    def row(self, name: str, activation: str = "identity", aggregation: str = "sum") -> list[Any]:
        begins = self.initial and name in ("hidden", "cell")
        self.parts[name] = [
            ng.Node(
                activation,
                aggregation,
                name=f"{self.tag}{name}{k}",
                initial=float(self.generator.normal()) if begins else 0.0,
            )
            for k in range(self.units)
        ]
        return self.parts[name]

    def product(self, name: str) -> list[Any]:
        return self.row(name, "identity", "product")

    def feed(self, downs: Sequence[Any], *sources: tuple[Sequence[Any], int]) -> None:
        """Connect every source, with its delay, and the bias to every node."""
        bias: list[tuple[Sequence[Any], int]] = [([self.one], 0)] if self.one is not None else []
        for down in downs:
            for ups, delay in (*sources, *bias):
                for up in ups:
                    self.join(up, down, delay=delay)

    def _simple(self) -> None:
        hidden = self.row("hidden", "tanh")
        self.feed(hidden, (self.x, 0), (hidden, self.delay))

    def _lstm(self) -> None:
        gates = {
            name: self.row(name, "tanh" if name == "candidate" else "sigmoid")
            for name in ("input", "forget", "candidate", "output")
        }
        keep, write = (
            self.product("keep"),
            self.product("write"),
        )
        cell, squash = self.row("cell"), self.row("squash", "tanh")
        hidden = self.product("hidden")
        for gate in gates.values():
            self.feed(gate, (self.x, 0), (hidden, self.delay))
        for k in range(self.units):
            fixed(gates["forget"][k], keep[k])
            fixed(cell[k], keep[k], delay=self.delay)
            fixed(gates["input"][k], write[k])
            fixed(gates["candidate"][k], write[k])
            fixed(keep[k], cell[k])
            fixed(write[k], cell[k])
            fixed(cell[k], squash[k])
            fixed(gates["output"][k], hidden[k])
            fixed(squash[k], hidden[k])

    def _gru(self) -> None:
        after = self.kind == "gru"
        update, reset = self.row("update", "sigmoid"), self.row("reset", "sigmoid")
        candidate = self.row("candidate", "tanh")
        gated, keep = (
            self.product("gated"),
            self.product("keep"),
        )
        rest, write = self.row("rest"), self.product("write")
        hidden = self.row("hidden")
        self.feed(update, (self.x, 0), (hidden, self.delay))
        self.feed(reset, (self.x, 0), (hidden, self.delay))
        if after:
            recurrence = self.row("recurrence")
            self.feed(candidate, (self.x, 0))
            self.feed(recurrence, (hidden, self.delay))
        else:
            self.feed(candidate, (self.x, 0), (gated, 0))
        one = self.one or ng.ConstNode(f"{self.tag}only")
        for k in range(self.units):
            fixed(reset[k], gated[k])
            if after:
                fixed(recurrence[k], gated[k])
                fixed(gated[k], candidate[k])
            else:
                fixed(hidden[k], gated[k], delay=self.delay)
            fixed(update[k], keep[k])
            fixed(hidden[k], keep[k], delay=self.delay)
            fixed(update[k], rest[k], -1.0)
            fixed(one, rest[k])
            fixed(rest[k], write[k])
            fixed(candidate[k], write[k])
            fixed(keep[k], hidden[k])
            fixed(write[k], hidden[k])


def read(cell: Cell, count: int = 2) -> list[ng.Node]:
    """Return output nodes that read all states of a cell."""
    generator = np.random.default_rng(9)
    outputs = [ng.Node("identity", name=f"{cell.tag}y{k}") for k in range(count)]
    for node in outputs:
        for state in cell["hidden"]:
            ng.Connection(state, node, weight=float(generator.normal()))
    return outputs


def one_cell(
    kind: str, features: int = 3, units: int = 4, bias: bool = True, **options: Any
) -> tuple[Network, Cell]:
    """Return a network of inputs, one cell and outputs that read its states."""
    x = [ng.InputNode(f"x{k}") for k in range(features)]
    cell = Cell(kind, x, units, ng.ConstNode("one") if bias else None, **options)
    return Network(inputs=x, outputs=read(cell)), cell

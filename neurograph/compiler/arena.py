"""Arena: one contiguous vector for all parameters of a network, one for all gradients.

Trainable parameters come first, so that an optimizer works on one slice. While the network lives
in an arena, every ``parameter.value`` is a view of it: nothing is ever copied back.
"""

from __future__ import annotations

import numpy as np

from neurograph.graph.network import Network
from neurograph.parameter import Array, Parameter


class Arena:
    """The home of all parameters of a network in one dtype.

    Attributes
    ----------
    parameters, gradients : array, (total,)
    trainable : int
        The length of the trainable part, at the front.
    offsets : dict
        ``id(parameter)`` to the place of its first weight.
    """

    def __init__(self, network: Network, dtype: str) -> None:
        self.dtype = dtype
        self.version = network.version.number
        named = list(network.parameters.values())
        ordered = [p for p in named if p.trainable] + [p for p in named if not p.trainable]
        self.ordered: list[Parameter] = ordered
        self.offsets: dict[int, int] = {}
        at = 0
        for parameter in ordered:
            self.offsets[id(parameter)] = at
            at += parameter.size
        self.trainable = sum(p.size for p in ordered if p.trainable)
        self.parameters: Array = np.zeros(at, dtype)
        self.gradients: Array = np.zeros(at, dtype)
        for parameter in ordered:
            parameter.move(*self.homes(parameter))

    def homes(self, parameter: Parameter) -> tuple[Array, Array]:
        """Return the views of the two vectors that belong to a parameter."""
        start = self.offsets[id(parameter)]
        part = slice(start, start + parameter.size)
        return (
            self.parameters[part].reshape(parameter.shape),
            self.gradients[part].reshape(parameter.shape),
        )

    def factors(self) -> Array | None:
        """Return what multiplies the change of each trainable weight: None if all are 1."""
        factors = np.ones(self.trainable, self.dtype)
        for parameter in self.ordered:
            if not parameter.trainable:
                continue
            start = self.offsets[id(parameter)]
            own = factors[start : start + parameter.size].reshape(parameter.shape)
            own *= parameter.learning_rate_factor
            if parameter.frozen is not None:
                own[parameter.frozen] = 0
        return None if (factors == 1).all() else factors


def settle_in(network: Network, dtype: str) -> Arena:
    """Return the arena of a network: the present one if dtype and structure are the same."""
    arena = network.arena
    if (
        isinstance(arena, Arena)
        and arena.dtype == dtype
        and arena.version == network.version.number
    ):
        return arena
    network.arena = arena = Arena(network, dtype)
    return arena

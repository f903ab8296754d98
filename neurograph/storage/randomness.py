"""The state of a random generator as plain values, so that a run goes on where it stopped."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator, SeedSequence

from neurograph.errors import FormatError

_KINDS = ("PCG64", "PCG64DXSM", "SFC64", "Philox", "MT19937")
_POSITIONS = {"MT19937": ("pos", 624), "Philox": ("buffer_pos", 4)}


def generator_state(generator: Generator) -> dict[str, Any]:
    """Return everything that decides what a generator draws next, and what it spawns.

    The values are plain: numbers, text, lists, mappings, arrays.

    Examples
    --------
    >>> generator = np.random.default_rng(7)
    >>> twin = restored_generator(generator_state(generator))
    >>> generator.random() == twin.random()
    True
    """
    bits = generator.bit_generator
    state: dict[str, Any] = {"state": dict(bits.state)}
    seeds = getattr(bits, "seed_seq", None)
    if isinstance(seeds, SeedSequence):
        entropy = seeds.entropy
        state["seed"] = {
            "entropy": list(entropy) if isinstance(entropy, (list, tuple)) else entropy,
            "spawn_key": list(seeds.spawn_key),
            "pool_size": seeds.pool_size,
            "children": seeds.n_children_spawned,
        }
    return state


def restored_generator(state: Any) -> Generator:
    """Return a generator that goes on exactly where the one of `state` stood.

    Raises
    ------
    FormatError
        `state` is not what ``generator_state`` returns.
    """
    try:
        kind = state["state"]["bit_generator"]
        if kind not in _KINDS:
            raise ValueError(f"unknown kind {kind!r}")
        position, last = _POSITIONS.get(kind, ("", 0))
        if position and not 0 <= _inner(state["state"], position) <= last:
            raise ValueError(f"{position} is out of range")
        seeds = state.get("seed")
        sequence = None
        if seeds is not None:
            if not 4 <= seeds["pool_size"] <= 1024:
                raise ValueError("the pool size is out of range")
            sequence = SeedSequence(
                seeds["entropy"],
                spawn_key=tuple(seeds["spawn_key"]),
                pool_size=seeds["pool_size"],
                n_children_spawned=seeds["children"],
            )
        bits = getattr(np.random, kind)(sequence)
        bits.state = state["state"]
    except (TypeError, ValueError, KeyError, OverflowError, AttributeError, IndexError) as error:
        raise FormatError(
            f"the state of the random generator is damaged: {type(error).__name__}: {error}"
        ) from error
    return Generator(bits)


def _inner(state: dict[str, Any], name: str) -> int:
    return int(state[name] if name in state else state["state"][name])

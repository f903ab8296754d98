"""What is given for the inputs or outputs of a network: one thing for each, in order or by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neurograph.errors import ShapeError, unknown

if TYPE_CHECKING:
    from neurograph.graph.network import Network, Port

LEFT_OUT = object()


def by_name(ports: Sequence[Port], given: Mapping[str, Any], kind: str, of: str) -> list[Any]:
    """Return what a mapping has for each port, ``LEFT_OUT`` where it has nothing.

    Raises
    ------
    UnknownNameError
        It has a name that is none of theirs; ``kind`` and ``of`` are words for the message.
    """
    names = [port.name for port in ports]
    for name in given:
        if name not in names:
            raise unknown(kind, name, names, of=of)
    return [given.get(name, LEFT_OUT) for name in names]


def array_of_each(network: Network, kind: str, given: Any, what: str) -> list[Any]:
    """Return the array given for each of a network's inputs or outputs, not looked at yet.

    Parameters
    ----------
    network : Network
    kind : {"input", "output"}
        For which of its ports.
    given
        One array for one port; for several a list or a mapping by their names.
    what : str
        How messages call what is given.

    Raises
    ------
    ShapeError, UnknownNameError
        There are more or fewer than ports, or a name is none of theirs.
    """
    ports = network.inputs if kind == "input" else network.outputs
    if isinstance(given, Mapping):
        found = by_name(ports, given, kind, f"network {network.name!r}")
        for port, each in zip(ports, found, strict=True):
            if each is LEFT_OUT:
                raise ShapeError(f"{what}: nothing is given for {port.name!r}")
        return found
    if len(ports) == 1:
        return [given]
    if not isinstance(given, (list, tuple)) or len(given) != len(ports):
        got = f"{len(given)}" if isinstance(given, (list, tuple)) else "one array"
        shown = ", ".join(repr(port.name) for port in ports)
        raise ShapeError(f"{what}: give a list of {len(ports)} arrays, for {shown}; got {got}")
    return list(given)

"""The types that a file may name: nothing else is ever imported or called when one is loaded."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.errors import FormatError, GraphError, OptionError, unknown
from neurograph.graph.connections import Bundle, Indices

if TYPE_CHECKING:
    from neurograph.graph.layer import Layer
    from neurograph.kernels.geometry import Geometry2D
    from neurograph.parameter import Parameter

_HOMES: dict[str, str] = {
    "neurograph.graph.bundles": "DenseConnections BiasConnections OneToOneConnections "
    "TableConnections",
    "neurograph.graph.spatial": "ConvolutionConnections PoolingConnections",
    "neurograph.graph.temporal": "FoldConnections UnfoldConnections StepConnections "
    "ReverseConnections",
    "neurograph.graph.trees": "ChildConnections ParentConnections LeafConnections "
    "InnerConnections RootConnections",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}
MOST_CELLS = 2**26
_OWN: dict[str, type[Bundle]] = {}


def register_bundle(kind: type[Bundle]) -> type[Bundle]:
    """Let files hold bundles of a type of your own; call it before saving and before loading.

    The type is known by its class name. Its constructor takes ``source``, ``target``, where it has
    them ``parameter`` and ``delay``, and as keywords what its ``describe()`` returns.

    Raises
    ------
    OptionError
        It is no type of bundle, or the name belongs to one that ships with neurograph.
    """
    if not (inspect.isclass(kind) and issubclass(kind, Bundle)):
        raise OptionError(f"register_bundle: {kind!r} is not a subclass of Bundle")
    if kind.__name__ in _HOME:
        raise OptionError(
            f"register_bundle: {kind.__name__!r} ships with neurograph; choose a new name"
        )
    _OWN[kind.__name__] = kind
    return kind


def bundle_type(name: str) -> type[Bundle]:
    """Return the type of bundle with a class name, or raise UnknownNameError."""
    if name in _OWN:
        return _OWN[name]
    if name not in _HOME:
        raise unknown("type of bundle", name, [*_HOME, *_OWN])
    found: type[Bundle] = getattr(import_module(_HOME[name]), name)
    return found


def bundle_name(bundle: Bundle) -> str:
    """Return the name under which a file keeps a bundle's type.

    Raises
    ------
    GraphError
        The type is one of the user's own and was not registered, so no file could give it back.
    """
    name = type(bundle).__name__
    known = name in _HOME or name in _OWN
    if not known or bundle_type(name) is not type(bundle):
        raise GraphError(
            f"{bundle.label}: {name} is a bundle of your own, which a file can hold only after "
            f"neurograph.storage.registry.register_bundle({name})"
        )
    return name


def make_bundle(
    name: str,
    source: Layer,
    target: Layer,
    parameter: Parameter | None,
    delay: int,
    options: Mapping[str, Any],
) -> Bundle:
    """Make a bundle of the type with a class name, from what its ``describe()`` returned.

    Raises
    ------
    UnknownNameError, FormatError
        No type has that name, or the options are not those of the type.
    """
    kind = bundle_type(name)
    if name in _HOME:
        check_numbers(name, options)
    accepted = inspect.signature(kind).parameters
    given = dict(options)
    removed = [] if "removed" in accepted else given.pop("removed", [])
    if "geometry" in accepted:
        from neurograph.kernels.geometry import Geometry2D

        sizes: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in given.items()
        }
        given = {"geometry": _sensible(Geometry2D(**sizes))}
    for what, value, nothing in (("parameter", parameter, None), ("delay", delay, 0)):
        if what in accepted:
            given[what] = value
        elif value != nothing:
            raise FormatError(f"{name} has no {what}")
    bundle = kind(source, target, **given)
    if len(removed):
        _mask(bundle, np.asarray(removed, dtype=np.int64))
    _check_addresses(bundle)
    return bundle


def check_numbers(what: str, options: Mapping[str, Any]) -> None:
    """Refuse options that are not plain numbers, flags and lists of them.

    The options of a layer end in the text of its compiled program, so no text may come from a file.
    """
    for key, value in options.items():
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        for each in values:
            if not (each is None or (isinstance(each, (int, float)) and math.isfinite(each))):
                raise FormatError(f"{what}: its option {key!r} is {each!r}, expected a number")


def _sensible(geometry: Geometry2D) -> Geometry2D:
    """Refuse windows whose list of cells would not fit into memory."""
    cells = max(n * k for n, k in zip(geometry.out_shape[:2], geometry.kernel, strict=True))
    if cells > MOST_CELLS:
        raise FormatError(f"windows of {geometry.kernel} have more than {MOST_CELLS} cells")
    return geometry


def _mask(bundle: Bundle, removed: Indices) -> None:
    from neurograph.graph.bundles import DenseConnections

    if not isinstance(bundle, DenseConnections):
        raise FormatError(f"{bundle.label}: its type has no single removed connections")
    if removed.min() < 0 or removed.max() >= bundle.inputs * bundle.units:
        raise FormatError(f"{bundle.label}: a removed connection was never there")
    bundle.mask = np.zeros((bundle.inputs, bundle.units), dtype=bool)
    bundle.mask.reshape(-1)[removed] = True


def _check_addresses(bundle: Bundle) -> None:
    from neurograph.graph.bundles import TableConnections

    if not isinstance(bundle, TableConnections) or not len(bundle.ups):
        return
    size = 1 if bundle.parameter is None else bundle.parameter.size
    least = min(each.min() for each in (bundle.ups, bundle.downs, bundle.addresses))
    if least < 0 or bundle.addresses.max() >= size:
        raise FormatError(f"{bundle.label}: an edge has a weight or a node that does not exist")

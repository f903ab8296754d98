"""The plain bundles: dense, bias, one-to-one and an explicit table between two layers.

Without a parameter every weight of a bundle is the number ``constant``, 1 unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import GraphError, ShapeError
from neurograph.graph.connection import Connection
from neurograph.graph.connections import NO_EDGES, Bundle, Indices
from neurograph.parameter import Parameter

if TYPE_CHECKING:
    from neurograph.graph.layer import Layer


class DenseConnections(Bundle):
    """Every node of the source feeds every node of the target.

    The weights are columns ``first_column : first_column + units`` of a kernel of shape
    (inputs, columns). A source of shape (..., inputs) and a target of shape (..., units) repeat
    the same weights at each of their positions, as Keras does along the last axis.
    """

    def __init__(
        self,
        source: Layer,
        target: Layer,
        parameter: Parameter | None,
        *,
        positions: int = 1,
        first_column: int = 0,
        delay: int = 0,
        constant: float = 1.0,
    ) -> None:
        if source.size % positions or target.size % positions:
            raise ShapeError(
                f"{source.name} -> {target.name}: {positions} positions do not divide "
                f"{source.size} and {target.size} nodes"
            )
        self.positions = positions
        self.first_column = first_column
        self.inputs = source.size // positions
        self.units = target.size // positions
        self.constant = constant
        self.mask: NDArray[np.bool_] | None = None
        kernel = (self.inputs, self.units) if parameter is None else parameter.shape
        rows, self.columns = kernel
        if rows != self.inputs or first_column + self.units > self.columns:
            raise ShapeError(
                f"{source.name} -> {target.name}: the kernel has shape {kernel}, "
                f"expected {self.inputs} rows and at least {first_column + self.units} columns"
            )
        super().__init__(source, target, parameter, delay)

    def _addresses(self, rows: Any, columns: Any) -> Indices:
        addresses = np.asarray(rows * self.columns + self.first_column + columns, dtype=np.int64)
        return addresses if self.parameter is not None else np.zeros_like(addresses)

    def into(self, down: int) -> tuple[Indices, Indices]:
        """Return upstream indices and weight addresses of the connections into a node."""
        position, unit = divmod(down, self.units)
        rows = np.arange(self.inputs)
        if self.mask is not None:
            rows = rows[~self.mask[:, unit]]
        return position * self.inputs + rows, self._addresses(rows, unit)

    def out_of(self, up: int) -> tuple[Indices, Indices]:
        """Return downstream indices and weight addresses of the connections out of a node."""
        position, row = divmod(up, self.inputs)
        units = np.arange(self.units)
        if self.mask is not None:
            units = units[~self.mask[row]]
        return position * self.units + units, self._addresses(row, units)

    def fan_outs(self) -> Indices:
        """Return the number of connections out of each node of the source."""
        removed = 0 if self.mask is None else np.tile(self.mask.sum(axis=1), self.positions)
        return np.full(self.source.size, self.units) - removed

    def __len__(self) -> int:
        removed = 0 if self.mask is None else int(self.mask.sum())
        return self.positions * self.inputs * self.units - removed

    def remove(self, connection: Connection) -> None:
        """Take one connection out; a weight that no other uses becomes 0 and stays so."""
        if self.positions > 1 or self.parameter is None or self.target.aggregation != "sum":
            super().remove(connection)
            return
        row, unit = connection.upstream_node.index, connection.downstream_node.index
        self.remove_where(np.array([row]), np.array([unit]))
        self._handles.pop((row, unit), None)

    def remove_where(self, rows: Indices, units: Indices) -> None:
        """Take out the connections from ``rows`` to ``units``; one position, sum aggregation."""
        assert self.parameter is not None
        if self.mask is None:
            self.mask = np.zeros((self.inputs, self.units), dtype=bool)
        self.mask[rows, units] = True
        addresses = self._addresses(rows, units)
        unused = addresses[~np.isin(addresses, self._used_elsewhere())]
        self.parameter.value.reshape(-1)[unused] = 0.0
        self.parameter.freeze(unused)
        self.target.rewire()

    def _used_elsewhere(self) -> Indices:
        """Return the addresses of the kernel that other connections of the network use."""
        network, found = self.target.network, [NO_EDGES]
        if network is not None:
            sharing = [each for each in network.bundles if each.parameter is self.parameter]
            found += [each.edges()[2] for each in sharing if each is not self]
            made = network.handmade.connections
            found.append(
                np.array([each.index for each in made if each.parameter is self.parameter], int)
            )
        return np.concatenate(found)

    def describe(self) -> dict[str, Any]:
        """Return what, beside source, target, delay and parameter, rebuilds it."""
        removed = [] if self.mask is None else np.flatnonzero(self.mask).tolist()
        return {
            "positions": self.positions,
            "first_column": self.first_column,
            "constant": self.constant,
            "removed": removed,
        }


class BiasConnections(Bundle):
    """A ConstNode feeds every node of the target; the weights repeat along the last axis.

    The weight of node j is element ``first + j % channels`` of the parameter.
    """

    def __init__(
        self,
        source: Layer,
        target: Layer,
        parameter: Parameter | None,
        *,
        channels: int | None = None,
        first: int = 0,
        constant: float = 1.0,
    ) -> None:
        self.channels = target.size if channels is None else channels
        self.first = first
        self.constant = constant
        size = first + self.channels if parameter is None else parameter.size
        if target.size % self.channels or first + self.channels > size:
            raise ShapeError(
                f"{target.name}: a bias of {size} weights does not fit "
                f"{target.size} nodes in {self.channels} channels from weight {first} on"
            )
        super().__init__(source, target, parameter)

    def into(self, down: int) -> tuple[Indices, Indices]:
        """Return upstream indices and weight addresses of the connections into a node."""
        return np.zeros(1, np.int64), self._addresses(np.array([down]))

    def out_of(self, up: int) -> tuple[Indices, Indices]:
        """Return downstream indices and weight addresses of the connections out of a node."""
        downs = np.arange(self.target.size)
        return downs, self._addresses(downs)

    def _addresses(self, downs: Indices) -> Indices:
        if self.parameter is None:
            return np.zeros_like(downs)
        return self.first + downs % self.channels

    def __len__(self) -> int:
        return self.target.size

    def describe(self) -> dict[str, Any]:
        """Return what, beside source, target and parameter, rebuilds it."""
        return {"channels": self.channels, "first": self.first, "constant": self.constant}


class OneToOneConnections(Bundle):
    """Node i of a block of the source feeds node i of a block of the target.

    The source is seen with shape ``source_shape``, the target with ``target_shape``; a block of
    shape ``block`` starts at ``source_start`` in the one and at ``target_start`` in the other. So
    adding, flattening, concatenating, cropping and zero padding are all this bundle. Weights are
    the constant 1, or repeat along the last axis of the block: element ``index % channels``.
    """

    def __init__(
        self,
        source: Layer,
        target: Layer,
        parameter: Parameter | None = None,
        *,
        source_shape: Sequence[int] | None = None,
        target_shape: Sequence[int] | None = None,
        block: Sequence[int] | None = None,
        source_start: Sequence[int] | None = None,
        target_start: Sequence[int] | None = None,
        delay: int = 0,
        constant: float = 1.0,
    ) -> None:
        self.source_shape = tuple(source_shape or (source.size,))
        self.target_shape = tuple(target_shape or (target.size,))
        self.block = tuple(block or self.source_shape)
        self.source_start = tuple(source_start or (0,) * len(self.block))
        self.target_start = tuple(target_start or (0,) * len(self.block))
        self.constant = constant
        for name, shape, start in (
            (source.name, self.source_shape, self.source_start),
            (target.name, self.target_shape, self.target_start),
        ):
            fits = len(shape) == len(start) == len(self.block) and all(
                0 <= low <= size - width
                for low, width, size in zip(start, self.block, shape, strict=True)
            )
            if not fits:
                raise ShapeError(
                    f"{source.name} -> {target.name}: a block of shape {self.block} at {start} "
                    f"does not fit {name!r} of shape {shape}"
                )
        if parameter is not None and parameter.size and len(self) % parameter.size:
            raise ShapeError(
                f"{source.name} -> {target.name}: {parameter.size} weights do not repeat over "
                f"{len(self)} connections"
            )
        super().__init__(source, target, parameter, delay)

    @property
    def is_whole(self) -> bool:
        """Whether node i simply feeds node i."""
        return len(self) == self.source.size == self.target.size

    def _across(self, index: int, out: bool) -> tuple[Indices, Indices]:
        here = (self.source_shape, self.source_start)
        there = (self.target_shape, self.target_start)
        (shape, start), (other, begin) = (here, there) if out else (there, here)
        place = [
            int(each) - low for each, low in zip(np.unravel_index(index, shape), start, strict=True)
        ]
        if any(not 0 <= each < width for each, width in zip(place, self.block, strict=True)):
            return NO_EDGES, NO_EDGES
        far = np.ravel_multi_index(
            [each + low for each, low in zip(place, begin, strict=True)], other
        )
        address = 0
        if self.parameter is not None:
            address = int(np.ravel_multi_index(place, self.block)) % self.parameter.size
        return np.array([far], dtype=np.int64), np.array([address], dtype=np.int64)

    def into(self, down: int) -> tuple[Indices, Indices]:
        """Return upstream indices and weight addresses of the connections into a node."""
        return self._across(down, out=False)

    def out_of(self, up: int) -> tuple[Indices, Indices]:
        """Return downstream indices and weight addresses of the connections out of a node."""
        return self._across(up, out=True)

    def fan_outs(self) -> Indices:
        """Return 1 for the nodes of the block, 0 for others."""
        counts = np.zeros(self.source_shape, dtype=np.int64)
        starts = zip(self.source_start, self.block, strict=True)
        counts[tuple(slice(start, start + width) for start, width in starts)] = 1
        return counts.reshape(-1)

    def __len__(self) -> int:
        return int(np.prod(self.block))

    def describe(self) -> dict[str, Any]:
        """Return what, beside source, target, delay and parameter, rebuilds it."""
        return {
            "source_shape": list(self.source_shape),
            "target_shape": list(self.target_shape),
            "block": list(self.block),
            "source_start": list(self.source_start),
            "target_start": list(self.target_start),
            "constant": self.constant,
        }


class TableConnections(Bundle):
    """Explicit edges between two layers, as arrays: whatever has no pattern.

    Parameters
    ----------
    ups, downs : array of int, shape (edges,)
        At most one edge from a node to a node.
    addresses : array of int, shape (edges,), optional
        Flat indices in the parameter; absent for constant weights.
    """

    def __init__(
        self,
        source: Layer,
        target: Layer,
        parameter: Parameter | None,
        ups: Any,
        downs: Any,
        addresses: Any = None,
        delay: int = 0,
    ) -> None:
        ups, downs = np.asarray(ups, np.int64), np.asarray(downs, np.int64)
        addresses = np.zeros_like(ups) if addresses is None else np.asarray(addresses, np.int64)
        order = np.lexsort((downs, ups))
        self._set(ups[order], downs[order], addresses[order])
        super().__init__(source, target, parameter, delay)
        if len(ups) and (ups.max() >= source.size or downs.max() >= target.size):
            raise GraphError(f"{self.label}: an edge names a node outside its layer")

    def _set(self, ups: Indices, downs: Indices, addresses: Indices) -> None:
        self.ups, self.downs, self.addresses = ups, downs, addresses
        self._by_down = np.argsort(downs, kind="stable")
        self._sorted_downs = downs[self._by_down]

    def into(self, down: int) -> tuple[Indices, Indices]:
        """Return upstream indices and weight addresses of the connections into a node."""
        low, high = np.searchsorted(self._sorted_downs, [down, down + 1])
        picked = self._by_down[low:high]
        return self.ups[picked], self.addresses[picked]

    def out_of(self, up: int) -> tuple[Indices, Indices]:
        """Return downstream indices and weight addresses of the connections out of a node."""
        low, high = np.searchsorted(self.ups, [up, up + 1])
        return self.downs[low:high], self.addresses[low:high]

    def edges(self) -> tuple[Indices, Indices, Indices]:
        """Return upstream indices, downstream indices and addresses of all, upstream-major."""
        return self.ups, self.downs, self.addresses

    def fan_outs(self) -> Indices:
        """Return the number of connections out of each node of the source."""
        return np.bincount(self.ups, minlength=self.source.size)

    def __len__(self) -> int:
        return len(self.ups)

    def remove(self, connection: Connection) -> None:
        """Take one connection out."""
        up, down = connection.upstream_node.index, connection.downstream_node.index
        self.keep_only((self.ups != up) | (self.downs != down))
        self._handles.pop((up, down), None)

    def keep_only(self, kept: NDArray[np.bool_]) -> None:
        """Take out the edges whose entry in ``kept`` (in the order of ``edges``) is false."""
        self._set(self.ups[kept], self.downs[kept], self.addresses[kept])
        self.target.rewire()

    def describe(self) -> dict[str, Any]:
        """Return what, beside source, target, delay and parameter, rebuilds it."""
        return {
            "ups": self.ups.tolist(),
            "downs": self.downs.tolist(),
            "addresses": self.addresses.tolist(),
        }

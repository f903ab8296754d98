"""Prune: connections of small weight taken out of a bundle at once."""

from __future__ import annotations

import numpy as np

from neurograph.errors import GraphError
from neurograph.graph.bundles import DenseConnections, TableConnections
from neurograph.graph.connections import Bundle


def prune_bundle(bundle: Bundle, threshold: float) -> int:
    """Take out the connections of a bundle that are weaker than a threshold; return how many."""
    parameter = bundle.parameter
    if isinstance(bundle, DenseConnections) and bundle.positions == 1 and parameter is not None:
        units = slice(bundle.first_column, bundle.first_column + bundle.units)
        weak = np.abs(parameter.value[:, units]) < threshold
        if bundle.mask is not None:
            weak &= ~bundle.mask
        if weak.any():
            if bundle.target.aggregation != "sum":
                raise GraphError(f"{bundle.label}: prune works on layers that take the sum")
            bundle.remove_where(*np.nonzero(weak))
        return int(weak.sum())
    if isinstance(bundle, TableConnections) and parameter is not None:
        kept = np.abs(parameter.value.reshape(-1)[bundle.addresses]) >= threshold
        if not kept.all():
            bundle.keep_only(kept)
        return int((~kept).sum())
    return 0

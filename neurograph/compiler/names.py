"""Names: identifiers that read like what they stand for and clash with nothing in the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from keyword import iskeyword

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

_KERNEL_HOMES = {
    "neurograph.kernels.edges": "edge_dots",
    "scipy.sparse._sparsetools": "csr_matvecs csc_matvecs",
    "scipy.special": "erf",
    "neurograph.kernels.convolution": "ConvolutionWorkspace convolve convolve_input_gradient "
    "convolve_weight_gradient",
    "neurograph.kernels.pooling": "PoolingWorkspace max_pool max_pool_gradient average_pool "
    "average_pool_gradient",
    "neurograph.kernels.cells": "Cell cell_forward cell_backward last_memory",
    "neurograph.kernels.normalization": "BatchNormWorkspace batch_norm batch_norm_inference "
    "batch_norm_gradient",
    "neurograph.kernels.layer_normalization": "LayerNormWorkspace layer_norm layer_norm_gradient",
}
KERNELS = {name: home for home, names in _KERNEL_HOMES.items() for name in names.split()}

_TEXT = "np t parameters gradients forward backward update given team batch loss losses Geometry2D"
_BUILTINS = "float globals int len max min range slice"
_UPDATE = (
    "beta_1 beta_2 blocks change decay epsilon factor gradient_sum highest largest_square_sum "
    "lowest momentum moving parts rate rest rho square_sum velocity"
)
RESERVED = {*KERNELS, *_TEXT.split(), *_BUILTINS.split(), *_UPDATE.split(), "get_activation"}
_MADE = re.compile(r"(scratch|mask|memory|loss)_\d+(_\d+(x\d+)*)?|\w+_workspace")


def identifier(name: str) -> str:
    """Return a Python identifier that reads like ``name``.

    >>> identifier("lstm/forget"), identifier("3x"), identifier("lambda"), identifier("loss_1")
    ('lstm_forget', '_3x', 'lambda_', 'loss_1_')
    """
    found = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "_"
    if found[0].isdigit():
        found = f"_{found}"
    clashes = iskeyword(found) or found in RESERVED or _MADE.fullmatch(found)
    return f"{found}_" if clashes else found


def joint_name(rows: Sequence[int] | Indices, label: Callable[[int], str]) -> str:
    """Return a name for some nodes: all of them if they are few, else the first and the last.

    >>> joint_name([0, 1], "h{}".format), joint_name([0, 1, 2, 3], "h{}".format)
    ('h0_h1', 'h0_to_h3')
    """
    if len(rows) <= 3:
        together = "_".join(label(int(row)) for row in rows)
        if len(together) <= 24 or len(rows) == 1:
            return together
    return f"{label(int(rows[0]))}_to_{label(int(rows[-1]))}"


def joint_label(rows: Sequence[int] | Indices, label: Callable[[int], str]) -> str:
    """Return how some nodes are spoken of: ``a, b``, or the first, the last and their number.

    >>> joint_label([0, 1], "h{}".format), joint_label([0, 1, 2, 3], "h{}".format)
    ('h0, h1', 'h0 … h3 (4 nodes)')
    """
    if len(rows) <= 3:
        return ", ".join(label(int(row)) for row in rows)
    return f"{label(int(rows[0]))} … {label(int(rows[-1]))} ({len(rows):,} nodes)"


def late_name(name: str, offset: int) -> str:
    """Return a name for values as they were (or will be) some steps before (or after).

    >>> late_name("h", -1), late_name("h", -2), late_name("h", 1), late_name("h", 0)
    ('h_before', 'h_before_2', 'h_after', 'h')
    """
    if not offset:
        return name
    many = f"_{abs(offset)}" if abs(offset) > 1 else ""
    return f"{name}_{'before' if offset < 0 else 'after'}{many}"

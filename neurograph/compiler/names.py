"""Names: identifiers that read like what they stand for and clash with nothing in the text."""

from __future__ import annotations

import re
from keyword import iskeyword

_KERNEL_HOMES = {
    "neurograph.kernels.edges": "edge_dots",
    "scipy.sparse._sparsetools": "csr_matvecs csc_matvecs",
    "neurograph.kernels.convolution": "ConvolutionWorkspace convolve convolve_input_gradient "
    "convolve_weight_gradient",
    "neurograph.kernels.pooling": "PoolingWorkspace max_pool max_pool_gradient average_pool "
    "average_pool_gradient",
    "neurograph.kernels.cells": "Cell cell_forward cell_backward",
    "neurograph.kernels.normalization": "BatchNormWorkspace batch_norm batch_norm_inference "
    "batch_norm_gradient",
}
KERNELS = {name: home for home, names in _KERNEL_HOMES.items() for name in names.split()}

_TEXT = "np t parameters gradients forward backward update given team batch loss Geometry2D"
_BUILTINS = "float globals int len max min range slice"
_UPDATE = (
    "beta_1 beta_2 blocks change decay epsilon factor gradient_sum highest largest_square_sum "
    "lowest momentum moving parts rate rest rho square_sum velocity"
)
RESERVED = {*KERNELS, *_TEXT.split(), *_BUILTINS.split(), *_UPDATE.split(), "get_activation"}
_MADE = re.compile(r"(scratch|mask|memory|loss)_\d\w*|\w+_workspace")


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

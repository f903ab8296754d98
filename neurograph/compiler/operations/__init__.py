"""The operations of a program: one row each, with shape rule, gradient and NumPy text.

Importing this package fills the table. A new operation is a new row in one of its files.
"""

from neurograph.compiler.operations import (  # noqa: F401 (each fills its rows of the table)
    basic,
    edges,
    elementwise,
    layer_normalization,
    layer_wise,
    local_response,
    lookup,
    normalization,
    product,
    recurrent,
    spatial,
    temporal,
)
from neurograph.compiler.operations.table import OPERATIONS, Operation

__all__ = ["OPERATIONS", "Operation"]

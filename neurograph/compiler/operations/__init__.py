"""The operations of a program: one row each, with shape rule, gradient and NumPy text.

Importing this package fills the table. A new operation is a new row in one of its files.
"""

from neurograph.compiler.operations import basic, edges, elementwise, layer_wise, product, temporal
from neurograph.compiler.operations.table import OPERATIONS, Operation

__all__ = [
    "OPERATIONS",
    "Operation",
    "basic",
    "edges",
    "elementwise",
    "layer_wise",
    "product",
    "temporal",
]

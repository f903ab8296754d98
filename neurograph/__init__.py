"""neurograph: neural networks as graphs of objects, trained at matrix speed."""

from __future__ import annotations

__version__ = "0.1.0"

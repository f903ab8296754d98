"""The node-by-node run: what a network means, calculated as the textbook writes it."""

from neurograph.interpret.backward import backward, calc_gradients, update_weights
from neurograph.interpret.forward import forward

__all__ = ["backward", "calc_gradients", "forward", "update_weights"]

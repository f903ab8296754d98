"""Checks: gradients against finite differences, the compiled network against the nodes."""

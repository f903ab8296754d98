"""Saving and loading: networks and weights as files that are there whole or not at all."""

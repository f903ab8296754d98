"""The catalogue of layers: recipes with Keras's names, defaults, weight layouts and formulas."""

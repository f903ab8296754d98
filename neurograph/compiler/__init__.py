"""The compiler: a network lowered to NumPy statements on arrays that are allocated once."""

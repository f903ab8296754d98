"""NumPy kernels of convolutional networks: plain functions on arrays, allocating nothing."""

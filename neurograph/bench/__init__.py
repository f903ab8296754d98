"""The benchmark: training steps of known networks, here and in other libraries."""

"""Training: losses, optimizers, schedules, metrics and the loop that uses them."""

"""Ranks: one training divided over several processes or machines, by MPI."""

from __future__ import annotations

from typing import Any

from neurograph.errors import MissingDependencyError
from neurograph.parameter import Array
from neurograph.train.model import Model


def average_over_ranks(model: Model, communicator: Any = None) -> tuple[int, int]:
    """Let a model average its gradients with those of the other MPI processes before each update.

    Every process runs the same script, each on its own part of the data; all begin with the weights
    of rank 0 and stay equal to the last bit. Batches must be as many, and as large, on every rank.

    Parameters
    ----------
    model : Model
    communicator : mpi4py.MPI.Comm, optional
        All processes if absent.

    Returns
    -------
    rank, size : int
        The number of this process, and how many there are.

    Raises
    ------
    MissingDependencyError
        If mpi4py is not installed: ``pip install 'neurograph[mpi]'``.

    Notes
    -----
    Start it with ``mpiexec -n 2 python script.py``::

        model = net.compile("adam", "mse")
        rank, size = ng.average_over_ranks(model)
        model.fit(x[rank::size], y[rank::size], batch_size=32, verbose=rank == 0)
    """
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise MissingDependencyError(
            "average_over_ranks needs mpi4py and an MPI library: pip install 'neurograph[mpi]'"
        ) from error
    world = MPI.COMM_WORLD if communicator is None else communicator
    world.Bcast(model.executable.arena.parameters, root=0)
    size = world.Get_size()

    def exchange(gradients: Array) -> None:
        world.Allreduce(MPI.IN_PLACE, gradients, op=MPI.SUM)
        gradients /= size

    model.set_exchange(exchange)
    return world.Get_rank(), size

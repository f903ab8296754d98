"""Gradient check: every derivative that the network calculates against a numeric one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from numpy.typing import ArrayLike

from neurograph.check.comparison import Comparison
from neurograph.check.report import GradientReport
from neurograph.check.setting import Setting, checked_network, homes_kept
from neurograph.check.trees import TreeSide
from neurograph.errors import OptionError, short, unknown
from neurograph.graph.network import Network
from neurograph.graph.trees import takes_trees
from neurograph.options import number, random_generator

Against = Literal["explicit", "compiled"] | Callable[[Network, Any, Any], Any]


def gradient_check(
    net: Network,
    x: Any,
    y: Any,
    loss: Any = "sse",
    *,
    against: Against | None = None,
    inputs: bool = False,
    samples: int | Literal["all"] | None = None,
    direction: bool = False,
    method: Literal["complex", "central"] | None = None,
    tolerance: float | None = None,
    training: bool = False,
    noise: Mapping[Any, ArrayLike] | None = None,
    initial: Mapping[Any, ArrayLike] | None = None,
    mask: ArrayLike | None = None,
    seed: int = 0,
) -> GradientReport:
    """Compare the gradient of every weight with a numeric derivative.

    All runs are in float64, and afterwards all weights are bit for bit what they were, also after
    an exception. The nodes keep the values of the run on ``x``, the parameters its gradients.

    Parameters
    ----------
    net : Network
    x, y : array_like, or list of array_like or mapping by name
        Inputs and targets, one sample or a batch; a few samples are enough.
    loss : str, Loss or callable
        As ``compile`` takes it.
    against : {"compiled", "explicit"} or callable, optional
        Whose gradients are checked: those of the compiled network (the default where it can run
        what is asked), of the node-by-node run, or those that ``against(net, x, y)`` leaves in
        ``parameter.gradient``. The numeric derivatives are of the node-by-node run, except in
        networks of more than 200,000 connections, where they are of the compiled loss.
    inputs : bool
        Check dE/d input too; always in a network without weights.
    samples : int, "all" or None
        How many weights to check, drawn at random, some of every parameter; None: as many as take
        about a second.
    direction : bool
        Only compare the slope of E along one random direction in the space of all weights: two or
        four runs, whatever the size.
    method : {"complex", "central"}, optional
        Complex steps need functions that are right for complex numbers; None: if they all are.
    tolerance : float, optional
        The relative error up to which a row is ok: 1e-8 for complex steps, 1e-5 for central ones.
    training, noise, initial, mask
        For the run, see ``neurograph.interpret.forward``.
    seed : int
        For the drawing of samples and direction.

    Returns
    -------
    GradientReport
        ``ok``, ``worst``, ``rows`` and, if something is wrong, ``first_wrong``.

    Raises
    ------
    ShapeError, DataError, OptionError
        Data or options do not fit.

    Examples
    --------
    >>> import neurograph as ng
    >>> net = ng.Network([2, 2, 1], seed=0)
    >>> report = gradient_check(net, [[0.0, 1.0], [1.0, 1.0]], [[1.0], [0.0]])
    >>> report.ok, len(report.rows)
    (True, 9)
    """
    checked_network("gradient_check", net)
    if method not in (None, "complex", "central"):
        raise unknown("method", method, ["complex", "central"], of="gradient_check")
    if tolerance is not None:
        tolerance = number("gradient_check: tolerance", tolerance, least=0)
    options: dict[str, Any] = {
        "training": training,
        "noise": noise,
        "initial": initial,
        "mask": mask,
    }
    if takes_trees(net):
        with homes_kept(net):
            side = TreeSide(net, x, y, loss)
            return gradient_check(
                side.grown,
                side.values,
                side.targets,
                side.losses,
                against=side.gradients if against in (None, "compiled") else against,
                inputs=inputs,
                samples=samples,
                direction=direction,
                seed=seed,
                method=method,
                tolerance=tolerance,
                **options,
            )
    plain = noise is None and initial is None and mask is None
    if against is None:
        against = "compiled" if plain else "explicit"
    if not callable(against) and against not in ("explicit", "compiled"):
        raise OptionError(
            f"gradient_check: against is {short(against)}; give 'explicit', 'compiled' or a "
            f"function"
        )
    if against == "compiled" and not plain:
        raise OptionError(
            "gradient_check: noise, initial and mask are for the node-by-node run; use "
            "against='explicit' with them"
        )
    with homes_kept(net):
        setting = Setting.of(net, x, y, loss, options)
        comparison = Comparison(setting, against, (x, y), method, tolerance)
        rng = random_generator("gradient_check: seed", seed)
        if direction:
            return comparison.along_direction(rng)
        return comparison.weights(rng, samples, inputs)

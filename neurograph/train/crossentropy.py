"""Cross-entropies: how surprised a network of probabilities is by what happened.

Keras's formulas. Probabilities are held within 1e-7 and 1 - 1e-7 before the logarithm, and where
that bound holds a value, no gradient passes. Logits (``from_logits=True``) need no bound.

The fused lines use that softmax followed by cross-entropy has the gradient ``output - target`` with
respect to the net, and so has sigmoid with binary cross-entropy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import OptionError
from neurograph.lines import Lines
from neurograph.options import number
from neurograph.train.loss import Loss, check_range

Array = NDArray[Any]

EPSILON = 1e-7


class Crossentropy(Loss):
    """What the three cross-entropies share: probabilities or logits, label smoothing."""

    from_logits: bool
    # probabilities cannot come from these; logits should not have gone through those
    unbounded: ClassVar[tuple[str, ...]] = ("identity", "linear", "tanh")
    squashed: ClassVar[tuple[str, ...]] = ("softmax", "sigmoid")

    def check_activation(self, activation: str) -> None:
        """Refuse outputs that are no probabilities, or no logits if those are wanted.

        Raises
        ------
        OptionError
            The activation gives values the loss would misread.
        """
        wrong, cure = (
            (self.squashed, "from_logits=True takes the net itself, with no activation")
            if self.from_logits
            else (self.unbounded, "use a softmax or sigmoid activation, or from_logits=True")
        )
        if activation in wrong:
            raise OptionError(
                f"{self.name} cannot judge outputs of activation {activation!r}: {cure}"
            )

    def __post_init__(self) -> None:
        if not isinstance(self.from_logits, bool):
            raise OptionError(
                f"{self.name}: from_logits must be True or False, got {self.from_logits!r}"
            )
        if hasattr(self, "label_smoothing"):
            what = f"{self.name}: label_smoothing"
            value = number(what, self.label_smoothing, least=0, most=1)
            object.__setattr__(self, "label_smoothing", value)


@dataclass(frozen=True)
class BinaryCrossentropy(Crossentropy):
    """Cross-entropy of outputs that are probabilities each on its own.

    ``-mean(t * log(y) + (1 - t) * log(1 - y))`` over outputs and batch; several outputs may be 1 at
    once.

    Parameters
    ----------
    from_logits : bool
        Whether outputs are nets instead of probabilities.
    label_smoothing : float
        Moves targets towards 1/2: ``t * (1 - s) + s / 2``.

    Examples
    --------
    >>> loss, gradient = BinaryCrossentropy().value_and_gradient([[1.0], [0.0]], [[0.8], [0.5]])
    >>> round(loss, 4), gradient.ravel()
    (0.4581, array([-0.625,  1.   ]))
    """

    from_logits: bool = False
    label_smoothing: float = 0.0
    name = "binary_crossentropy"

    def _rows(self, target: Array, output: Array) -> tuple[Array, Array]:
        t = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        if self.from_logits:
            losses = np.logaddexp(0, output) - t * output
            gradient = (1 + np.tanh(output / 2)) / 2 - t
        else:
            y = np.clip(output, EPSILON, 1 - EPSILON)
            losses = -(t * np.log(y) + (1 - t) * np.log(1 - y))
            gradient = (y - t) / (y * (1 - y)) * (y == output)
        return losses.mean(axis=-1), gradient / output.shape[-1]

    def lines(self, weighted: bool = False) -> Lines:
        """Return loss and gradient as in-place statements."""
        t = "smooth" if self.label_smoothing else "target"
        weigh = ["d_output *= weight"] if weighted else []
        if not self.from_logits:
            return self._probability_lines(weighted, fused=False)
        text = [
            *self._smooth(),
            "np.logaddexp(zero, output, out=soft)",
            "np.multiply(output, half, out=d_output)",
            "np.tanh(d_output, out=d_output)",
            "d_output += one",
            "d_output *= half",
            f"d_output -= {t}",
            f"np.multiply(output, {t}, out=part)",
            "soft -= part",
            *(["soft *= weight"] if weighted else []),
            "loss = float(np.add.reduce(soft, axis=None)) / output.size",
            *weigh,
            "d_output *= scale",
        ]
        return self._make(text, ("soft", "part"))

    def fused_sigmoid(self, weighted: bool = False) -> Lines | None:
        """Return lines for outputs that are sigmoids: the net's gradient is output - target."""
        return None if self.from_logits else self._probability_lines(weighted, fused=True)

    def _probability_lines(self, weighted: bool, fused: bool) -> Lines:
        t = "smooth" if self.label_smoothing else "target"
        slope = ["d_output /= slope", "np.equal(yes, output, out=inside)", "d_output *= inside"]
        text = [
            *self._smooth(),
            "np.maximum(output, low, out=yes)",
            "np.minimum(yes, high, out=yes)",
            "np.subtract(one, yes, out=no)",
            f"np.subtract({'output' if fused else 'yes'}, {t}, out=d_output)",
            *([] if fused else ["np.multiply(yes, no, out=slope)", *slope]),
            "np.log(yes, out=yes)",
            "np.log(no, out=no)",
            "yes -= no",
            *(["yes *= weight", "no *= weight", "d_output *= weight"] if weighted else []),
            f"loss = -float(np.vdot({t}, yes) + np.add.reduce(no, axis=None)) / output.size",
            "d_output *= scale",
        ]
        masks = () if fused else ("inside",)
        return self._make(text, ("yes", "no") if fused else ("yes", "no", "slope"), masks)

    def _smooth(self) -> list[str]:
        if not self.label_smoothing:
            return []
        return ["np.multiply(target, kept, out=smooth)", "smooth += share"]

    def _make(
        self, text: list[str], scratch: tuple[str, ...], masks: tuple[str, ...] = ()
    ) -> Lines:
        smoothing = self.label_smoothing
        values = {"zero": 0.0, "half": 0.5, "one": 1.0, "low": EPSILON, "high": 1 - EPSILON}
        values |= {"kept": 1 - smoothing, "share": smoothing / 2}
        scale = ("scale", "np.array(1 / output.size, output.dtype)")
        if smoothing:
            scratch = (*scratch, "smooth")
        return with_constants(text, values, (scale,), scratch, masks)

    def _check_values(self, target: Array) -> None:
        cure = "; one of several classes needs the loss sparse_categorical_crossentropy"
        check_range(self.name, target, 0.0, 1.0, cure if target.dtype.kind in "iu" else "")


def with_constants(
    text: list[str],
    constants: Mapping[str, float | str],
    setup: tuple[tuple[str, str], ...],
    scratch: tuple[str, ...],
    masks: tuple[str, ...] = (),
) -> Lines:
    """Return lines whose constants, if used, are 0-d arrays of the output's dtype."""
    statements = "\n".join(text)
    words = set(re.findall(r"\w+", statements))
    made = tuple(
        (name, f"np.array({value}, output.dtype)")
        for name, value in constants.items()
        if name in words
    )
    return Lines(statements, scratch=scratch, masks=masks, setup=(*setup, *made))

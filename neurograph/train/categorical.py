"""Cross-entropies over classes of which one is right: targets one-hot, or as class numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import DataError, ShapeError
from neurograph.lines import Lines
from neurograph.options import whole
from neurograph.train.crossentropy import EPSILON, Crossentropy, with_constants
from neurograph.train.loss import check_range, fits, shown

Array = NDArray[Any]

_COUNT = ("count", "output.size // output.shape[-1]")
_SCALE = ("scale", "np.array(1 / count, output.dtype)")
_TOTAL = ("total", "np.empty((*output.shape[:-1], 1), output.dtype)")
# for class numbers: where each row of the output begins, and temporaries with one entry a row
_ROWS = (
    ("first", "np.arange(0, output.size, output.shape[-1]).reshape(output.shape[:-1])"),
    ("index", "np.empty_like(first)"),
    ("picked", "np.empty(output.shape[:-1], output.dtype)"),
    ("change", "np.empty_like(picked)"),
    ("ones", "np.ones_like(picked)"),
)


@dataclass(frozen=True)
class CategoricalCrossentropy(Crossentropy):
    """Cross-entropy of one-hot (or probability) targets and outputs that share out a probability.

    ``-sum(t * log(y / sum(y)))`` over the classes, the mean of it over the batch.

    Parameters
    ----------
    from_logits : bool
        Whether outputs are nets, of which the softmax is to be taken.
    label_smoothing : float
        Moves targets towards an even spread: ``t * (1 - s) + s / classes``.

    Examples
    --------
    >>> loss, gradient = CategoricalCrossentropy().value_and_gradient(
    ...     [[0.0, 1.0, 0.0]], [[0.25, 0.5, 0.25]])
    >>> round(loss, 4), gradient
    (0.6931, array([[ 1., -1.,  1.]]))
    """

    from_logits: bool = False
    label_smoothing: float = 0.0
    name = "categorical_crossentropy"

    def _rows(self, target: Array, output: Array) -> tuple[Array, Array]:
        t = target * (1 - self.label_smoothing) + self.label_smoothing / output.shape[-1]
        if self.from_logits:
            logs = log_softmax(output)
            gradient = np.exp(logs) * t.sum(axis=-1, keepdims=True) - t
            return -(t * logs).sum(axis=-1), gradient
        total = output.sum(axis=-1, keepdims=True)
        share = output / total
        y = np.clip(share, EPSILON, 1 - EPSILON)
        felt = t * (y == share)
        gradient = (felt.sum(axis=-1, keepdims=True) - felt / y) / total
        return -(t * np.log(y)).sum(axis=-1), gradient

    def lines(self, weighted: bool = False) -> Lines:
        """Return loss and gradient as in-place statements, for targets that add up to 1."""
        t, prepare = self._targets(weighted)
        if self.from_logits:
            text = [
                *prepare,
                "np.maximum.reduce(output, axis=-1, keepdims=True, out=total)",
                "np.subtract(output, total, out=shifted)",
                "np.exp(shifted, out=d_output)",
                "np.add.reduce(d_output, axis=-1, keepdims=True, out=total)",
                "d_output /= total",
                "np.log(total, out=total)",
                *(["d_output *= weight", "total *= weight"] if weighted else []),
                f"loss = float(np.add.reduce(total, axis=None) - np.vdot({t}, shifted)) / count",
                f"d_output -= {t}",
                "d_output *= scale",
            ]
            return self._make(t, text, ("shifted",))
        text = [
            *prepare,
            "np.add.reduce(output, axis=-1, keepdims=True, out=total)",
            "np.divide(output, total, out=part)",
            "np.maximum(part, low, out=held)",
            "np.minimum(held, high, out=held)",
            "np.equal(part, held, out=inside)",
            f"np.multiply({t}, inside, out=part)",
            "np.add.reduce(part, axis=-1, keepdims=True, out=felt)",
            "part /= held",
            "np.subtract(felt, part, out=d_output)",
            "d_output /= total",
            "np.log(held, out=held)",
            f"loss = -float(np.vdot({t}, held)) / count",
            "d_output *= scale",
        ]
        felt = ("felt", "np.empty_like(total)")
        return self._make(t, text, ("part", "held"), ("inside",), (felt,))

    def fused_softmax(self, weighted: bool = False) -> Lines | None:
        """Return lines for outputs that are a softmax: the net's gradient is output - target.

        The targets of a row must add up to 1, which ``check`` makes sure of.
        """
        if self.from_logits:
            return None
        t, prepare = self._targets(weighted)
        if weighted:
            gradient = ["np.multiply(output, weight, out=d_output)", f"d_output -= {t}"]
        else:
            gradient = [f"np.subtract(output, {t}, out=d_output)"]
        text = [
            *prepare,
            *gradient,
            "d_output *= scale",
            "np.maximum(output, low, out=held)",
            "np.log(held, out=held)",
            f"loss = -float(np.vdot({t}, held)) / count",
        ]
        return self._make(t, text, ("held",), fused=True)

    def _targets(self, weighted: bool) -> tuple[str, list[str]]:
        """Return the name of smoothed and weighted targets and the statements that make them."""
        smooth = ["np.multiply(target, kept, out=share)", "share += spread"]
        if self.label_smoothing:
            return "share", [*smooth, *(["share *= weight"] if weighted else [])]
        if weighted:
            return "share", ["np.multiply(target, weight, out=share)"]
        return "target", []

    def _make(
        self,
        target: str,
        text: list[str],
        scratch: tuple[str, ...],
        masks: tuple[str, ...] = (),
        setup: tuple[tuple[str, str], ...] = (),
        fused: bool = False,
    ) -> Lines:
        values: dict[str, float | str] = {"low": EPSILON, "high": 1 - EPSILON}
        if self.label_smoothing:
            values["kept"] = 1 - self.label_smoothing
            values["spread"] = f"{self.label_smoothing!r} / output.shape[-1]"
        first = (_COUNT, _SCALE) if fused else (_COUNT, _SCALE, _TOTAL)
        shares = ("share",) if target == "share" else ()
        return with_constants(text, values, (*first, *setup), (*scratch, *shares), masks)

    def _hint(self, target: Array, output_shape: tuple[int | None, ...]) -> str:
        if target.ndim == len(output_shape):
            return (
                "; for class numbers use sparse_categorical_crossentropy, or make the targets "
                "one-hot with np.eye(classes)[target]"
            )
        return ""

    def _fit(self, target: Array, output_shape: tuple[int | None, ...]) -> Array:
        _check_outputs(self.name, output_shape)
        return super()._fit(target, output_shape)

    def _check_values(self, target: Array) -> None:
        check_range(self.name, target, 0.0, 1.0, "; targets are one-hot or probabilities")
        sums = target.sum(axis=-1)
        off = np.argwhere(np.abs(sums - 1) > 1e-3)
        if len(off):
            raise DataError(
                f"{self.name}: the targets of sample {off[0][0]} add up to "
                f"{sums[tuple(off[0])]:g}, expected 1; for several labels at once use sigmoid "
                f"outputs and binary_crossentropy, to leave samples out give them weight 0"
            )


@dataclass(frozen=True)
class SparseCategoricalCrossentropy(Crossentropy):
    """Cross-entropy of class numbers and outputs that share out a probability.

    ``-log(y[t] / sum(y))``, the mean of it over the batch: what CategoricalCrossentropy gives for
    one-hot targets.

    Parameters
    ----------
    from_logits : bool
        Whether outputs are nets, of which the softmax is to be taken.
    ignore_class : int, optional
        A class number that marks entries to leave out; the mean is taken over the others.

    Examples
    --------
    >>> loss, gradient = SparseCategoricalCrossentropy().value_and_gradient(
    ...     [1], [[0.25, 0.5, 0.25]])
    >>> round(loss, 4), gradient
    (0.6931, array([[ 1., -1.,  1.]]))
    """

    from_logits: bool = False
    ignore_class: int | None = None
    name = "sparse_categorical_crossentropy"
    class_numbers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ignore_class is not None:
            value = whole(f"{self.name}: ignore_class", self.ignore_class, least=-(2**31))
            object.__setattr__(self, "ignore_class", value)

    def _rows(self, target: Array, output: Array) -> tuple[Array, Array]:
        self._check_classes(target, output.shape[-1])
        kept = np.ones(target.shape, bool)
        if self.ignore_class is not None:
            kept = target != self.ignore_class
        onehot = np.arange(output.shape[-1]) == np.where(kept, target, 0)[..., None]
        losses, gradient = CategoricalCrossentropy(self.from_logits)._rows(onehot, output)
        # the mean over the kept entries, written as a mean over all of them
        factor = kept * (kept.size / max(1, int(np.count_nonzero(kept))))
        return losses * factor, gradient * factor[..., None]

    def lines(self, weighted: bool = False) -> Lines | None:
        """Return loss and gradient as in-place statements; None with `ignore_class`."""
        if self.ignore_class is not None:
            return None
        if self.from_logits:
            text = [
                "np.maximum.reduce(output, axis=-1, keepdims=True, out=total)",
                "np.subtract(output, total, out=shifted)",
                "np.add(target, first, out=index)",
                "shifted.take(index, None, picked, 'clip')",
                "np.exp(shifted, out=d_output)",
                "np.add.reduce(d_output, axis=-1, keepdims=True, out=total)",
                "d_output /= total",
                "np.log(total, out=total)",
                "picked -= total[..., 0]",
                "np.exp(picked, out=change)",
                "change -= one",
                "d_output.put(index, change)",
            ]
            return _sparse([*text, *_mean(weighted), "d_output *= scale"], ("shifted",), (_TOTAL,))
        text = [
            "np.add.reduce(output, axis=-1, keepdims=True, out=total)",
            "np.add(target, first, out=index)",
            "output.take(index, None, picked, 'clip')",
            "picked /= total[..., 0]",
            "np.maximum(picked, low, out=change)",
            "np.minimum(change, high, out=change)",
            "np.equal(picked, change, out=inside)",
            "np.log(change, out=picked)",
            "np.divide(one, change, out=change)",
            "np.subtract(one, change, out=change)",
            "change *= inside",
            "np.copyto(d_output, inside[..., None])",
            "d_output.put(index, change)",
            "d_output /= total",
        ]
        setup = (_TOTAL, ("inside", "np.empty(picked.shape, bool)"))
        return _sparse([*text, *_mean(weighted), "d_output *= scale"], (), setup)

    def fused_softmax(self, weighted: bool = False) -> Lines | None:
        """Return lines for outputs that are a softmax: 1 is taken from the right class's output."""
        if self.from_logits or self.ignore_class is not None:
            return None
        text = [
            "np.add(target, first, out=index)",
            "output.take(index, None, picked, 'clip')",
            "np.subtract(picked, one, out=change)",
            "change *= scale",
            "np.multiply(output, scale, out=d_output)",
            "d_output.put(index, change)",
            "np.maximum(picked, low, out=picked)",
            "np.log(picked, out=picked)",
            *_mean(weighted),
        ]
        return _sparse(text, (), ())

    def _fit(self, target: Array, output_shape: tuple[int | None, ...]) -> Array:
        _check_outputs(self.name, output_shape)
        if target.ndim == len(output_shape) + 1 and target.shape[-1] == 1:
            target = target[..., 0]
        if not (target.ndim and fits(target.shape[1:], output_shape[:-1])):
            onehot = fits(target.shape[1:], output_shape)
            raise ShapeError(
                f"{self.name}: class numbers of shape {target.shape} do not fit outputs of shape "
                f"{shown(output_shape)}"
                + ("; one-hot targets need categorical_crossentropy" if onehot else "")
            )
        if target.dtype.kind == "f":
            check_range(self.name, target, cure=" that are class numbers")
            if (target != np.floor(target)).any():
                where = np.argwhere(target != np.floor(target))[0]
                raise DataError(
                    f"{self.name}: the target of sample {where[0]} is {target[tuple(where)]:g}, "
                    f"expected a class number"
                )
        target = target.astype(np.intp, copy=False)
        if output_shape[-1] is not None:
            self._check_classes(target, output_shape[-1])
        return target

    def _check_values(self, target: Array) -> None:
        """Everything was checked while fitting."""

    def _check_classes(self, target: Array, classes: int) -> None:
        if self.ignore_class is not None:
            target = np.where(target == self.ignore_class, 0, target)
        if target.min() < 0 or target.max() >= classes:
            where = np.argwhere((target < 0) | (target >= classes))[0]
            raise DataError(
                f"{self.name}: the target of sample {where[0]} is class "
                f"{target[tuple(where)]}, expected 0 to {classes - 1} for {classes} outputs"
            )


def log_softmax(net: Array) -> Array:
    """Return the logarithm of the softmax over the last axis, exact for nets of any size.

    >>> log_softmax(np.array([1000.0, 1000.0])).round(4)
    array([-0.6931, -0.6931])
    """
    shifted = net - net.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _mean(weighted: bool) -> list[str]:
    weigh = ["picked *= weight[..., 0]", "d_output *= weight"] if weighted else []
    return [*weigh, "loss = -float(np.vdot(picked, ones)) / count"]


def _sparse(text: list[str], scratch: tuple[str, ...], setup: tuple[tuple[str, str], ...]) -> Lines:
    constants = {"one": 1.0, "low": EPSILON, "high": 1 - EPSILON}
    return with_constants(text, constants, (_COUNT, _SCALE, *_ROWS, *setup), scratch)


def _check_outputs(name: str, output_shape: tuple[int | None, ...]) -> None:
    if not output_shape or output_shape[-1] == 1:
        raise ShapeError(
            f"{name} needs one output for each class, got outputs of shape {shown(output_shape)}; "
            f"for a single yes-or-no output use binary_crossentropy"
        )

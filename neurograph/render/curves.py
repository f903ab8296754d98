"""Lines between nodes: straight where the way is free, curved around what stands in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Floats = NDArray[np.float64]

CLEARANCE = 4.0
STEP = 16.0  # from point to point in which a curve is looked at; nodes are wider


@dataclass(slots=True)
class Spot:
    """Where a node is drawn: centre and half axes of an ellipse or box, in points, y upwards."""

    x: float
    y: float
    half_width: float
    half_height: float
    square: bool = False

    def rim(self, toward: Point) -> Point:
        """Return the point of its outline in the direction of another point."""
        dx, dy = toward[0] - self.x, toward[1] - self.y
        if dx == dy == 0.0:
            return self.x, self.y
        across, along = abs(dx) / self.half_width, abs(dy) / self.half_height
        scale = 1.0 / (max(across, along) if self.square else math.hypot(across, along))
        return self.x + dx * scale, self.y + dy * scale


@dataclass(frozen=True, slots=True)
class Curve:
    """A cubic curve from rim to rim; ``tip`` is where an arrow ends."""

    points: tuple[Point, Point, Point, Point]
    tip: Point

    def at(self, share: float) -> Point:
        """Return the point a share of the way along the parameter."""
        rest = 1.0 - share
        weights = (rest**3, 3 * share * rest**2, 3 * share**2 * rest, share**3)
        x = sum(w * p[0] for w, p in zip(weights, self.points, strict=True))
        y = sum(w * p[1] for w, p in zip(weights, self.points, strict=True))
        return x, y

    def text(self, arrow: bool) -> str:
        """Return it as the value of ``pos`` of an edge."""
        head = f"e,{self.tip[0]:.1f},{self.tip[1]:.1f} " if arrow else ""
        return head + " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


def bend(start: Spot, end: Spot, bulge: float, arrow: float) -> Curve:
    """Return the curve between two nodes that bulges to its left by about ``bulge`` points.

    ``arrow`` is the length of an arrow's head, for which room is left.
    """
    dx, dy = end.x - start.x, end.y - start.y
    length = math.hypot(dx, dy) or 1.0
    side = (-dy / length * bulge * 4 / 3, dx / length * bulge * 4 / 3)
    leave = start.rim((start.x + 0.3 * dx + side[0], start.y + 0.3 * dy + side[1]))
    tip = end.rim((start.x + 0.7 * dx + side[0], start.y + 0.7 * dy + side[1]))
    first, second = (
        (
            leave[0] + share * (tip[0] - leave[0]) + side[0],
            leave[1] + share * (tip[1] - leave[1]) + side[1],
        )
        for share in (0.3, 0.7)
    )
    return Curve((leave, first, second, _before(tip, second, arrow)), tip)


def cross(start: Spot, end: Spot, arrow: float) -> Curve:
    """Return the curve from side to side of two boxes in columns that are next to each other.

    It stays between the columns, at whatever heights the two are.
    """
    way = math.copysign(1.0, end.x - start.x)
    leave = (start.x + way * start.half_width, start.y)
    tip = (end.x - way * end.half_width, end.y)
    middle = (leave[0] + tip[0]) / 2
    second = (middle, end.y)
    return Curve((leave, (middle, start.y), second, _before(tip, second, arrow)), tip)


def loop(spot: Spot, number: int, arrow: float) -> Curve:
    """Return a loop above a node; each further ``number`` is larger."""
    height = spot.half_height + 34.0 + 16.0 * number
    width = spot.half_width * 0.9 + 7.0 * number
    first = (spot.x - width - 4.0, spot.y + height)
    second = (spot.x + width + 4.0, spot.y + height)
    leave = spot.rim((spot.x - 0.45 * spot.half_width, spot.y + spot.half_height))
    tip = spot.rim((spot.x + 0.45 * spot.half_width, spot.y + spot.half_height))
    return Curve((leave, first, second, _before(tip, second, arrow)), tip)


def _before(tip: Point, previous: Point, arrow: float) -> Point:
    dx, dy = previous[0] - tip[0], previous[1] - tip[1]
    length = math.hypot(dx, dy) or 1.0
    share = min(arrow / length, 0.8)
    return tip[0] + dx * share, tip[1] + dy * share


def _points(curve: Curve, step: float) -> Floats:
    """Return points along a curve, but for its ends, about a step apart."""
    (x, y), *_, (end_x, end_y) = curve.points
    number = max(20, math.ceil(math.hypot(end_x - x, end_y - y) / step))
    share = np.linspace(0.04, 0.96, min(number, 200))[:, None]
    rest = 1 - share
    basis = np.hstack([rest**3, 3 * share * rest**2, 3 * share**2 * rest, share**3])
    return np.asarray(basis @ np.array(curve.points))


def hits(curve: Curve, obstacles: Sequence[Spot], step: float = STEP) -> int:
    """Return how many of the nodes a curve touches, looked at in points a step apart."""
    if not obstacles:
        return 0
    way = _points(curve, step)
    spots = np.array([[s.x, s.y, s.half_width, s.half_height, s.square] for s in obstacles])
    reach = spots[:, 2:4] + CLEARANCE
    beside = (spots[:, :2] + reach < way.min(axis=0)) | (spots[:, :2] - reach > way.max(axis=0))
    near = ~beside.any(axis=1)
    off = np.abs(way[:, None, :] - spots[near, :2]) / reach[near]
    far = np.where(spots[near, 4], off.max(axis=2), np.hypot(off[..., 0], off[..., 1]))
    return int((far < 1.0).any(axis=0).sum())


def route(
    start: Spot,
    end: Spot,
    bulges: Sequence[float],
    obstacles: Sequence[Spot],
    arrow: float,
    step: float = STEP,
) -> tuple[Curve, float]:
    """Return the first curve that touches nothing, else the freest one, and its bulge."""
    best: tuple[int, Curve, float] | None = None
    for bulge in bulges:
        curve = bend(start, end, bulge, arrow)
        touched = hits(curve, obstacles, step)
        if touched == 0:
            return curve, bulge
        if best is None or touched < best[0]:
            best = (touched, curve, bulge)
    assert best is not None
    return best[1:]

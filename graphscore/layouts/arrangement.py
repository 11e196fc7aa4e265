"""Arrangement of finished drawings: components side by side, nodes apart, scale and centre."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
GAP = 1.0
"""Distance between components, in lengths of an edge."""


def pack(parts: Sequence[Array], gap: float = GAP, radii: Sequence[Array] | None = None) -> list[Array]:
    """Lay drawings side by side, in rows of about the width of the square of their area.

    Args:
        parts: Drawings ``[n, D]``; their first two axes are the plane.
        gap: Distance between their bounding boxes.
        radii: Radii of the nodes of each, ``[n]``, which are inside of the boxes.

    Returns:
        The drawings, moved, in the same order.
    """
    margins = [0.0 if radii is None or not len(one) else float(one.max()) for one in (radii or [()] * len(parts))]
    lows = [part.min(0) - margin for part, margin in zip(parts, margins, strict=True)]
    sizes = [part.max(0) + margin - low for part, margin, low in zip(parts, margins, lows, strict=True)]
    boxes = np.array([size[:2] for size in sizes]).reshape(-1, 2) + gap
    order = sorted(range(len(parts)), key=lambda k: (-boxes[k, 1], k))
    width = max(math.sqrt(boxes.prod(1).sum()), boxes[:, 0].max(initial=0))
    moved: dict[int, Array] = {}
    x = y = height = 0.0
    for k in order:
        if x > 0 and x + boxes[k, 0] > width * (1 + 1e-9):
            x, y, height = 0.0, y + height, 0.0
        shift = np.zeros(parts[k].shape[1])
        shift[:2] = x, y
        moved[k] = parts[k] - lows[k] + shift
        x, height = x + boxes[k, 0], max(height, boxes[k, 1])
    return [moved[k] for k in range(len(parts))]


def separate(pos: Array, radius: Array, held: NDArray[np.bool_] | None = None, rounds: int = 100) -> Array:
    """Push nodes apart until no two overlap; what is left after some rounds is removed by scaling up.

    Args:
        pos: Positions ``[n, D]``.
        radius: Radii ``[n]``: two nodes are to be at least the sum of theirs apart.
        held: Nodes that stay where they are; then nothing is scaled, and what cannot be resolved stays.
        rounds: Largest number of rounds.
    """
    still = np.zeros(len(pos), dtype=bool) if held is None else held
    pos, wanted = pos.copy(), radius[:, None] + radius
    np.fill_diagonal(wanted, 0)
    for _ in range(rounds):
        gap = pos[:, None] - pos
        distance = np.linalg.norm(gap, axis=-1)
        close = np.argwhere(np.triu(distance < wanted * (1 - 1e-9)))
        if not len(close):
            return pos
        i, j = close.T
        # Nodes on top of each other go to sides that depend on their numbers.
        turn = np.zeros((len(i), pos.shape[1]))
        turn[:, 0], turn[:, 1] = np.cos(i + 2.4 * j), np.sin(i + 2.4 * j)
        reach = distance[i, j][:, None]
        away = np.where(reach > 0, gap[i, j] / np.where(reach > 0, reach, 1), turn)
        push = (wanted[i, j][:, None] * 1.01 - reach) * away
        share = np.where(still[i] == still[j], 0.5, still[j])[:, None]
        shift = np.zeros_like(pos)
        np.add.at(shift, i, share * push)
        np.add.at(shift, j, (share - 1) * push)
        shift[still] = 0
        pos += shift
    distance = np.linalg.norm(pos[:, None] - pos, axis=-1)
    positive = distance > 0
    return pos if held is not None else pos * max(1.0, float((wanted[positive] / distance[positive]).max(initial=1)))


def rescale(pos: Array, scale: float | None, center: Array) -> Array:
    """Center positions, and scale them so that the farthest coordinate is ``scale``; ``None`` keeps their size.

    As :func:`networkx.rescale_layout`, which does not center.
    """
    pos = pos - pos.mean(0) if len(pos) else pos
    largest = float(np.abs(pos).max(initial=0))
    return (pos if scale is None or largest == 0 else pos * (scale / largest)) + center

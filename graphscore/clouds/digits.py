"""Data set of handwritten digits as point clouds in the plane; its data card is ``datasets/digits/README.md``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Part, Transform, with_coordinates
from graphscore.data.split import PARTS, part_of

THRESHOLD = 8  # of 16: every image keeps 13 to 30 points
SIDE = 8


class Digits(Dataset):
    """Handwritten digits as point clouds: the 1,797 images of 8x8 pixels of scikit-learn.

    Each pixel of at least half intensity is a point.

    A graph has ``pos`` ``[N, 2]`` float32 in pixels (x to the right, y up, from 0 to 7), ``digit`` ``[N]``
    int64, the class of the image repeated for each node, and no edges unless ``transform`` adds some.

    Args:
        seed: Seed of the split. Images with equal points come into the same part.
        transform: Applied once to each graph, before it gets coordinates.

    Attributes:
        name: ``"digits"``.
    """

    name = "digits"

    def __init__(self, seed: int = 0, transform: Transform | None = None) -> None:
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise ImportError('The digits come with scikit-learn: pip install "graphscore[clouds]"') from error
        images, digits = load_digits(return_X_y=True)
        self._groups: dict[str, dict[tuple[int, int], list[Data]]] = {part: {} for part in PARTS}
        for image, digit in zip(images.reshape(-1, SIDE, SIDE) >= THRESHOLD, digits.tolist(), strict=True):
            part = PARTS[part_of(np.packbits(image).tobytes().hex(), seed=seed)]
            self._groups[part].setdefault((digit, int(image.sum())), []).extend(_graph(image, digit, transform))

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        return [group for _, group in sorted(self._groups[part].items())]


def _graph(image: np.ndarray, digit: int, transform: Transform | None) -> list[Data]:
    row, column = image.nonzero()
    graph = Data(
        digit=torch.full((len(row),), digit),
        edge_index=torch.empty(2, 0, dtype=torch.long),
        num_nodes=len(row),
    )
    pos = torch.from_numpy(np.stack([column, len(image) - 1 - row], axis=1)).float()
    return with_coordinates(graph, [pos], transform)


def rasterize(pos: Tensor) -> np.ndarray:
    """Draw a cloud as an image of 8x8 pixels, wherever the cloud lies.

    Points move together to where they are closest to whole numbers, and are rounded; the box around them is centered,
    and what is outside of the image is left out.

    Args:
        pos: Points ``[N, 2]`` in pixels, x to the right, y up.

    Returns:
        The image, bool, shape ``[8, 8]``.

    Raises:
        ValueError: If there are no points in the plane, or one is not finite.
    """
    points = pos.detach().cpu().double().numpy()
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"Expected finite points in the plane [N, 2], but got the shape {list(points.shape)}")
    phase = np.angle(np.exp(2j * np.pi * points).mean(0)) / (2 * np.pi)
    cells = np.round(points - phase).astype(int)
    low, high = cells.min(0), cells.max(0)
    column, up = (cells - low + (SIDE - 1 - high + low) // 2).T
    image = np.zeros((SIDE, SIDE), dtype=bool)
    inside = (np.minimum(column, up) >= 0) & (np.maximum(column, up) < SIDE)
    image[SIDE - 1 - up[inside], column[inside]] = True
    return image

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch_geometric.data import Data

from graphscore.clouds import show as clouds
from graphscore.clouds.show import cloud_picture


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch):
    """Draws clouds, and returns the figure."""
    figures: list[Figure] = []
    monkeypatch.setattr(clouds, "save_figure", lambda figure, path: figures.append(figure))

    def draw(generated: list[Data], reference: list[Data], **options) -> Figure:
        cloud_picture(generated, reference, "clouds.png", **options)
        return figures[-1]

    return draw


def cloud(*points: tuple[float, float]) -> Data:
    return Data(pos=torch.tensor(points).reshape(-1, 2))


SQUARE = cloud((0, 0), (2, 0), (2, 2), (0, 2))


def points_of(axes) -> np.ndarray:
    return np.asarray(axes.collections[0].get_offsets())


def texts_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_clouds_are_centered_and_share_one_square_scale(drawn) -> None:
    upper, lower = drawn([cloud((5, 5), (6, 5))], [SQUARE]).axes
    np.testing.assert_allclose(points_of(upper), [[-1, -1], [1, -1], [1, 1], [-1, 1]])
    np.testing.assert_allclose(points_of(lower), [[-0.5, 0], [0.5, 0]])
    for axes in (upper, lower):
        assert axes.get_xlim() == axes.get_ylim() == upper.get_xlim()
        assert axes.get_aspect() == 1


@pytest.mark.parametrize("num_points", [1, 4, 400])
def test_whole_dots_are_inside(drawn, num_points: int) -> None:
    angles = torch.arange(num_points) * (2 * torch.pi / num_points)
    ring = Data(pos=torch.stack([angles.cos(), angles.sin()], dim=1))
    axes = drawn([ring], [ring]).axes[0]
    left, right = axes.get_xlim()
    assert left == -right
    width = axes.get_position().width * axes.figure.get_figwidth() * 72  # points, as the size of dots
    radius = np.sqrt(axes.collections[0].get_sizes()[0]) / width * right
    farthest = np.abs(points_of(axes)).max() + radius
    assert 0.3 * right < farthest < right


def test_references_are_above_the_generated(drawn) -> None:
    figure = drawn([SQUARE] * 3, [SQUARE] * 2)
    bottoms = [axes.get_position().y0 for axes in figure.axes]
    assert len(bottoms) == 5
    assert min(bottoms[:2]) > max(bottoms[2:])
    assert texts_of(figure) == ["reference", "generated"]


def test_long_rows_are_broken_evenly(drawn) -> None:
    figure = drawn([SQUARE] * 14, [SQUARE] * 14)
    assert len({round(axes.get_position().x0, 6) for axes in figure.axes}) == 7
    assert len({round(axes.get_position().y0, 6) for axes in figure.axes}) == 4


def test_no_tile_overlaps_another_or_leaves_the_picture(drawn) -> None:
    boxes = [axes.get_position() for axes in drawn([SQUARE] * 14, [SQUARE] * 3, labels=list("abcdefg")).axes]
    for k, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 1 and box.y1 <= 1
        assert not any(box.overlaps(other) for other in boxes[:k])


def test_labels_head_the_columns(drawn) -> None:
    assert texts_of(drawn([SQUARE] * 2, [SQUARE] * 2, labels=["$a", "b"]))[-2:] == ["$a", "b"]
    with pytest.raises(ValueError, match="each of 2 columns, but got 1"):
        drawn([SQUARE] * 2, [SQUARE] * 2, labels=["a"])


def test_strays_do_not_shrink_the_others(drawn) -> None:
    usual = [SQUARE] * 100
    stray = cloud((0, 0), (1000, 0), (0, 0), (0, 0))
    limit = drawn(usual, [SQUARE]).axes[0].get_xlim()[1]
    assert drawn([*usual, stray], [SQUARE]).axes[0].get_xlim()[1] == pytest.approx(limit)
    assert drawn([stray], [SQUARE]).axes[0].get_xlim()[1] == pytest.approx(1.5 * limit)


def test_failed_clouds_are_shown_as_failed(drawn) -> None:
    _, good, failed = drawn([SQUARE, cloud((0, 0), (float("nan"), 0))], [SQUARE]).axes
    assert len(points_of(good)) == 4 and not good.texts
    assert failed.texts[0].get_text() == "failed:\nnot finite" and not failed.collections


def test_empty_clouds_and_single_points_are_drawn(drawn) -> None:
    _, empty, single = drawn([cloud(), cloud((3, 3))], [cloud((1, 1))]).axes
    assert len(points_of(empty)) == 0
    np.testing.assert_allclose(points_of(single), [[0, 0]])


@pytest.mark.parametrize(
    ("generated", "reference", "message"),
    [
        ([], [SQUARE], "1 reference, 0 generated"),
        ([Data(pos=torch.zeros(4, 3))], [SQUARE], r"\[N, 2\], but got \[4, 3\]"),
        ([Data(x=torch.zeros(4, 2))], [SQUARE], "but got None"),
        ([SQUARE], [cloud((float("inf"), 0))], "reference cloud has coordinates that are not finite"),
    ],
)
def test_bad_clouds_are_refused(drawn, generated: list[Data], reference: list[Data], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        drawn(generated, reference)


def test_the_file_shows_points_where_they_are(tmp_path: Path) -> None:
    """An L of points: ink in the corners where a point is, none in the fourth."""
    corner = cloud((-1, 1), (-1, -1), (1, -1))
    corner.pos = corner.pos + 1 / 3  # already centered
    image = matplotlib.image.imread(cloud_picture([corner], [corner], tmp_path / "clouds.png"))[..., :3]
    blue = (image[..., 2] > 0.6) & (image[..., 0] < 0.5)
    rows, columns = blue.nonzero()
    middle = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    upper, left = rows < middle[0], columns < middle[1]
    counts = [(upper & left).sum(), (~upper & left).sum(), (~upper & ~left).sum()]
    assert min(counts) > 100 and max(counts) / min(counts) < 1.1
    assert (upper & ~left).sum() == 0


def test_clouds_without_reference_and_without_a_finite_one_are_drawn(drawn):
    gone = cloud((float("nan"), 0))
    assert len(drawn([SQUARE, gone], []).axes) == 2
    (failed,) = drawn([gone], []).axes
    assert "not finite" in failed.texts[0].get_text()

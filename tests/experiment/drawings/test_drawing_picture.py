"""Pictures of graphs with positions: where nodes and edges are, on which scale, and what cannot be drawn."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch_geometric.data import Data

from graphscore.experiment.drawings import picture
from graphscore.experiment.drawings.picture import draw_picture
from graphscore.experiment.drawings.shapes import Block, shape_of


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch):
    """Draws samples, below references, and returns the figure."""
    figures: list[Figure] = []
    monkeypatch.setattr(picture, "save_figure", lambda figure, path: figures.append(figure))

    def draw(generated: list[Data], reference: list[Data], labels: list[str] | None = None, **options) -> Figure:
        blocks = [Block("reference", reference, labels or (), is_reference=True), Block("generated", generated)]
        draw_picture(blocks, "clouds.png", **options)
        return figures[-1]

    return draw


def cloud(*points: tuple[float, float]) -> Data:
    return Data(pos=torch.tensor(points).reshape(-1, 2))


SQUARE = cloud((0, 0), (2, 0), (2, 2), (0, 2))


def points_of(axes) -> np.ndarray:
    return np.asarray(axes.collections[-1].get_offsets())


def texts_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_graphs_are_centered_and_share_one_square_scale(drawn) -> None:
    upper, lower = drawn([cloud((5, 5), (6, 5))], [SQUARE]).axes
    np.testing.assert_allclose(points_of(upper), [[-1, -1], [1, -1], [1, 1], [-1, 1]])
    np.testing.assert_allclose(points_of(lower), [[-0.5, 0], [0.5, 0]])
    for axes in (upper, lower):
        assert axes.get_xlim() == axes.get_ylim() == upper.get_xlim()
        assert axes.get_aspect() == 1


def test_without_a_common_scale_each_fills_its_tile(drawn) -> None:
    large, small = drawn([cloud((0, 0), (0.1, 0))], [SQUARE], common_scale=False).axes
    assert large.get_xlim()[1] == pytest.approx(20 * small.get_xlim()[1], rel=1e-6)


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


def test_references_are_above_the_generated_and_rows_broken_evenly(drawn) -> None:
    figure = drawn([SQUARE] * 3, [SQUARE] * 2)
    bottoms = [axes.get_position().y0 for axes in figure.axes]
    assert len(bottoms) == 5 and min(bottoms[:2]) > max(bottoms[2:])
    assert texts_of(figure) == ["reference", "generated"]
    figure = drawn([SQUARE] * 14, [SQUARE] * 14)
    assert len({round(axes.get_position().x0, 6) for axes in figure.axes}) == 7
    assert len({round(axes.get_position().y0, 6) for axes in figure.axes}) == 4


def test_no_tile_overlaps_another_or_leaves_the_picture(drawn) -> None:
    boxes = [axes.get_position() for axes in drawn([SQUARE] * 14, [SQUARE] * 3, labels=list("abc")).axes]
    for k, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 1 and box.y1 <= 1
        assert not any(box.overlaps(other) for other in boxes[:k])


def test_labels_are_plain_text(drawn) -> None:
    assert texts_of(drawn([SQUARE] * 2, [SQUARE] * 2, labels=["$a", "b"]))[:2] == ["$a", "b"]
    with pytest.raises(ValueError, match="each of 2 graphs, but got 1"):
        drawn([SQUARE] * 2, [SQUARE] * 2, labels=["a"])


def test_strays_do_not_shrink_the_others(drawn) -> None:
    usual = [SQUARE] * 200
    stray = cloud((0, 0), (1000, 0), (0, 0), (0, 0))
    limit = drawn(usual, [SQUARE]).axes[0].get_xlim()[1]
    assert drawn([*usual, stray], [SQUARE]).axes[0].get_xlim()[1] == pytest.approx(limit)
    assert drawn([*usual, stray], []).axes[0].get_xlim()[1] == pytest.approx(limit)
    assert drawn([stray], [SQUARE]).axes[0].get_xlim()[1] == pytest.approx(1.5 * limit)


def test_failed_graphs_are_shown_as_failed(drawn) -> None:
    _, good, failed = drawn([SQUARE, cloud((0, 0), (float("nan"), 0))], [SQUARE]).axes
    assert len(points_of(good)) == 4 and not good.texts
    assert failed.texts[0].get_text() == "failed:\nnot finite" and not failed.collections
    (alone,) = drawn([cloud((float("nan"), 0))], []).axes
    assert "not finite" in alone.texts[0].get_text()


def test_empty_graphs_and_single_nodes_are_drawn(drawn) -> None:
    _, empty, single = drawn([cloud(), cloud((3, 3))], [cloud((1, 1))]).axes
    assert len(points_of(empty)) == 0
    np.testing.assert_allclose(points_of(single), [[0, 0]])


def test_each_edge_is_a_line_below_the_nodes_whatever_its_direction_and_repetition(drawn) -> None:
    edges = torch.tensor([[0, 1, 1, 2, 3], [1, 0, 2, 1, 3]])
    graph = Data(pos=SQUARE.pos, edge_index=edges)
    (axes,) = drawn([graph], []).axes
    lines, nodes = axes.collections
    np.testing.assert_allclose(lines.get_segments(), [[[-1, -1], [1, -1]], [[1, -1], [1, 1]]])
    assert lines.get_zorder() < nodes.get_zorder()
    (axes,) = drawn([graph], [], edges=lambda data: data.edge_index[:, :2]).axes
    assert len(axes.collections[0].get_segments()) == 1


def test_in_space_up_is_up_the_right_is_right_and_near_points_are_darker(drawn) -> None:
    axis = torch.eye(3)
    graph = Data(pos=torch.cat([axis, -axis]))
    (axes,) = drawn([graph], []).axes
    nodes = axes.collections[0]
    tones = nodes.get_facecolors()[:, :3].sum(1)
    seen = {tuple(np.round(place, 4)): tone for place, tone in zip(points_of(axes), tones, strict=True)}
    assert len(seen) == 6
    highest, rightmost = max(seen, key=lambda p: p[1]), max(seen, key=lambda p: p[0])
    assert highest[0] == 0 and rightmost[0] == pytest.approx(np.cos(np.radians(35)), abs=1e-4)
    # Along z, towards the viewer: below the middle, since it is seen from above, and darkest.
    near = min(seen, key=lambda p: seen[p])
    assert near[1] < 0 and seen[near] == min(seen.values()) and seen[(-near[0], -near[1])] == max(seen.values())


@pytest.mark.parametrize(
    ("generated", "reference", "message"),
    [
        ([], [], "got none"),
        ([Data(pos=torch.zeros(4, 5))], [SQUARE], r"\[N, 3\], but got \[4, 5\]"),
        ([Data(x=torch.zeros(4, 2))], [SQUARE], "but got None"),
        ([SQUARE], [cloud((float("inf"), 0))], "reference has coordinates that are not finite"),
    ],
)
def test_bad_graphs_are_refused(drawn, generated: list[Data], reference: list[Data], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        drawn(generated, reference)


def test_the_file_shows_points_where_they_are(tmp_path: Path) -> None:
    """An L of points: ink in the corners where a point is, none in the fourth."""
    corner = cloud((-1, 1), (-1, -1), (1, -1))
    image = matplotlib.image.imread(draw_picture([Block("", [corner])], tmp_path / "clouds.png"))[..., :3]
    blue = (image[..., 2] > 0.6) & (image[..., 0] < 0.5)
    rows, columns = blue.nonzero()
    middle = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    upper, left = rows < middle[0], columns < middle[1]
    counts = [(upper & left).sum(), (~upper & left).sum(), (~upper & ~left).sum()]
    assert min(counts) > 100 and max(counts) / min(counts) < 1.1
    assert (upper & ~left).sum() == 0


def test_a_shape_does_not_change_the_graph() -> None:
    graph = Data(pos=torch.tensor([[3.0, 4.0], [5.0, 4.0]]), edge_index=torch.tensor([[0], [1]]))
    shape = shape_of(graph)
    assert shape.pos.tolist() == [[-1, 0], [1, 0]] and shape.edges.tolist() == [[0, 1]]
    assert graph.pos is not None and graph.pos.tolist() == [[3, 4], [5, 4]]

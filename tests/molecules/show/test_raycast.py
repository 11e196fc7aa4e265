from __future__ import annotations

import numpy as np
import pytest

from graphscore.molecules.show.raycast import raycast
from graphscore.molecules.show.structures import Shape

HALF, WIDTH = 2.0, 200
CARBON, OXYGEN = 6, 8


def shape(balls: list[tuple], sticks: list[tuple] = ()) -> Shape:
    """Balls as (element, x, y, z, radius), sticks as (element, start, end, radius)."""
    return Shape(
        elements=np.array([ball[0] for ball in balls]),
        centers=np.array([ball[1:4] for ball in balls], dtype=float),
        radii=np.array([ball[4] for ball in balls], dtype=float),
        sticks=np.array([stick[1:3] for stick in sticks], dtype=float).reshape(-1, 2, 3),
        stick_radii=np.array([stick[3] for stick in sticks], dtype=float),
        stick_elements=np.array([stick[0] for stick in sticks], dtype=int),
        stick_bonds=np.zeros((len(sticks), 2), dtype=int),
    )


def area(image: np.ndarray) -> float:
    """What is covered, in square Angstrom."""
    return float(image[..., 3].sum()) * (2 * HALF / WIDTH) ** 2


def is_red(pixel: np.ndarray) -> bool:
    return bool(pixel[0] > 2 * pixel[1])


FAR_AWAY = (CARBON, 50.0, 0.0, 0.0, 0.1)


def test_a_ball_covers_its_disk() -> None:
    image = raycast(shape([(CARBON, 0.3, -0.2, 5.0, 0.8)]), HALF, HALF, WIDTH)
    assert image.shape == (WIDTH, WIDTH, 4)
    assert area(image) == pytest.approx(np.pi * 0.8**2, rel=0.003)
    rows, columns = np.nonzero(image[..., 3])
    assert columns.mean() + 0.5 == pytest.approx(WIDTH * (0.5 + 0.3 / 4), abs=0.5)
    assert rows.mean() + 0.5 == pytest.approx(WIDTH * (0.5 + 0.2 / 4), abs=0.5)


@pytest.mark.parametrize("end", [(1.0, 0.5, 0.0), (1.0, 0.5, 2.0), (0.3, 0.1, -1.5), (0.0, 0.0, 1.0)])
def test_a_stick_covers_its_shadow(end: tuple[float, float, float]) -> None:
    """A stick with round caps is seen as a rectangle with two half disks, however it is turned."""
    radius = 0.3
    image = raycast(shape([FAR_AWAY], [(CARBON, (0, 0, 0), end, radius)]), HALF, HALF, WIDTH)
    length = np.hypot(end[0], end[1])
    assert area(image) == pytest.approx(2 * radius * length + np.pi * radius**2, rel=0.005)


def test_light_comes_from_the_upper_left() -> None:
    image = raycast(shape([(CARBON, 0, 0, 0, 1.5)]), HALF, HALF, WIDTH)[..., :3].mean(axis=-1)
    assert image[70, 70] > image[100, 100] > image[130, 130]


def test_what_is_nearer_hides_what_is_behind() -> None:
    near, far = (OXYGEN, 0, 0, 1.0, 0.5), (CARBON, 0, 0, -1.0, 0.8)
    image = raycast(shape([near, far]), HALF, HALF, WIDTH)
    assert is_red(image[100, 100]) and not is_red(image[100, 135])
    turned = raycast(shape([(OXYGEN, 0, 0, -1.0, 0.5), (CARBON, 0, 0, 1.0, 0.8)]), HALF, HALF, WIDTH)
    assert not is_red(turned[100, 100])


def test_a_stick_leaves_its_ball() -> None:
    """It is hidden inside the ball, and seen from where it comes out."""
    ball, stick = (CARBON, 0, 0, 0, 0.6), (OXYGEN, (0, 0, 0), (1.5, 0, 0), 0.2)
    image = raycast(shape([ball], [stick]), HALF, HALF, WIDTH)
    leaves = WIDTH * (0.5 + np.sqrt(0.6**2 - 0.2**2) / 4)
    row = [is_red(pixel) for pixel in image[100, 100:170]]
    assert not any(row[: int(leaves - 100)]) and all(row[int(0.6 * WIDTH / 4) + 2 :])


def test_the_order_of_the_parts_does_not_matter() -> None:
    """Interpenetrating balls, which no sorting by depth draws right."""
    generator = np.random.default_rng(0)
    balls = [(int(z), *xyz, 0.7) for z, xyz in zip([6, 7, 8] * 4, generator.normal(size=(12, 3)), strict=True)]
    image = raycast(shape(balls), HALF, HALF, WIDTH)
    np.testing.assert_array_equal(image, raycast(shape(balls[::-1]), HALF, HALF, WIDTH))


def test_what_is_outside_is_cut_off() -> None:
    image = raycast(shape([FAR_AWAY], [(CARBON, (9, 9, 0), (10, 10, 0), 0.1)]), HALF, 0.5 * HALF, WIDTH)
    assert image.shape == (WIDTH // 2, WIDTH, 4)
    assert not image.any()


def test_colors_do_not_bleed_at_the_edge() -> None:
    """The half covered pixels of a white ball are as white as the rest, and only less opaque."""
    image = raycast(shape([(1, 0, 0, 0, 1.0)]), HALF, HALF, WIDTH)
    edge = (image[..., 3] > 0.2) & (image[..., 3] < 0.8)
    assert edge.sum() > 100
    assert image[edge][:, :3].min() > 0.2
    assert image.min() >= 0 and image.max() <= 1

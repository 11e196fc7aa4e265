"""Bodies and household objects as clouds of points."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphscore.clouds.surfaces import CATEGORIES, UNIT, pack_points, unpack_points
from graphscore.data import load_dataset

PARTS = ("train", "val", "test")


def as_set(points) -> list[tuple[int, ...]]:
    return sorted(map(tuple, np.round(np.asarray(points, np.float64) / UNIT).astype(int).tolist()))


def test_points_are_packed_to_the_unit_and_restored_in_random_order():
    points = np.random.default_rng(0).uniform(-1, 1, (3, 50, 3))
    points[0, 0], points[1, :2] = -1, 1  # the largest step there is, and a repeated point
    restored = unpack_points(pack_points(points))
    assert restored.dtype == torch.float32
    for before, after in zip(points, restored, strict=True):
        assert as_set(before) == as_set(after)
        assert (after[1:, 0] < after[:-1, 0]).any()
    assert torch.equal(restored, unpack_points(pack_points(points)))
    with pytest.raises(ValueError, match=r"from -1 to 1, but the largest is 1\.5"):
        pack_points(np.full((1, 2, 3), 1.5))


def test_bodies_are_those_of_the_card():
    bodies = load_dataset("bodies")
    assert [len(bodies.split(part)) for part in PARTS] == [3200, 100, 99]
    assert [len(bodies.groups(part)) for part in PARTS] == [1, 1, 1]
    assert all(item.pos.shape == (256, 3) and item.edge_index.shape == (2, 0) for item in bodies.split("train"))
    extent = (
        torch.stack([item.pos for item in load_dataset("bodies", num_points=1024).split("test")]).abs().amax((1, 2))
    )
    assert extent.min() > 0.97 and extent.max() <= 1


def test_clouds_of_a_shape_have_no_points_in_common():
    few = load_dataset("bodies", num_points=300).split("train")
    assert len(few) == 3 * 800
    whole = as_set(load_dataset("bodies", num_points=1024).split("train")[0].pos)
    parts = [point for item in few[:3] for point in as_set(item.pos)]
    assert len(parts) == 900
    for point in parts:
        whole.remove(point)


def test_household_objects_are_grouped_by_category():
    household = load_dataset("household", num_points=512)
    assert [len(household.split(part)) for part in PARTS] == [1286, 107, 70]
    assert {part for part in household.columns_of["library"]} == {
        "Scopia", "BlendSwap-CC-BY", "BlendSwap-CC-0", "KatorLegaz", "Reallusion",
    }  # fmt: skip
    assert all(household.columns_of["creator"])
    for group in household.groups("train"):
        assert len({int(item.category) for item in group}) == 1
    row = household.rows("test")[0]
    names = [CATEGORIES[int(group[0].category)] for group in household.groups("test")]
    assert household.columns_of["category"][row] in names


@pytest.mark.parametrize("num_points", [0, 1025])
def test_more_points_than_are_stored_are_refused(num_points):
    with pytest.raises(ValueError, match=f"between 1 and the 1024 stored, but is {num_points}"):
        load_dataset("bodies", num_points=num_points)


def test_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros(2))
    with pytest.raises(ValueError, match=r"Expected the arrays .* in .*other\.npz, but .* are missing"):
        load_dataset("bodies", path=tmp_path / "other.npz")

"""Digits as clouds of points."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from graphscore.clouds.digits import rasterize
from graphscore.data import CompleteGraph, Dataset, load_dataset
from graphscore.fields import measure_scale

sklearn = pytest.importorskip("sklearn.datasets")
PARTS = ("train", "val", "test")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def picture(pos: torch.Tensor) -> np.ndarray:
    image = np.zeros((8, 8), dtype=bool)
    for x, y in pos.long().tolist():
        image[7 - y, x] = True
    return image


def test_every_image_is_there_once_as_it_is(digits: Dataset):
    images, labels = sklearn.load_digits(return_X_y=True)
    expected = sorted((label, (image >= 8).tobytes()) for image, label in zip(images, labels, strict=True))
    items = [item for part in PARTS for item in digits.split(part)]
    assert sorted((int(d.digit[0]), picture(d.pos).tobytes()) for d in items) == expected


def test_counts_are_those_of_the_card(digits: Dataset):
    assert [len(digits.split(part)) for part in PARTS] == [1427, 201, 169]
    sizes = [d.num_nodes for part in PARTS for d in digits.split(part)]
    assert (min(sizes), max(sizes), len(sizes)) == (13, 30, 1797)
    assert measure_scale(digits.split("train"), "pos", zero_mean=True) == pytest.approx(1.8044, abs=1e-4)


def test_equal_clouds_are_never_in_two_parts(digits: Dataset):
    clouds = [{picture(d.pos).tobytes() for d in digits.split(part)} for part in PARTS]
    assert sum(len(c) for c in clouds) == len(set.union(*clouds)) == 1750


def test_groups_share_digit_and_number_of_points(digits: Dataset):
    for part in PARTS:
        groups = digits.groups(part)
        kinds = [{(int(d.digit[0]), d.num_nodes) for d in group} for group in groups]
        assert all(len(kind) == 1 for kind in kinds) and len(set.union(*kinds)) == len(groups)
        assert {digit for kind in kinds for digit, _ in kind} == set(range(10))
        assert sum(map(len, groups)) == len(digits.split(part))


def test_layout(digits: Dataset):
    item = digits.split("train")[0]
    n = item.num_nodes
    assert item.pos.dtype == torch.float32 and item.pos.shape == (n, 2)
    assert item.digit.dtype == torch.long and item.digit.shape == (n,)
    assert item.edge_index.shape == (2, 0)


def test_transform_and_batch():
    items = load_dataset("digits", seed=1, transform=CompleteGraph()).split("val")
    batch = Batch.from_data_list(items[:3])
    assert batch.num_edges == sum(d.num_nodes * (d.num_nodes - 1) for d in items[:3])
    assert set(batch.hops.tolist()) == {5}


def test_another_seed_gives_another_split(digits: Dataset):
    other = load_dataset("digits", seed=1)
    assert len(other.split("train")) != len(digits.split("train"))
    assert isinstance(other, Dataset)


def test_a_cloud_is_drawn_alike_wherever_it_lies(digits: Dataset):
    for item in digits.split("test")[::20]:
        image = rasterize(item.pos)
        assert image.sum() == item.num_nodes
        across, up = (7 - np.ptp(item.pos.numpy(), axis=0)).astype(int)
        rows, columns = image.any(1).nonzero()[0], image.any(0).nonzero()[0]
        assert columns[0] == across // 2 and 7 - rows[-1] == up // 2
        cut = np.array(picture(item.pos))
        cut = cut[cut.any(1)][:, cut.any(0)]
        assert (image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == cut).all()
        moved = item.pos + torch.tensor([0.37, -5.8]) + 0.1 * torch.rand(item.num_nodes, 2)
        assert (rasterize(moved) == image).all()


def test_what_is_no_cloud_is_not_drawn():
    for pos in (torch.zeros(0, 2), torch.zeros(3, 3), torch.full((2, 2), torch.nan)):
        with pytest.raises(ValueError, match="Expected finite points in the plane"):
            rasterize(pos)
    assert rasterize(torch.tensor([[0.0, 0.0], [20.0, 0.0]])).sum() == 0

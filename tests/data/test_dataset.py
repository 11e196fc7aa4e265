"""The registry and the interface that all data sets share."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import DATASETS, CompleteGraph, Dataset, load_dataset, write
from graphscore.data.dataset import with_coordinates


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_every_data_set_keeps_the_interface(name: str, tmp_path: Path):
    pytest.importorskip("rdkit")
    pytest.importorskip("sklearn")
    options = {}
    if name == "files":
        options["path"] = tmp_path / "clouds.pt"
        write([Data(pos=torch.randn(3, 2)) for _ in range(60)], options["path"])
    data = load_dataset(name, **options)
    assert isinstance(data, Dataset) and data.name == options.get("path", Path(name)).name
    for part in ("train", "val", "test"):
        items, groups = data.split(part), data.groups(part)
        assert items and [id(i) for group in groups for i in group] == [id(i) for i in items]
        assert all(item.num_nodes == len(item.pos) for item in items)
    with pytest.raises(ValueError, match="'train', 'val' or 'test', but got 'dev'"):
        data.split("dev")
    data.split("test").clear()
    data.groups("test")[0].clear()
    assert data.split("test") and data.groups("test")[0]


def test_load_dataset_takes_a_path_and_refuses_others():
    assert load_dataset("collections:OrderedDict", a=1) == OrderedDict(a=1)
    with pytest.raises(ValueError, match=r"'digit'; expected one of \['digits', 'files', 'small-molecules'\]"):
        load_dataset("digit")


def test_clouds_share_one_graph_that_is_transformed_once():
    graph = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    calls = []

    def transform(data: Data) -> Data:
        calls.append(data)
        return CompleteGraph()(data)

    clouds = [torch.zeros(2, 3), torch.ones(2, 3)]
    first, second = with_coordinates(graph, clouds, transform)
    assert len(calls) == 1 and "pos" not in graph and "hops" not in graph
    assert first.hops is second.hops and first.pos is clouds[0] and second.pos is clouds[1]

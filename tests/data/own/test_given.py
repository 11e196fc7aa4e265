"""Graphs given in Python as a data set."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData, InMemoryDataset

from graphscore.data.own.given import GivenDataset

PARTS = ("train", "val", "test")


def graphs(num: int, first: int = 0) -> list[Data]:
    return [Data(pos=torch.full((2, 1), float(n)), series=n % 5) for n in range(first, first + num)]


def numbers(data: GivenDataset) -> list[list[int]]:
    return [sorted(int(item.pos[0]) for item in data.split(part)) for part in PARTS]


class InMemory(InMemoryDataset):
    def __init__(self, items: list[Data]) -> None:
        super().__init__()
        self.data, self.slices = self.collate(items)


@pytest.mark.parametrize("kind", [list, tuple, iter, Batch.from_data_list, InMemory], ids=lambda kind: kind.__name__)
def test_any_collection_of_graphs_is_split(kind):
    parts = numbers(GivenDataset(kind(graphs(40))))
    assert (
        all(parts)
        and sorted(n for part in parts for n in part) == list(range(40))
        and parts == numbers(GivenDataset(graphs(40)))
    )


def test_parts_as_given_and_other_splits():
    data = GivenDataset({"test": graphs(2, 3), "train": InMemory(graphs(4))})
    assert numbers(data) == [[0, 1, 2, 3], [], [3, 4]]
    assert data.notes == ["1 of 2 graphs of test are in train, too: they are the same graph"]
    by_series = numbers(GivenDataset(graphs(40), split={"group": "series"}, fractions=(0.5, 0.2, 0.3)))
    assert sum(len({n % 5 for n in part}) for part in by_series) == 5
    again = GivenDataset(GivenDataset(graphs(40), seed=3))  # any data set keeps its parts
    assert numbers(again) == numbers(GivenDataset(graphs(40), seed=3))


def test_groups_of_a_data_set_stay_together():
    class Twins(GivenDataset):
        def _part_groups(self, part):
            items = self.split_items[part]
            return [items[k : k + 2] for k in range(0, len(items), 2)]

        def __init__(self) -> None:
            self.name, self.split_items = "twins", {"train": graphs(4), "val": graphs(2, 4), "test": []}

    data = GivenDataset(Twins())
    assert [[int(item.pos[0]) for item in group] for group in data.groups("train")] == [[0, 1], [2, 3]]


def test_the_given_graphs_stay_as_they_are_and_their_tensors_are_hashed():
    given = graphs(20)
    keys = [set(graph.keys()) for graph in given]
    before = GivenDataset(given, transform=lambda graph: graph.update({"more": 1}))
    assert [set(graph.keys()) for graph in given] == keys and all("more" in item for item in before.split("train"))
    given[3].pos = given[3].pos + 1
    assert GivenDataset(graphs(20)).digests() == before.digests() != GivenDataset(given).digests()


class Paired(Data):
    def __inc__(self, key, value, *args):
        return 7


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "graphs of this run were given in Python, and no file has them: give them again"),
        (graphs(1)[0], "Expected graphs, such as a list of PyG Data or a data set of PyG, but got Data"),
        ("a.pt", "but got str"),
        (3, "but got int"),
        ({"train": graphs(1), "valid": []}, r"those of train, val and test, but got \['train', 'valid'\]"),
        ([], "leaves nothing to train on"),
        (
            [HeteroData()],
            "data, graph 1: Expected a dict of tensors or a PyG Data, but got HeteroData",
        ),
        ([Paired(pos=torch.zeros(1, 1))], "Paired has its own __inc__ or __cat_dim__"),
        ([Data(x=torch.zeros(1, 1))], "has no coordinates"),
        (
            [Data(pos=torch.zeros(1, 1), edge_index=torch.tensor([[0], [1]]))],
            "numbers of nodes from 0 to 0, but it has 1",
        ),
        (
            [*graphs(2), Data(pos=torch.zeros(1, 2))],
            r"one number of columns of pos in the given data, but found \[1, 2\]",
        ),
    ],
)
def test_what_cannot_be_used_is_said(given, words):
    with pytest.raises(ValueError, match=words):
        GivenDataset(given, fractions=(1, 0, 0) if not isinstance(given, dict) else (0.8, 0.1, 0.1))


def test_some_that_cannot_be_used_are_failures():
    data = GivenDataset([*graphs(3), None, Data(pos=torch.full((1, 1), torch.nan))], fractions=(1, 0, 0))
    assert numbers(data) == [[0, 1, 2], [], []]
    assert [failure.location for failure in data.failures] == ["graph 4", "graph 5"]

"""Graphs from numpy files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from graphscore.data import read
from graphscore.data.sources import find_files


def graphs() -> list[Data]:
    """Graphs of 2 to 5 nodes and of 0 to 6 directed edges, the third without edges."""
    made = []
    for n in range(2, 6):
        source, target = (
            torch.tensor(ends)[: 0 if n == 4 else 99] for ends in ([*range(n - 1), n - 1], [*range(1, n), 0])
        )
        made.append(
            Data(
                x=torch.randn(n, 3), pos=torch.randn(n, 2), edge_index=torch.stack([source, target]),
                weight=torch.randn(len(source)), y=torch.tensor([n]),
            )
        )  # fmt: skip
    return made


def save(batch: Data, path: Path, **more: object) -> None:
    arrays = {key: value.numpy() for key, value in batch.to_dict().items() if key != "batch"}
    np.savez(path, **(arrays | more))


def equal(first: Data, second: Data) -> bool:
    return all(torch.equal(first[key], second[key]) for key in ("x", "pos", "edge_index", "weight", "y"))


@pytest.mark.parametrize("order", ["as they are", "shuffled edges"])
def test_an_archive_of_many_graphs_is_that_of_a_batch(tmp_path: Path, order: str):
    wanted = graphs()
    batch = Batch.from_data_list(wanted)
    if order != "as they are":  # the edges of a graph keep their order
        graph_of = batch.batch[batch.edge_index[0]]
        mixed = torch.cat([torch.nonzero(graph_of == g)[:, 0] for g in (3, 0, 2, 1)])
        batch.edge_index, batch.weight = batch.edge_index[:, mixed], batch.weight[mixed]
    save(batch, tmp_path / "a.npz")
    result = read(tmp_path / "a.npz")
    assert not result.failures and len(result.items) == 4
    assert all(map(equal, result.items, wanted))


def test_an_archive_without_ptr_is_one_graph_and_numbers_are_those_of_networks(tmp_path: Path):
    np.savez(tmp_path / "a.npz", pos=np.zeros((3, 2)), z=np.array([6, 1, 8], np.uint8), edge_index=[[0.0], [2.0]])
    (item,) = read(tmp_path / "a.npz").items
    assert (item.num_nodes, item.pos.dtype, item.z.dtype) == (3, torch.float32, torch.int64)
    assert item.edge_index.tolist() == [[0], [2]] and item.edge_index.dtype == torch.int64


def test_arrays_are_clouds(tmp_path: Path):
    clouds = np.random.default_rng(0).normal(size=(4, 7, 3))
    np.save(tmp_path / "many.npy", clouds)
    np.save(tmp_path / "one.npy", clouds[2])
    items = read(tmp_path / "many.npy").items
    assert torch.equal(torch.stack([item.pos for item in items]), torch.from_numpy(clouds).float())
    assert torch.equal(read(tmp_path / "one.npy").items[0].pos, items[2].pos)
    assert [file.name for file in find_files(tmp_path)] == ["many.npy", "one.npy"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"ptr": [0, 2, 5, 9, 13]}, "numbers of nodes from 0 to 12, but it has 13"),
        ({"ptr": [1, 14]}, "Expected ptr in .* to rise from 0"),
        ({"edge_index": [[0], [13]]}, "Edge 0 of .* joins two graphs, 0 and 3"),
        ({"x": np.zeros((13, 3))}, r"Expected x in .* one row for each of the 14 nodes, but its shape is \[13, 3\]"),
        ({"more": np.zeros(5)}, r"Expected more in .* each of the 14 nodes or the 10 edges or the 4 graphs"),
        ({"cis_trans_index": np.zeros((2, 4))}, "holds numbers of nodes"),
        ({"names": np.array(["a"])}, "Expected numbers in .* names"),
    ],
)
def test_what_does_not_fit_together_is_said(tmp_path: Path, more: dict[str, object], message: str):
    save(Batch.from_data_list(graphs()), tmp_path / "a.npz", **more)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.npz")


def test_other_files_are_no_graphs(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    np.save(tmp_path / "b.npy", np.array([{"a": 1}]), allow_pickle=True)
    (tmp_path / "c.npz").write_bytes(b"PK\x03\x04 and nothing else")
    np.save(tmp_path / "d.npy", np.zeros((2, 3)))
    (tmp_path / "d.npy").rename(tmp_path / "d.npz")
    for name, message in (
        ("a.npy", r"\[N, D\] or \[B, N, D\] in .*, but it holds float64 of shape \[3\]"),
        ("b.npy", "Cannot read .* as a numpy file: it is none, or holds objects of Python"),
        ("c.npz", "Cannot read .* as a numpy"),
        ("d.npz", "an archive of named arrays in .*, but it holds a single array; the file looks like .npy"),
    ):
        with pytest.raises(ValueError, match=message):
            read(tmp_path / name)

"""Packed graphs: what was packed comes back unchanged, whatever is read together, and nothing damaged is read."""

from __future__ import annotations

import json
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from graphscore.data.packed import shard_writer
from graphscore.data.packed.gathered import collate
from graphscore.data.packed.graphs import PackedGraphs
from graphscore.data.packed.packing import pack

pytest.importorskip("safetensors")

DTYPES = (
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.complex128, torch.bool,
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float8_e4m3fn, torch.uint16,
)  # fmt: skip


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal in type, data type, shape and bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        bits = [value.contiguous().reshape(-1).clone().view(torch.uint8) for value in (a, b)]
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(*bits)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


def equal(a: Data, b: Data) -> bool:
    return same(a.to_dict(), b.to_dict()) and (a.num_nodes, a.num_edges) == (b.num_nodes, b.num_edges)


def bits(draw: st.DrawFn, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """A tensor of any bits, so of any numbers: infinite ones, and those that are none."""
    if dtype == torch.bool:
        return (
            torch.tensor(draw(st.lists(st.booleans(), min_size=(n := math.prod(shape)), max_size=n))).bool().view(shape)
        )
    size = math.prod(shape) * dtype.itemsize
    whole = torch.tensor(list(draw(st.binary(min_size=size, max_size=size))), dtype=torch.uint8)
    return whole.view(dtype).reshape(shape)


@st.composite
def graphs(draw: st.DrawFn) -> Data:
    nodes, edges = draw(st.integers(0, 4)), draw(st.integers(0, 5))
    sizes = st.sampled_from([0, 1, 2, 3, nodes, edges])
    content: dict[str, Any] = {"num_nodes": nodes}
    if nodes:
        content["edge_index"] = torch.tensor(
            [[draw(st.integers(0, nodes - 1)) for _ in range(edges)] for _ in range(2)], dtype=torch.int64
        ).view(2, edges)
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    nested = st.recursive(
        plain, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner)
    )
    for name in draw(st.sets(st.sampled_from(["pos", "x", "y", "name", "note", "count", "bond"]), max_size=5)):
        kind = draw(st.sampled_from(["rows", "any", "plain", "nested"]))
        if kind == "rows":
            dtype = draw(st.sampled_from([torch.float32, torch.int64]))
            content[name] = bits(draw, (nodes, 2), dtype)
        elif kind == "any":
            content[name] = bits(draw, tuple(draw(st.lists(sizes, max_size=3))), draw(st.sampled_from(DTYPES)))
        else:
            value = draw(plain if kind == "plain" else nested)
            content |= {} if value is None else {name: value}
    return Data(**content)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(items=st.lists(graphs(), min_size=1, max_size=8), size=st.integers(1, 8), data=st.data())
def test_any_graphs_come_back_unchanged(items: list[Data], size: int, data: st.DataObject, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "a"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_writer, "GRAPHS", size)
        packed = pack(items, folder)
    assert len(packed) == len(items) and all(map(equal, packed, items))
    assert packed.num_nodes.tolist() == [item.num_nodes for item in items]
    assert packed.num_edges.tolist() == [item.num_edges for item in items]
    chosen = data.draw(st.lists(st.integers(-len(items), len(items) - 1), max_size=10))
    assert all(map(equal, packed.__getitems__(chosen), [items[i] for i in chosen]))
    view = packed.select(chosen)
    assert len(view) == len(chosen) and view.num_nodes.tolist() == [items[i].num_nodes for i in chosen]
    assert all(map(equal, pickle.loads(pickle.dumps(view))[::-2], [items[i] for i in chosen][::-2]))


def cloud(nodes: int, edges: int, seed: int, **more: Any) -> Data:
    generator = torch.Generator().manual_seed(seed)
    return Data(
        pos=torch.randn(nodes, 3, generator=generator),
        z=torch.randint(0, 300, (nodes,), generator=generator),
        edge_index=torch.randint(0, nodes, (2, edges), generator=generator),
        bond=torch.randint(-2, 3, (edges, 1), generator=generator),
        y=torch.randn(1, 2, generator=generator),
        energy=torch.tensor(float(seed)),
        count=seed - 3,
        weight=seed / 7,
        best=seed % 2 == 0,
        name=f"graph {seed}",
        **more,
    )


RAGGED = [cloud(5 + i % 7, 3 + 2 * i % 9, i) for i in range(40)]
EQUAL = [cloud(6, 8, i, num_nodes=6) for i in range(40)]


@pytest.mark.parametrize(
    "items", [RAGGED, EQUAL, [*RAGGED, Data(x=torch.ones(2, 1))]], ids=["ragged", "equal", "mixed"]
)
def test_a_batch_is_that_of_pyg(items: list[Data], tmp_path: Path, monkeypatch):
    monkeypatch.setattr(shard_writer, "GRAPHS", 9)
    packed = pack(items, tmp_path / "a")
    chosen = [30, 2, 2, 17, 39, 0]
    ours, theirs = collate(packed.__getitems__(chosen)), Batch.from_data_list([items[i] for i in chosen])
    assert ours.keys() == theirs.keys() and ours.num_graphs == theirs.num_graphs and ours.num_nodes == theirs.num_nodes
    assert all(same(ours[key], theirs[key]) for key in theirs.keys())  # noqa: SIM118
    for name in ("_slice_dict", "_inc_dict"):
        ours_of, theirs_of = getattr(ours, name), getattr(theirs, name)
        assert ours_of.keys() == theirs_of.keys() and all(same(ours_of[key], theirs_of[key]) for key in theirs_of)
    assert all(map(equal, ours.to_data_list(), theirs.to_data_list()))


def test_what_was_read_is_the_readers_own(tmp_path: Path):
    packed = pack(RAGGED, tmp_path / "a")
    first = packed[3]
    first.pos.zero_()
    collate(packed.__getitems__([3, 4])).pos.zero_()
    assert equal(packed[3], RAGGED[3])


def test_whole_numbers_take_little_space(tmp_path: Path):
    packed = pack([Data(z=torch.full((100,), 7), num_nodes=100) for _ in range(100)], tmp_path / "a")
    assert packed[0].z.dtype == torch.int64
    assert sum(file.stat().st_size for file in (tmp_path / "a").iterdir()) < 20_000 + 100 * 100


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1, 2}, "graph 1: its attribute 'bad' is, or holds, something else .*: set"),
        ([1, (2, 3)], "graph 1: its attribute 'bad'"),
        (np.ones(2), "graph 1: its attribute 'bad' .*: ndarray"),
        (torch.ones(2, 2).to_sparse(), "graph 1: its attribute 'bad' is a Tensor of layout torch.sparse_coo"),
    ],
)
def test_what_cannot_be_stored_is_named(value: Any, message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=message):
        pack([Data(x=torch.ones(2, 1)), Data(x=torch.ones(2, 1), bad=value)], tmp_path / "a")


def test_numbers_that_are_none(tmp_path: Path):
    packed = pack(RAGGED, tmp_path / "a")
    for wrong in (40, -41):
        with pytest.raises(IndexError, match=f"below 40, but got {wrong}"):
            packed[wrong]
    with pytest.raises(TypeError, match="Expected numbers of graphs"):
        packed.__getitems__([0.5])
    assert len(packed.__getitems__([])) == len(packed.select([])) == 0
    assert [graph.name for graph in packed[5:2:-1]] == ["graph 5", "graph 4", "graph 3"]
    assert packed.select(range(10)).select([9, 1])[0].name == "graph 9"


class Three:
    """A store of three shards of two graphs, one of which is spoiled."""

    def __init__(self, folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shard_writer, "GRAPHS", 2)
            pack(RAGGED[:6], folder)
        self.folder, self.file = folder, folder / "000000-0001-graphs.safetensors"


def test_a_missing_or_truncated_shard_is_named_at_once(tmp_path: Path):
    store = Three(tmp_path / "a")
    content = store.file.read_bytes()
    store.file.write_bytes(content[:-1])
    with pytest.raises(ValueError, match="shard .*000000-0001-graphs.safetensors is damaged: it has .* bytes, but"):
        PackedGraphs(store.folder)
    store.file.unlink()
    with pytest.raises(ValueError, match="shard .*000000-0001-graphs.safetensors is missing"):
        PackedGraphs(store.folder)


def test_an_altered_shard_is_named_and_not_read(tmp_path: Path):
    store = Three(tmp_path / "a")
    content = bytearray(store.file.read_bytes())
    content[-1] ^= 1
    store.file.write_bytes(content)
    packed = PackedGraphs(store.folder)
    assert equal(packed[0], RAGGED[0]) and equal(packed[5], RAGGED[5])
    for read in (lambda: packed[2], lambda: list(packed), packed.verify):
        with pytest.raises(ValueError, match="shard .*000000-0001-graphs.safetensors is damaged: its content"):
            read()


def test_an_altered_index_is_not_read(tmp_path: Path):
    index = Three(tmp_path / "a").folder / "index.json"
    content = json.loads(index.read_text())
    for change, message in [
        ({"num_graphs": 7}, "damaged: its content"),
        ({"version": 2}, "is of version 2"),
        ({"format": "other"}, "not the index of packed graphs"),
    ]:
        index.write_text(json.dumps(content | change))
        with pytest.raises(ValueError, match=message):
            PackedGraphs(tmp_path / "a")
    index.write_text("{")
    with pytest.raises(ValueError, match="index.json is damaged"):
        PackedGraphs(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match="no packed graphs"):
        PackedGraphs(tmp_path)


def test_many_read_at_once(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(shard_writer, "GRAPHS", 4)
    packed = pack(RAGGED, tmp_path / "a")
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda _: list(PackedGraphs(tmp_path / "a")), range(2)):
            assert all(map(equal, result, RAGGED))
        assert all(pool.map(lambda i: equal(packed[i % 40], RAGGED[i % 40]), range(400)))
    batches = list(DataLoader(packed, batch_size=8, num_workers=2))  # pyright: ignore[reportArgumentType]
    theirs = list(DataLoader(RAGGED, batch_size=8))
    assert all(
        same(ours.pos, other.pos) and ours.name == other.name for ours, other in zip(batches, theirs, strict=True)
    )


def test_another_process_opens_the_files_again(forked, tmp_path: Path):
    view = pack(RAGGED, tmp_path / "a").select([7, 3])
    (tmp_path / "view").write_bytes(pickle.dumps(view))
    result = forked("import pickle; print([g.name for g in pickle.load(open('view', 'rb'))])", cwd=tmp_path)
    assert result.stdout.strip() == "['graph 7', 'graph 3']"
    (tmp_path / "a" / "index.json").unlink()
    for file in (tmp_path / "a").iterdir():
        file.unlink()
    pack(RAGGED[:5], tmp_path / "a")
    with pytest.raises(ValueError, match="were replaced while they were in use"):
        pickle.loads((tmp_path / "view").read_bytes())

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch, Data

from graphscore.fields import Field, check_batch, measure_scale, replace
from graphscore.testing import ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)


def test_index_names_the_graph_of_each_row():
    batch = ragged_batch(SIZES, edgeless=(3,))
    assert Field("pos").index(batch).bincount(minlength=7).tolist() == list(SIZES)
    assert Field("edge_attr", "edge").index(batch).bincount(minlength=7).tolist() == [0, 12, 0, 0, 20, 0, 0]
    assert Field("y", "graph").index(batch).tolist() == list(range(7))


@pytest.mark.parametrize("name, level", [("pos", "node"), ("edge_attr", "edge"), ("y", "graph")])
def test_read_scales(name, level):
    batch = ragged_batch(SIZES)
    assert_close(Field(name, level, scale=4.0).read(batch), batch[name] / 4, rtol=0, atol=0)


@pytest.mark.parametrize("name, level", [("pos", "node"), ("edge_attr", "edge")])
def test_read_centers_each_graph(name, level):
    batch = ragged_batch(SIZES)
    field = Field(name, level, scale=2.0, zero_mean=True)
    read, index = field.read(batch), field.index(batch)
    for graph in range(batch.num_graphs):
        rows = batch[name][index == graph] / 2
        assert_close(read[index == graph], rows - rows.mean(0) if len(rows) else rows)


def test_project_leaves_other_fields_alone():
    batch = ragged_batch(SIZES)
    assert Field("pos").project(batch.pos, batch.batch, 7) is batch.pos


def test_replace_shares_all_other_tensors_and_leaves_the_original():
    batch = ragged_batch(SIZES)
    before = {name: batch[name] for name in batch.keys()}  # noqa: SIM118 (a batch is no mapping)
    out = replace(batch, {"pos": batch.pos + 1})
    assert_close(out.pos, before["pos"] + 1)
    assert all(batch[name] is value for name, value in before.items())
    assert all(out[name] is value for name, value in before.items() if name != "pos")
    assert isinstance(out, Batch) and out.num_graphs == batch.num_graphs
    assert_close(out.to_data_list()[1].pos, batch.to_data_list()[1].pos + 1)


@pytest.mark.parametrize("field", [Field("pos"), Field("new"), Field("new", "edge"), Field("new", "graph")], ids=str)
def test_what_is_written_survives_taking_the_batch_apart(field):
    batch = ragged_batch(SIZES)
    index = field.index(batch)
    values = torch.randn(len(index), 2)
    out = field.write(batch, values)
    assert out[field.name] is values and "new" not in batch
    for graph, data in enumerate(out.to_data_list()):
        assert torch.equal(data[field.name], values[index == graph])
    assert all("new" not in data for data in batch.to_data_list())


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"level": "atom"}, "level must be"),
        ({"scale": 0.0}, "scale"),
        ({"scale": math.inf}, "scale"),
        ({"scale": math.nan}, "scale"),
        ({"level": "graph", "zero_mean": True}, "zero-mean"),
    ],
)
def test_bad_fields_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        Field("pos", **arguments)


@pytest.mark.parametrize(
    "field, value, message",
    [
        (Field("missing"), None, r"no attribute 'missing'; it has \['batch', 'edge_attr', .*'pos'"),
        (Field("pos"), torch.zeros(13, 3, dtype=torch.long), "floating-point.*int64"),
        (Field("pos"), torch.zeros(13), r"\[13\]"),
        (Field("pos"), [1.0], "list"),
        (Field("pos"), torch.zeros(12, 3), r"\[13, width\], but has \[12, 3\]"),
        (Field("pos", width=2), torch.zeros(13, 3), r"\[13, 2\], but has \[13, 3\]"),
        (Field("pos", "edge"), torch.zeros(13, 3), r"edge level.*\[32, width\]"),
    ],
)
def test_read_rejects_bad_attributes(field, value, message):
    batch = ragged_batch(SIZES)
    if value is not None:
        batch.pos = value
    with pytest.raises(ValueError, match=message):
        field.read(batch)


def test_a_single_graph_is_rejected_with_advice():
    data = Data(pos=torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"Batch.from_data_list\(\[data\]\)"):
        check_batch(data)
    batch = Batch(pos=torch.zeros(2, 3), batch=torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="how many graphs"):
        check_batch(batch)
    batch.ptr = torch.tensor([0, 2])
    assert check_batch(batch).num_graphs == 1


def test_a_data_object_with_a_batch_vector_is_not_a_batch():
    data = Data(pos=torch.zeros(2, 3), batch=torch.zeros(2, dtype=torch.long), ptr=torch.tensor([0, 2]))
    with pytest.raises(ValueError, match="Expected a PyG Batch"):
        check_batch(data)


def test_measure_scale_is_the_root_mean_square_over_all_rows():
    items = ragged_batch(SIZES).to_data_list()
    pos = torch.cat([item.pos for item in items])
    assert measure_scale(items, "pos") == pytest.approx(float(pos.square().mean().sqrt()), rel=1e-12)
    centered = torch.cat([item.pos - item.pos.mean(0) for item in items if len(item.pos)])
    assert measure_scale(items, "pos", zero_mean=True) == pytest.approx(
        float(centered.square().mean().sqrt()), rel=1e-12
    )


def test_measure_scale_rejects_what_has_none():
    with pytest.raises(ValueError, match="Graph 1 has no attribute 'pos'"):
        measure_scale([Data(pos=torch.ones(1, 3)), Data(x=torch.ones(1, 3))], "pos")
    for items in ([], [Data(pos=torch.ones(2, 3))] * 3):
        with pytest.raises(ValueError, match="does not vary"):
            measure_scale(items, "pos", zero_mean=True)

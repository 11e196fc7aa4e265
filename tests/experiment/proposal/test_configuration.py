"""Proposed configurations: each choice by the data, all of them train, and what cannot diffuse is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from torch_geometric.data import Batch, Data

from graphscore.experiment.build import build_model, measure_scales
from graphscore.experiment.config.schema import Config, check_config
from graphscore.experiment.datasets import build_dataset
from graphscore.experiment.proposal import survey
from graphscore.experiment.proposal.configuration import propose
from graphscore.experiment.training.build import build_task


def ring(size: int) -> torch.Tensor:
    nodes = torch.arange(size)
    return torch.cat([torch.stack([nodes, nodes.roll(1)]), torch.stack([nodes.roll(1), nodes])], dim=1)


def graph(size: int, **attributes: torch.Tensor) -> Data:
    return Data(num_nodes=size, **attributes)


def plain(size: int) -> Data:
    return graph(size, pos=torch.randn(size, 3))


def wired(size: int) -> Data:
    return graph(size, pos=torch.randn(size, 3), edge_index=ring(size), bond_type=torch.randint(0, 3, (2 * size,)))


def rich(size: int) -> Data:
    edges = ring(size)
    return graph(
        size, pos=torch.randn(size, 3), edge_index=edges, road=torch.randint(0, 4, (2 * size,)),
        edge_attr=torch.randn(2 * size, 2), kind=torch.randint(0, 5, (size,)), heat=torch.randn(size),
        forces=torch.randn(size, 3), number=torch.arange(size) + 5000, flag=torch.ones(size, dtype=torch.bool),
        season=torch.randint(0, 3, (1,)), double=torch.randn(size, 2).double(), sign=torch.randint(-1, 2, (size,)),
    )  # fmt: skip


def features(size: int) -> Data:
    return graph(size, x=torch.randn(size, 2), edge_index=ring(size))


def bare(size: int) -> Data:
    return graph(size, x=torch.randn(size, 2))


def only_kinds(size: int) -> Data:
    return graph(size, kind=torch.randint(0, 3, (size,)), edge_index=ring(size))


def proposed(make, sizes, folder: Path, *options) -> tuple[Config, str, list[str]]:
    torch.manual_seed(0)
    torch.save([make(sizes[k % len(sizes)]) for k in range(12)], folder / "mine.pt")
    proposal = propose(folder / "mine.pt", *options)
    return check_config(yaml.safe_load(proposal.text), "proposed"), proposal.text, proposal.chosen


COMPLETE = {"name": "complete-graph", "edge_type": "bond_type", "max_hops": 4}
NEAR = {"name": "hop-graph", "edge_type": "bond_type", "max_hops": 2}
KNN = {"name": "knn", "k": 24}


@pytest.mark.parametrize(
    ("make", "sizes", "transforms", "neighbors", "edge_inputs"),
    [
        (plain, (5, 9), [{"name": "complete-graph"}], None, {}),
        (plain, (5, 90), [], {"name": "knn", "k": 8}, {}),
        (wired, (5, 9), [COMPLETE], None, {"bond_type": 3, "hops": 6}),
        (wired, (70, 90), [NEAR], KNN, {"bond_type": 3, "hops": 3}),
        (rich, (5, 9), [], {"name": "knn", "k": 8, "fill": {"road": 4}}, {"road": 5, "edge_attr": {"width": 2}}),
        (features, (5, 9), [{"name": "complete-graph", "max_hops": 4}], None, {"hops": 6}),
        (features, (70, 90), [{"name": "hop-graph", "max_hops": 2}], None, {"hops": 3}),
        (bare, (5, 90), [{"name": "complete-graph"}], None, {}),
    ],
)  # fmt: skip
def test_edges_by_the_data_and_each_choice_trains(make, sizes, transforms, neighbors, edge_inputs, tmp_path):
    config, _, _ = proposed(make, sizes, tmp_path)
    values = config.model_dump(mode="json")
    assert values["transforms"] == transforms
    assert values["network"]["neighbors"] == neighbors
    assert values["network"]["edge_inputs"] == edge_inputs
    field = "x" if make in (features, bare) else "pos"
    assert [given.name for given in config.fields] == [field]
    assert config.network.positions == (None if field == "x" else "pos")
    assert one_loss(config).isfinite()


def one_loss(config: Config) -> torch.Tensor:
    graphs = build_dataset(config).split("train")
    config = measure_scales(config, graphs)
    return build_task(config, build_model(config))(Batch.from_data_list(graphs[:4]), 0).loss


def test_attributes_become_inputs_or_are_left_out_with_the_reason(tmp_path):
    config, text, chosen = proposed(rich, (5, 9), tmp_path)
    assert config.network.node_inputs["kind"] == 5 and config.network.node_inputs["heat"].width == 1
    assert set(config.network.inputs) == {"kind", "heat", "road", "edge_attr"}
    for name, reason in (
        ("forces", "measurement"),
        ("number", "categories are from 0"),
        ("flag", "same everywhere"),
        ("season", "--condition season"),
        ("double", "float64"),
        ("sign", "goes from -1 to 1"),
    ):
        assert any(line.startswith(f"left out: {name}, ") and reason in line for line in chosen), name
        assert f"# left out: {name}, " in text


def test_fields_and_conditions_as_asked_for(tmp_path):
    config, _, _ = proposed(rich, (5, 9), tmp_path, ["edge_attr", "pos"], ["season"])
    assert [(given.name, given.level, given.width) for given in config.fields] == [
        ("edge_attr", "edge", 2),
        ("pos", "node", 3),
    ]
    assert config.fields[1].zero_mean and not config.fields[0].zero_mean
    assert config.network.graph_inputs == {"season": 4} and config.conditions[0].null_value == 3
    assert not config.transforms and config.network.neighbors is None  # the edges stay those whose values diffuse
    assert one_loss(config).isfinite()


def test_categories_leave_room_for_graphs_that_were_not_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "NUM_GRAPHS", 5)
    config, _, _ = proposed(rich, (5, 9), tmp_path, ["pos"], ["season"])
    assert config.network.node_inputs["kind"] == 10 and config.network.edge_inputs["road"] == 9
    assert config.network.graph_inputs["season"] - 1 == config.conditions[0].null_value > 2  # seasons are 0 to 2
    assert one_loss(config).isfinite()


def test_every_section_is_explained(tmp_path):
    _, text, _ = proposed(wired, (5, 9), tmp_path)
    assert text.startswith("# For 12 graphs of 5 to 9 nodes in ")
    lines = [line for line in text.splitlines() if ": " in line and not line.startswith("#")]
    assert sum("#" in line for line in lines) > 0.7 * len(lines)


def test_two_graphs_are_all_for_training(tmp_path):
    torch.save([plain(5), plain(6)], tmp_path / "two.pt")
    config = check_config(yaml.safe_load(propose(tmp_path / "two.pt").text), "proposed")
    assert build_dataset(config).split("train")


@pytest.mark.parametrize(
    ("make", "sizes", "options", "words"),
    [
        (only_kinds, (5,), (), "Nothing to diffuse: no graph .* 'pos'; all graphs have .'kind'"),
        (plain, (5,), (["poss"],), "no graph of .* has an array 'poss'; all graphs have .'pos'"),
        (rich, (5,), (["kind"],), "field 'kind' must be real numbers .* is int64 .N. from 0 to"),
        (rich, (5,), (["heat"],), "field 'heat' must be real numbers .rows, columns.* is float32 .N."),
        (rich, (5,), ((), ["flag"]), "conditioned on 'flag': inputs are integers"),
        (bare, (300,), (), "up to 300 nodes, but neither edges nor positions"),
    ],
)  # fmt: skip
def test_what_cannot_be_proposed_is_refused(make, sizes, options, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        proposed(make, sizes, tmp_path, *options)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pt"]


def test_an_attribute_of_some_graphs_alone_is_named(tmp_path):
    torch.save(
        [plain(5), graph(5, x=torch.randn(5, 2), pos=torch.randn(5, 3)), *map(plain, range(6, 16))], tmp_path / "a.pt"
    )
    with pytest.raises(ValueError, match="only some graphs of .* have 'x'"):
        propose(tmp_path / "a.pt", ["x"])

"""Networks of configurations: edges, encodings, vectors and attributes of graphs; wrong ones are refused by name."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch

from graphscore.build import build_dataset, build_model, build_sampler, build_task
from graphscore.config import check_config, load_config
from graphscore.generate import categories
from graphscore.nn.neighbors import knn_edges

SPARSE = [
    "data.transforms=[{name: random-walk-encoding, steps: 6}, {name: laplacian-encoding, k: 4},"
    " {name: hop-graph, edge_type: bond, max_hops: 3}]",
    "network.backbone={name: egnn, hidden_channels: 8, num_layers: 2, edge_channels: 4, cond_channels: 4}",
    "network.node_inputs={z: 119, random_walk: {width: 6}, laplacian: {width: 4}}",
    "network.edge_inputs={bond: 5, hops: 5}",
    "network.neighbors={name: knn, k: 5, fill: {hops: 4}}",
    "fields.0.scale=1.5",
]


def test_hops_neighbors_and_encodings_train_and_sample():
    config = load_config("small-molecules", SPARSE)
    assert check_config(config.model_dump(mode="json"), "dump") == config
    graphs = build_dataset(config).split("val")[:3]
    assert graphs[0].random_walk.shape == (graphs[0].num_nodes, 6) and graphs[0].laplacian.shape[1] == 4
    known = categories(graphs, list(config.network.categories))
    assert set(known) == {"z", "bond", "hops"} and known["hops"] == [1, 2, 3]
    model, batch, calls = build_model(config), Batch.from_data_list(graphs), []
    with torch.no_grad():
        for parameter in model.parameters():  # outputs start at zero
            parameter += 0.1 * torch.randn_like(parameter)
    build_task(config, model)(batch, 0).loss.backward()
    assert all(bool((inputs.weight.grad != 0).any()) for inputs in model.network.node_inputs.values())
    model.network.backbone.register_forward_pre_hook(lambda module, inputs: calls.append(inputs))
    assert build_sampler(config.with_sampling("ddim", 3), model)(batch).pos.isfinite().all()
    assert len(calls) == 4
    for _, pos, edge_index, *_ in calls:
        expected = torch.cat([batch.edge_index, knn_edges(pos, batch.batch, 3, 5)], dim=1)
        assert {*map(tuple, edge_index.T.tolist())} == {*map(tuple, expected.T.tolist())}
        assert edge_index.shape[1] > batch.num_edges


def test_vectors_and_graph_inputs_of_a_configuration():
    field = "{name: velocity, width: 3, scale: 1.0, sde: {name: vp}}"
    config = load_config(
        "small-molecules",
        [
            f"fields=[{{name: pos, width: 3, zero_mean: true, scale: 1.0, sde: {{name: ve}}}}, {field}]",
            "network.backbone={name: egnn, hidden_channels: 8, num_layers: 1, cond_channels: 4, vector_channels: 2}",
            "network.edge_inputs={}",
            "network.vectors=[velocity]",
            "network.graph_inputs={label: 3, energy: {width: 1}}",
        ],
    )
    assert check_config(config.model_dump(mode="json"), "dump") == config
    model, batch = build_model(config), Batch.from_data_list(build_dataset(config).split("val")[:3])
    batch.velocity, batch.label, batch.energy = torch.randn_like(batch.pos), torch.tensor([0, 1, 2]), torch.randn(3, 1)
    loss = build_task(config, model)(batch, 0).loss
    loss.backward()
    assert loss.isfinite() and set(model.fields) == {"pos", "velocity"}
    for inputs in model.network.graph_inputs.values():
        assert inputs.weight.shape[-1 if isinstance(inputs, torch.nn.Embedding) else 0] == 4


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("network.node_inputs={x: {widht: 8}}", "network.node_inputs.x.features.width: Field required"),
        ("network.node_inputs={x: {width: 0}}", "network.node_inputs.x.features.width: .*greater than 0"),
        ("network.node_inputs={x: 0}", "network.node_inputs.x.categories: .*greater than 0, but got 0"),
        ("network.graph_inputs={x: some}", "network.graph_inputs.x.categories: .*valid integer.*but got 'some'"),
        ("network.neighbors={name: nearest}", "Unknown neighbors 'nearest'; expected one of .'knn', 'radius'."),
        ("network.neighbors=knn", "The neighbors 'knn' do not take these options: .*missing.*'k'"),
        ("network.neighbors={name: knn, n: 3}", "The neighbors 'knn' do not take these options: .*'n'"),
        ("network.neighbors={name: knn, k: 0}", "k must be at least 1, but is 0"),
        ("network.neighbors={name: knn, k: 3, fill: 3}", "fill must give values by name .* but is 3"),
        ("network.neighbors={name: knn, k: 3, fill: {hops: 3}}", "fill values for .'hops'., but edge_inputs are .."),
        ("network.vectors=[pos]", "'pos' are the positions"),
    ],
)
def test_wrong_inputs_vectors_and_neighbors_are_named(override, words):
    with pytest.raises(ValueError, match=words):
        build_model(load_config("digits", ["fields.0.scale=1.0", override]))

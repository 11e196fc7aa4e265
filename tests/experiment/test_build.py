"""What configurations build, and refuse: edges, encodings, vectors, attributes of graphs, self-conditioning."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore.attributes import SELF_CONDITIONED
from graphscore.denoiser.self_conditioning import SelfConditioning, is_self_conditioned
from graphscore.experiment.build import build_model, build_sampler
from graphscore.experiment.config.schema import check_config, load_config
from graphscore.experiment.datasets import build_dataset
from graphscore.experiment.pretrained import load_model
from graphscore.experiment.training.build import build_task
from graphscore.fields import replace
from graphscore.generate.inputs import categories
from graphscore.nn.edges.neighbors import knn_edges
from graphscore.rng import VALIDATION
from graphscore.runtime.checkpoint import Checkpoint, save_checkpoint
from graphscore.testing import ragged_batch

SPARSE = [
    "transforms=[{name: random-walk-encoding, steps: 6}, {name: laplacian-encoding, k: 4},"
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
    assert build_sampler(config.with_sampling("ddim", 3), model)(batch).batch.pos.isfinite().all()
    assert len(calls) == 4
    for _, pos, graph in calls:
        edge_index = graph.edge_index
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


WITH_ESTIMATES = ["fields.0.scale=2.0", "network.self_condition=true"]


def test_a_configuration_turns_self_conditioning_on(tmp_path):
    config = load_config("digits", WITH_ESTIMATES)
    assert check_config(config.model_dump(mode="json"), "dump") == config
    torch.manual_seed(0)
    model = build_model(config)
    assert isinstance(model, SelfConditioning)
    batch = replace(ragged_batch((4, 2, 5), dim=2, dtype=torch.float32), {"digit": torch.zeros(11, dtype=torch.long)})
    masks = []
    model.register_forward_pre_hook(lambda module, inputs: masks.append(inputs[0].get(SELF_CONDITIONED)))
    task = build_task(config, model)
    out = task(batch, 0)
    out.loss.backward()
    task(batch, 0, stream=VALIDATION)
    assert masks[0].shape == (3,) and masks[1] is None
    info = {"known": {"digit": list(range(10))}}
    save_checkpoint(
        tmp_path / "model.safetensors", Checkpoint(dict(model.state_dict()), config.model_dump(mode="json"), info)
    )
    loaded, _, _ = load_model(tmp_path)
    sampler = build_sampler(config.with_sampling("ddim", 3), loaded)
    assert is_self_conditioned(sampler.model) and sampler(batch).batch.pos.isfinite().all()


def test_self_conditioning_goes_with_edges_that_are_found():
    neighbors = ["network.neighbors={name: knn, k: 3}", "transforms=[]", "network.edge_inputs={bond: 5}"]
    config = load_config("small-molecules", ["fields.0.scale=1.5", "network.self_condition=true", *neighbors])
    model, batch = build_model(config), Batch.from_data_list(build_dataset(config).split("val")[:3])
    build_task(config, model)(batch, 0).loss.backward()
    (embed,) = (m for name, m in model.model.network.network.edge_inputs.items() if name == "pos_estimate_distance")
    assert embed[1].weight.grad.isfinite().all()
    assert build_sampler(config.with_sampling("ddim", 3), model)(batch).batch.pos.isfinite().all()


def test_without_the_option_nothing_is_self_conditioned():
    config = load_config("small-molecules", ["fields.0.scale=1.0"])
    assert not config.network.self_condition and not is_self_conditioned(build_model(config))


def test_self_conditioning_refuses_objectives_with_derivatives():
    config = load_config("digits", [*WITH_ESTIMATES, "training.objective=sliced"])
    with pytest.raises(ValueError, match="self_condition .*regresses on clean data.*sliced_score_matching"):
        build_task(config, build_model(config))


def test_training_chooses_graphs_by_their_own_coins_on_any_number_of_ranks():
    config = load_config("digits", WITH_ESTIMATES)
    torch.manual_seed(0)
    model = build_model(config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    graphs = ragged_batch((4, 1, 5, 3, 2, 2), dim=2).to_data_list()
    for graph in graphs:
        graph.digit = torch.zeros(graph.num_nodes, dtype=torch.long)
    task = build_task(config, model)
    whole = task(Batch.from_data_list(graphs), 2).loss
    shares = [task(Batch.from_data_list(graphs[k::2]), 2, places=range(k, 6, 2), num_graphs=6).loss for k in range(2)]
    assert_close(sum(shares), whole, rtol=1e-10, atol=0)
    task.augment = None
    assert not torch.isclose(task(Batch.from_data_list(graphs), 2).loss, whole)

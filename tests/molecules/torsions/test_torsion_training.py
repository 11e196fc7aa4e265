"""Models of torsions by a configuration: built, trained, started from weights of positions, resumed, saved, loaded."""

from __future__ import annotations

import json

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

pytest.importorskip("rdkit")

from graphscore.data.preparation import Preparation
from graphscore.experiment.about import about
from graphscore.experiment.build import build_model, build_transform
from graphscore.experiment.config.keys import json_schema, list_keys
from graphscore.experiment.config.schema import check_config, load_config
from graphscore.experiment.data_check.check import check_data
from graphscore.experiment.data_check.graph_faults import network_faults
from graphscore.experiment.datasets import build_preparation, wanted_fields
from graphscore.experiment.pretrained import load, load_model
from graphscore.experiment.training.run import resume_training, train_model
from graphscore.fields import Field
from graphscore.molecules.baselines import etkdg
from graphscore.molecules.torsions import TorsionDenoiser, dihedrals
from graphscore.nn import EGNN, Category, ScoreNetwork
from graphscore.objectives import OBJECTIVES
from graphscore.process import ForwardProcess
from graphscore.runtime.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from graphscore.sdes import EDMSDE, GeometricVESDE

BACKBONE = (
    "network.backbone={name: equivariant-transformer, hidden_channels: 8, num_layers: 1, edge_channels: 8, "
    "cond_channels: 8, num_basis: 4, num_heads: 2, cutoff: null, input_vectors: 1}"
)
SHORT = [BACKBONE, "training.batch_size=3", "training.checkpoint_every=2", "training.validate_every=2"]


@pytest.fixture(scope="module")
def graphs():
    return [graph for smiles in ("CCCO", "CC", "CC(=O)NCCO", "C") for graph in etkdg(smiles, 2, 0)]


def shaken(model):
    """A model whose outputs do not start at zero."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


def batch_of(graphs, prepare=None):
    prepare = prepare or build_preparation(load_config("torsions"))
    return Batch.from_data_list([prepare(graph) for graph in graphs])


def test_a_configuration_names_the_score_model_around_the_network():
    config = load_config("torsions", SHORT)
    assert check_config(json.loads(config.model_dump_json()), "dump") == config
    model = build_model(config)
    assert type(model) is TorsionDenoiser and model.network.fields == {"pos": 3}
    assert model.scale == load_model("drug-like")[1].fields[0].scale
    by_hand = TorsionDenoiser(model.network, GeometricVESDE(0.05, 3.2), model.scale)
    assert repr(by_hand.process) == repr(model.process)
    with pytest.raises(ValueError, match=r"A model of torsions has one field, Field\('torsion', .*, but got \[Field"):
        TorsionDenoiser(model.network, ForwardProcess({Field("pos", width=3): EDMSDE()}))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("network.denoiser=torsion", "Unknown denoiser 'torsion'; expected one of .*did you mean 'torsions'"),
        ("network.denoiser={name: torsions, unit: 2.0}", "denoiser 'torsions' does not take these options: .*'unit'"),
        ("network.denoiser={name: torsions, scale: wide}", "scale: .*number, but got 'wide'"),
        ("network.denoiser={name: torsions, scale: 0}", "must be positive and finite, but is 0"),
        ("network.self_condition=true", "self_condition .* with the denoiser 'torsions' .* leave it out"),
        ("fields.0.level=torsions", "fields.0.level: Input should be 'node', .* ends in '_index', but got 'torsions'"),
        ("fields.0.width=2", "A model of torsions has one field"),
        ("network.denoiser=preconditioned", "a ScoreNetwork reads and writes those of"),
    ],
)
def test_what_does_not_fit_is_named(override, words):
    with pytest.raises(ValueError, match=words):
        build_model(load_config("torsions", [BACKBONE, override]))


def test_a_denoiser_by_its_import_path_must_be_trusted():
    path = "graphscore.molecules.torsions.model:TorsionDenoiser"
    config = load_config("torsions", [BACKBONE, f"network.denoiser={{name: '{path}', scale: 2.0}}"])
    assert build_model(config).scale == 2
    stored = check_config(config.model_dump(mode="json"), "file")
    with pytest.raises(ValueError, match="import paths in a file are not followed"):
        build_model(stored)


def test_keys_and_schema_tell_of_levels_and_denoisers():
    (level,) = (key for key in list_keys("fields") if key.name.endswith(".level"))
    assert level.type == "node or edge or graph or text" and level.default == "node"
    names = [key.name for key in list_keys("network.denoiser")]
    assert names == ["network.denoiser", "network.denoiser.preconditioned", "network.denoiser.torsions"]
    assert [key.name for key in list_keys("network.denoiser.torsions")][1:] == ["network.denoiser.scale"]
    assert "denoiser" in json_schema()["$defs"]


def test_torsions_are_measured_on_the_positions_of_each_graph(graphs):
    config = load_config("torsions")
    assert wanted_fields(config) == ["pos"]
    for graph in graphs:
        seen = build_preparation(config)(graph)
        assert_close(seen.pos, graph.pos[seen.kept], rtol=0, atol=0)
        assert torch.equal(seen.torsion[:, 0], dihedrals(seen.pos, seen.torsion_index))
        assert not list(network_faults(seen, config))
    assert [len(build_preparation(config)(graph).torsion) for graph in graphs[::2]] == [1, 0, 3, 0]
    prepared = Preparation(["pos"], build_transform(load_config("drug-like")))(graphs[0])
    prepared.torsion = torch.zeros(1, 1)
    assert list(network_faults(prepared, config)) == [
        ("stops", "it has no 'torsion_index', the node numbers that rows belong to: no transform adds it")
    ]


@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_graphs_without_rotatable_bonds_have_no_loss(graphs, reduce):
    model, options = shaken(build_model(load_config("torsions", SHORT))), {"reduce": reduce}
    for objective in (None, OBJECTIVES["denoising"]):
        options["objective"] = objective
        few = {"t": torch.full((4,), 0.5, dtype=torch.float64), "generator": torch.Generator().manual_seed(0)}
        alone = model.losses(batch_of(graphs[2:4] + graphs[6:]), **few, **options)["torsion"]
        assert alone.tolist() == [0.0] * 4
        model.loss(batch_of(graphs[2:4]), **options).backward()
        assert all(bool((p.grad == 0).all()) for p in model.parameters() if p.grad is not None)
        mixed = model.losses(batch_of(graphs[:4]), **few, **options)["torsion"]
        assert mixed.isfinite().all() and (mixed > 0).tolist() == [True, True, False, False]


def test_a_run_starts_from_weights_of_positions_and_is_resumed_to_the_bit(graphs, tmp_path):
    data = {"train": graphs, "val": graphs[:2]}
    cartesian = build_model(load_config("drug-like", [BACKBONE, "fields.0.scale=1.2"]))
    start = load_config("drug-like", [BACKBONE, "fields.0.scale=1.2"]).model_dump(mode="json")
    state = dict(shaken(cartesian).state_dict())
    save_checkpoint(tmp_path / "start.safetensors", Checkpoint(state, start, {"known": {}}))
    options = {"data": data, "progress": False, "init": tmp_path / "start.safetensors"}
    frozen = ["training.max_steps=1", "training.learning_rate=1.0e-30", "training.ema_decay=0.0"]
    path = train_model("torsions", tmp_path / "frozen", [*SHORT, "training.batch_size=8", *frozen], **options).path
    for name, tensor in load_checkpoint(path).state.items():
        assert_close(tensor, state[name], rtol=0, atol=0)
    changes = [*SHORT, "training.schedule=constant", "training.warmup_steps=0"]
    whole = train_model("torsions", tmp_path / "whole", [*changes, "training.max_steps=6"], **options).path
    train_model("torsions", tmp_path / "parts", [*changes, "training.max_steps=4"], **options)
    parts = resume_training(tmp_path / "parts", ["training.max_steps=6"], data=data, progress=False).path
    expected = load_checkpoint(whole).state
    assert not torch.equal(expected["network.bias"], state["network.bias"])
    for name, tensor in load_checkpoint(parts).state.items():
        assert torch.equal(tensor, expected[name]), name
    told = dict(about(whole))
    assert told["denoiser"] == "torsions (scale=1.3057345215441296)" and "each torsion" in told["field"]
    assert "torsion" not in json.dumps(load_checkpoint(whole).info["known"])


def test_a_run_is_loaded_and_a_model_saved_with_the_same_estimates(graphs, tmp_path):
    model = shaken(build_model(load_config("torsions", SHORT)))
    batch = batch_of(graphs)
    t = torch.linspace(0.1, 1, 8, dtype=torch.float64)
    expected = model(batch, t)["torsion"]
    model.save(tmp_path / "saved.safetensors")
    again, config, _ = load_model(tmp_path / "saved.safetensors")
    assert torch.equal(again(batch, t)["torsion"], expected)
    assert config.network.denoiser.options == {"scale": model.scale}
    by_hand = TorsionDenoiser(ScoreNetwork(EGNN(8, 1), {"pos": 3}, {"z": Category(10)}), EDMSDE(sigma_max=4.0), 2)
    shaken(by_hand).save(tmp_path / "hand.safetensors")
    assert torch.equal(load(tmp_path / "hand.safetensors")(batch, t)["torsion"], by_hand(batch, t)["torsion"])
    config = load_config("torsions", SHORT).model_dump(mode="json")
    config["network"]["backbone"]["hidden_channels"] = 10
    info = {"known": {"z": [6], "environment": [1]}}
    save_checkpoint(tmp_path / "wrong.safetensors", Checkpoint(dict(model.state_dict()), config, info))
    with pytest.raises(ValueError, match="do not fit its configuration"):
        load(tmp_path / "wrong.safetensors")


def test_a_custom_model_of_torsions_is_not_described():
    class Mine(TorsionDenoiser):
        pass

    with pytest.raises(ValueError, match="cannot be described"):
        Mine(build_model(load_config("torsions", SHORT)).network, GeometricVESDE(0.05, 3.2)).describe()


def test_data_of_a_model_of_torsions_are_checked(tmp_path):
    graphs = [*etkdg("CCCO", 2, 0), *etkdg("CCCN", 2, 0)]
    torch.save(graphs, tmp_path / "graphs.pt")
    config = load_config("torsions", SHORT, tmp_path / "graphs.pt")
    report = check_data(config)
    assert not report["stops"] and set(report["fields"]) == {"pos"} and report["parts"]["train"]["graphs"] > 0

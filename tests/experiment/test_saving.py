"""Models that are built by hand: saved by their description, loaded with the same outputs, or refused with a reason."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphscore.denoiser import Denoiser, NoiseAdapter, ScoreModel
from graphscore.denoiser.description import describe_component
from graphscore.denoiser.self_conditioning import SelfConditioning
from graphscore.experiment.build import build_sde
from graphscore.experiment.config.components import Component
from graphscore.experiment.pretrained import load, load_model
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.fields import Field
from graphscore.nn import (
    BACKBONES,
    EGNN,
    Category,
    Chirality,
    Feature,
    ModuleBackbone,
    ModuleInput,
    NearestNeighbors,
    RadiusNeighbors,
    ScoreNetwork,
    SelfConditionedNetwork,
    Vector,
)  # fmt: skip
from graphscore.process import ForwardProcess
from graphscore.runtime.checkpoint import load_checkpoint, save_checkpoint
from graphscore.samplers import HeunSampler
from graphscore.sdes import SDE, SDES, VESDE, CosineVPSDE, HarmonicSDE
from graphscore.testing import ragged_batch

# One value per name that is no default anywhere.
OPTIONS: dict[str, Any] = {
    "sigma": 9.0, "sigma_min": 0.02, "sigma_max": 30.0, "beta_min": 0.2, "beta_max": 11.0, "offset": 0.01,
    "schedule": CosineVPSDE(), "stiffness": 2.0, "component_std": 0.5, "edge_mask": "spring",
}  # fmt: skip


def make_sde(kind: type[SDE]) -> SDE:
    return kind(**{name: OPTIONS[name] for name in inspect.signature(kind).parameters})


@pytest.mark.parametrize("name", SDES)
def test_every_process_says_what_it_was_built_with(name):
    sde = make_sde(SDES[name])
    described = describe_component(sde, SDES, "SDE")
    again = build_sde(Component.model_validate(json.loads(json.dumps(described))))
    assert described["name"] == name and set(described) - {"name"} == set(inspect.signature(SDES[name]).parameters)
    assert repr(again) == repr(sde) and describe_component(again, SDES, "SDE") == described
    t = torch.linspace(0.1, 1, 5)
    assert torch.equal(again.alpha(t), sde.alpha(t)) and torch.equal(again.std(t), sde.std(t))


LEVELS = ("node", "edge", "graph")


@st.composite
def models(draw: Callable[..., Any]) -> ScoreModel:
    """Denoisers of all backbones with any processes, fields, inputs and searches for edges."""
    backbone = draw(st.sampled_from(sorted(BACKBONES)))
    neighbors = draw(st.sampled_from([None, None, NearestNeighbors(2), RadiusNeighbors(1.5, 3)]))
    levels = ("node", "graph") if neighbors is not None else LEVELS
    fields = {Field("pos", zero_mean=draw(st.booleans()), scale=draw(st.sampled_from([1.0, 2.5])), width=3)}
    more = {Field(f"{level}_field", level, width=2) for level in levels}
    more |= {Field(f"{level}_turning", level, width=3) for level in levels}
    fields |= draw(st.sets(st.sampled_from(sorted(more, key=lambda field: field.name)), max_size=2))
    sdes = {}
    for field in sorted(fields, key=lambda field: field.name):
        harmonic = field.level == "node" and neighbors is None
        kinds = [kind for kind in SDES.values() if kind is not HarmonicSDE or harmonic]
        sdes[field] = make_sde(draw(st.sampled_from(kinds)))
    inputs: dict[str, Any] = {
        field.name: Vector(level=field.level) for field in sdes if field.name.endswith("turning")
    } | {
        field.name: Feature(2, level="edge", antisymmetric=True)
        for field in sdes if field.name == "edge_field" and draw(st.booleans())
    }  # fmt: skip
    possible = {
        "z": Category(4), "bond": Category(5, level="edge", fill=draw(st.sampled_from([0, 3]))),
        "charge": Category(3, level="graph"), "x": Feature(2), "length": Feature(level="edge"),
        "y": Feature(2, level="graph"), "velocity": Vector(), "dipole": Vector(level="graph"),
    }  # fmt: skip
    if neighbors is None:
        possible["flow"] = Feature(level="edge", antisymmetric=True)
        possible["force"] = Vector(level="edge", antisymmetric=True)
    arguments = inspect.signature(BACKBONES[backbone]).parameters
    if "input_vectors" in arguments:
        possible["chiral"] = Chirality()
    inputs |= {name: possible[name] for name in draw(st.sets(st.sampled_from(sorted(possible)), max_size=4))}
    process, positions = ForwardProcess(sdes), {"neighbors": neighbors, "oriented": draw(st.booleans())}
    options = {"num_heads": 2} if "num_heads" in arguments else {}
    torch.manual_seed(draw(st.integers(0, 5)))
    kind = draw(st.sampled_from([ScoreNetwork, ScoreNetwork, SelfConditionedNetwork]))
    model = Denoiser(kind(BACKBONES[backbone](8, 1, **options), process, inputs, **positions), process)
    model = SelfConditioning(model) if kind is SelfConditionedNetwork else model
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return (model.double() if draw(st.booleans()) else model).eval()


def noisy_batch(model: ScoreModel) -> Batch:
    """A batch with everything that a model of :func:`models` can read."""
    batch = ragged_batch((4, 1, 5), dtype=next(model.parameters()).dtype)
    generator, sources = torch.Generator().manual_seed(3), batch.edge_index[0]
    rows = {"node": batch.num_nodes, "edge": len(sources), "graph": batch.num_graphs}

    def randn(level: str, *width: int) -> Tensor:
        return torch.randn(rows[level], *width, generator=generator).to(batch.pos)

    for level in LEVELS:
        batch[f"{level}_field"], batch[f"{level}_turning"] = randn(level, 2), randn(level, 3)
    batch.bond, batch.spring = torch.randint(5, (rows["edge"],)), torch.randint(2, (rows["edge"],))
    batch.charge, batch.length, batch.flow = torch.tensor([0, 2, 1]), randn("edge"), randn("edge")
    batch.velocity, batch.dipole, batch.force = randn("node", 3), randn("graph", 3), randn("edge", 3)
    batch.chiral = torch.tensor([[0, 5], [1, 6], [2, 7], [3, 8]])
    return batch


@settings(max_examples=40, deadline=None)
@given(models())
def test_a_saved_model_is_loaded_with_the_same_outputs(tmp_path_factory, model):
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    model.save(path)
    loaded = load(path)
    assert repr(loaded.process) == repr(model.process) and loaded.describe() == model.describe()
    batch, t = noisy_batch(model), torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    torch.manual_seed(0)
    expected, got = model(batch, t), loaded(batch, t)
    assert expected.keys() == got.keys() and all(torch.equal(expected[name], got[name]) for name in expected)


class Net(EGNN):
    """A backbone of a user's own."""


class Late(VESDE):
    """A process of a user's own that does not keep what it was built with."""

    def __init__(self, largest: float = 5.0) -> None:
        super().__init__(largest)


class Squared(EGNN):
    """A backbone of a user's own that keeps something else than it was given."""

    def __init__(self, hidden_channels: int, num_layers: int, edge_channels: int = 0, cond_channels: int = 8) -> None:
        super().__init__(hidden_channels, num_layers, edge_channels=edge_channels, cond_channels=cond_channels)
        self.num_layers = num_layers + 1


def patched() -> Denoiser:
    model = denoiser()
    model.network.backbone.layers[0] = nn.Identity()
    return model


def nearest(pos: Tensor, batch_index: Tensor, num_graphs: int, k: int) -> Tensor:
    """A search of a user's own."""
    return NearestNeighbors(k)(pos, batch_index, num_graphs)


PROCESS = ForwardProcess({Field("pos", zero_mean=True): VESDE()})


def denoiser(backbone: Any = None, sde: SDE | None = None, **options: Any) -> Denoiser:
    process = PROCESS if sde is None else ForwardProcess({Field("pos"): sde})
    return Denoiser(ScoreNetwork(EGNN(8, 1) if backbone is None else backbone, process, **options), process)


def local() -> nn.Module:
    class Local(EGNN):
        pass

    return Local(8, 1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: NoiseAdapter(lambda batch, t: batch.pos, PROCESS), "A NoiseAdapter cannot be described by plain val"),
        (lambda: Denoiser(nn.Linear(3, 3), PROCESS), "The network, a Linear, cannot be described, as a ScoreNetwork"),
        (lambda: denoiser(local()), "backbone 'local.<locals>.Local' cannot be described: put it at the top of a mod"),
        (lambda: denoiser(sde=Late()), "The SDE Late cannot be described: it has no attribute 'largest', but each arg"),
        (
            lambda: denoiser(ModuleBackbone(nn.Linear(8, 8), {"input": "h"}, 8, cond_channels=8)),
            "The backbone cannot be described: its option 'module' is Linear, where numbers, texts",
        ),
        (lambda: denoiser(inputs={"z": ModuleInput(partial(nn.Linear, 3))}), "The input 'z', a ModuleInput, cannot"),
        (lambda: denoiser(neighbors=lambda *graphs: nearest(*graphs, 2)), "neighbors '.*<lambda>' cannot be described"),
        (
            lambda: Denoiser(SelfConditionedNetwork(EGNN(8, 1), PROCESS), PROCESS),
            r"cannot be described alone, without SelfConditioning\(model\)",
        ),
        (
            lambda: denoiser(Squared(8, 1)),
            "Squared cannot be described: its attribute 'num_layers' is not what its con",
        ),
        (patched, r"since a part of it was exchanged after it was built: its backbone.layers.0.\S+ has"),
        (lambda: SelfConditioning(denoiser()), "A SelfConditioning cannot be described"),
    ],
)
def test_what_cannot_be_described_says_what_to_do(tmp_path, make, words):
    with pytest.raises(ValueError, match=words) as caught:
        make().save(tmp_path / "model.safetensors")
    assert "SelfConditioning(model)" in str(caught.value) or "torch.save(model.state_dict(), path)" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_components_of_ones_own_have_to_be_trusted(tmp_path):
    model = denoiser(Net(8, 1), neighbors=partial(nearest, k=2)).eval()
    model.save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=f"Unknown backbone '{__name__}:Net'.*--trust {__name__}"):
        load(tmp_path)
    with pytest.raises(ValueError, match=f"Unknown neighbors '{__name__}:nearest'"):
        load(tmp_path, trust=[Net])
    loaded, batch = load(tmp_path, trust=[Net, nearest]), ragged_batch((4, 1, 5), dtype=torch.float32)
    t = torch.full((3,), 0.5, dtype=torch.float64)
    assert type(loaded.network.backbone) is Net and torch.equal(loaded(batch, t)["pos"], model(batch, t)["pos"])


def test_a_file_of_a_model_alone_has_no_data_set_and_training_and_samples_all_categories(tmp_path):
    model = denoiser(inputs={"z": Category(4)})
    model.save(tmp_path / "model.safetensors")
    loaded, config, info = load_model(tmp_path)
    assert not hasattr(config, "data") and not hasattr(config, "training") and info == {"known": {"z": [0, 1, 2, 3]}}
    batch = ragged_batch((4, 1, 5), dtype=torch.float32)
    torch.manual_seed(0)
    expected = HeunSampler(model.eval(), 3)(batch).batch.pos
    torch.manual_seed(0)
    assert torch.equal(HeunSampler(loaded, 3)(batch).batch.pos, expected)


def test_a_file_of_a_model_alone_is_sampled_by_a_pipeline(tmp_path):
    process = ForwardProcess({Field("pos", zero_mean=True, width=3): VESDE()})
    Denoiser(ScoreNetwork(EGNN(8, 1), process, {"z": Category(4)}), process).save(tmp_path / "model.safetensors")
    graphs = [
        Data(edge_index=torch.tensor([[0, 1], [1, 0]]), z=torch.tensor([1, kind]), num_nodes=2) for kind in (3, 4)
    ]
    found = list(Pipeline.load(tmp_path).sample(graphs, num=2, num_steps=2))
    assert [sample.pos.shape for sample in found[0].samples] == [(2, 3), (2, 3)]
    assert not found[1].samples and "z of row 1 is 4" in (found[1].failure or "")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("network.backbone.name", "os:system", "Unknown backbone 'os:system'"),
        ("network.backbone.hidden_channels", 10**6, "do not fit its configuration: network.backbone.hidden_channels"),
        ("network.neighbors.name", "os:system", "Unknown neighbors 'os:system'"),
        ("network.vector_levels", {"x": "node"}, r"vector_levels has .'x'., which are not among the vectors"),
        ("fields.0.sde.name", "os:system", "Unknown SDE 'os:system'"),
        ("fields.0.scale", math.inf, "scale must be positive and finite"),
        ("fields.0.more", 1, "fields.0.more: there is no such key; expected some of .*zero_mean"),
        ("training", {}, "fields.0.width: Input should be a valid integer, but got None"),
        ("data", {"dataset": {"name": "os:system"}}, "fields.0.width: Input should be a valid integer, but got None"),
    ],
)
def test_a_forged_file_is_refused(tmp_path, key, value, words):
    path = tmp_path / "model.safetensors"
    denoiser(neighbors=NearestNeighbors(2)).save(path)
    checkpoint = load_checkpoint(path)
    place: Any = checkpoint.config
    *parents, last = key.split(".")
    for part in parents:
        place = place[int(part) if part.isdecimal() else part]
    place[last] = value
    save_checkpoint(path, checkpoint)
    with pytest.raises(ValueError, match=words):
        load(path)

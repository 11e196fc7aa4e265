"""Configurations: all of ours build and run; wrong ones are refused by name."""

from __future__ import annotations

import json

import pytest
import torch
from torch_geometric.data import Batch

from graphscore.experiment.build import build_model, build_sampler, measure_scales
from graphscore.experiment.config.schema import check_config, load_config, named_configs
from graphscore.experiment.datasets import build_dataset
from graphscore.experiment.pretrained import load_model
from graphscore.experiment.training.build import build_task
from graphscore.generate.inputs import categories
from graphscore.runtime.checkpoint import Checkpoint, save_checkpoint

KNOWN_DIGITS = {"known": {"digit": list(range(10))}}


@pytest.mark.parametrize("name", named_configs())
def test_every_configuration_builds_and_runs_two_steps(name, tmp_path):
    config = load_config(name)
    graphs = build_dataset(config).split("val")[:6]
    config = measure_scales(config, graphs)
    torch.manual_seed(0)
    model = build_model(config)
    task = build_task(config, model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batch = Batch.from_data_list(graphs)
    for step in range(2):
        optimizer.zero_grad()
        loss = task(batch, step).loss
        assert loss.isfinite()
        loss.backward()
        optimizer.step()
    save_checkpoint(
        tmp_path / "model.safetensors",
        Checkpoint(
            dict(model.state_dict()),
            config.model_dump(mode="json"),
            {"known": categories(graphs, list(config.network.categories))},
        ),
    )
    loaded, again, _ = load_model(tmp_path)
    assert again == config
    t = torch.full((6,), 0.5, dtype=torch.float64)
    noisy = model.process.perturb(batch, t).batch
    for key, value in model(noisy, t).items():
        assert torch.equal(loaded(noisy, t)[key], value)
    assert build_sampler(config.with_sampling(None, 2), loaded)(batch).batch.pos.isfinite().all()


def test_building_a_model_for_loading_leaves_the_global_generator_alone(tmp_path):
    config = load_config("digits", ["fields.0.scale=2.0"])
    save_checkpoint(
        tmp_path / "model.safetensors",
        Checkpoint(dict(build_model(config).state_dict()), config.model_dump(mode="json"), KNOWN_DIGITS),
    )
    before = torch.get_rng_state()
    load_model(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_tensors_of_another_size_are_refused(tmp_path):
    config = load_config("digits", ["fields.0.scale=2.0"])
    other = load_config("digits", ["fields.0.scale=2.0", "network.backbone.hidden_channels=32"])
    path = tmp_path / "model.safetensors"
    save_checkpoint(
        path, Checkpoint(dict(build_model(config).state_dict()), other.model_dump(mode="json"), KNOWN_DIGITS)
    )
    with pytest.raises(ValueError, match="do not fit"):
        load_model(path)


def test_a_component_of_ones_own_is_named_by_its_path():
    config = load_config(
        "digits", ["fields.0.scale=1.0", "fields.0.sde={name: 'graphscore.sdes.ve:VESDE', sigma: 7.0}"]
    )
    ((_, sde),) = build_model(config).process
    assert sde.sigma == 7.0


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("{name: vp, beta_max: 10}", "VPSDE(beta_min=0.1, beta_max=10)"),
        ("rectified", "RectifiedSDE()"),
        ("{name: 'graphscore.sdes.ve:VESDE', sigma: 7.0}", "VESDE(sigma=7.0)"),
    ],
)
def test_a_harmonic_process_has_the_schedule_of_another(schedule, expected):
    sde = f"{{name: harmonic, schedule: {schedule}, edge_mask: bond, stiffness: 2.0}}"
    config = load_config("small-molecules", ["fields.0.scale=1.0", f"fields.0.sde={sde}"])
    ((_, built),) = build_model(config).process
    assert (repr(built.schedule), built.edge_mask, built.stiffness) == (expected, "bond", 2.0)
    assert check_config(config.model_dump(mode="json"), "dump", config.trust) == config


@pytest.mark.parametrize(
    ("overrides", "function", "options"),
    [
        ([], "denoising_score_matching", {"weight": "edm_weight"}),
        (["training.weight=variance"], "denoising_score_matching", {"weight": "variance_weight"}),
        (["training.weight={name: min-snr, gamma: 3}"], "denoising_score_matching", {"weight": "min_snr_weight"}),
        (["training.objective=flow-matching"], "flow_matching", {}),
        (
            ["training.objective={name: data, align: {pos: target}}"],
            "flow_matching",
            {"target": "data", "align": {"pos": "target"}},
        ),
        (
            ["training.objective={name: sliced-vr, num_projections: 2}"],
            "sliced_score_matching",
            {"variance_reduction": True, "num_projections": 2},
        ),
        (["training.objective='graphscore.objectives.flow:flow_matching'"], "flow_matching", {}),
    ],
)
def test_objectives_and_weights_are_given_by_name_or_with_options(overrides, function, options):
    config = load_config("digits", ["fields.0.scale=2.0", *overrides])
    objective = build_task(config, build_model(config)).objective
    got = {name: value if name != "weight" else value.func.__name__ for name, value in objective.options.items()}
    assert (objective.name, got) == (function, options)
    if "gamma" in "".join(overrides):
        assert objective.options["weight"].keywords == {"gamma": 3}
    assert check_config(config.model_dump(mode="json"), "dump", config.trust) == config


def test_a_configuration_from_before_there_were_objectives_trains_alike():
    values = load_config("digits", ["fields.0.scale=2.0"]).model_dump(mode="json")
    later = ("objective", "precision")
    old = {key: value for key, value in values["training"].items() if key not in later} | {"weight": "edm"}
    losses = []
    for config in (check_config(values, "new"), check_config({**values, "training": old}, "old")):
        batch = Batch.from_data_list(build_dataset(config).split("val")[:4])
        torch.manual_seed(0)
        losses.append(build_task(config, build_model(config))(batch, 3).loss)
    assert torch.equal(*losses)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "training.objective={name: explicit, target: gaussian}",
            "target: .* a mapping, but got .gaussian",
        ),
        ("training.objective={name: denoising, align: [pos]}", "align: Input should be a mapping, but got .'pos'."),
        (
            "training.weight={name: min-snr, gamma: '5'}",
            "weight 'min-snr' does not .* gamma: .*number, but got '5'",
        ),
        ("training.times={name: uniform, eps: small}", "eps: Input should be a valid number, but got 'small'"),
        ("training.objective=explicit", "cannot do without the options .'target'."),
        (
            "training.objective={name: sliced, projections: 2}",
            "does not take .*: there is no 'projections'; did you mean 'projection'",
        ),
        ("training.objective={name: denoising, weight: edm}", "set training.weight"),
        ("training.objective=adversarial", "Unknown objective 'adversarial'; expected one of .'data', 'denoising'"),
        ("training.weight={name: min-snr, gama: 3}", "The weight 'min-snr' does not take these options: .*gama"),
        ("training.weight=heavy", "Unknown weight 'heavy'; expected one of .'edm', 'likelihood'"),
        ("training.times={name: uniform, epsilon: 1}", "The time density 'uniform' does not take .*epsilon"),
        ("fields.0.sde={name: harmonic, schedule: {beta: 3}}", "schedule of the SDE 'harmonic' must have a name"),
        ("fields.0.sde={name: harmonic, schedule: {name: ve, beta: 3}}", "The SDE 've' does not take .*beta"),
        ("fields.0.sde={name: ve, schedule: rectified}", "The SDE 've' does not take .*schedule"),
    ],
)
def test_wrong_objectives_and_processes_are_refused_before_training(override, words):
    with pytest.raises(ValueError, match=words):
        config = load_config("digits", ["fields.0.scale=1.0", override])
        build_task(config, build_model(config))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.max_step=3", "training.max_step"),
        ("training.max_steps=0", "training.max_steps"),
        ("training.precision=float16", "training.precision: Input should be 'float32', 'tfloat32' or 'bfloat16'"),
        ("training.max_steps", "key=value"),
        ("fields.0.scale=tiny", "fields.0.scale"),
        ("fields.3.scale=1", "fields.3"),
        ("fields=[{name: pos, sde: {name: ve}}]", "fields.0.width: Field required"),
        ("fields.x=1", "below 1"),
        ("training.seed.more=1", "no keys inside"),
        ("training.seed={", "not a YAML value"),
    ],
)
def test_wrong_overrides_are_named(override, words):
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        load_config("digits", [override])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("network.backbone.name=gat", "Unknown backbone 'gat'; expected one of .*'egnn'"),
        ("network.backbone.name=json:loads_", "Cannot import the backbone"),
        ("network.backbone.name=no_such_module:Net", "Cannot import the backbone"),
        ("network.backbone.heads=2", "heads"),
        ("network.backbone.edge_channels=4", "edge_channels=4"),
    ],
)
def test_wrong_components_are_named(override, words):
    with pytest.raises(ValueError, match=words):
        build_model(load_config("digits", ["fields.0.scale=1.0", override]))


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    for text, words in (("- 1", "mapping"), ("a: [", "not YAML"), ("a: 1", "Field required|data")):
        (tmp_path / "c.yaml").write_text(text)
        with pytest.raises(ValueError, match=words):
            load_config(tmp_path / "c.yaml")


def test_a_dumped_configuration_is_the_same_again():
    config = load_config("small-molecules")
    assert check_config(config.model_dump(mode="json"), "dump") == config


def test_the_largest_drift_is_of_the_sampler_and_steps_it_was_chosen_for():
    config = load_config("conformers", ["sampling.max_drift=0.05"])
    steps = config.sampling.num_steps
    assert config.with_sampling(None, None).sampling.max_drift == 0.05
    assert config.with_sampling(None, steps, 0.7).sampling.max_drift == 0.05
    assert config.with_sampling(None, steps + 1).sampling.max_drift is None
    assert config.with_sampling("heun", None).sampling.max_drift is None
    assert config.with_sampling("heun", 3, None, 0.2).sampling.max_drift == 0.2


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.max_step=3", "training.max_step: there is no such key; did you mean 'max_steps'"),
        ("fields.0.sclae=3", "fields.0.sclae: there is no such key; did you mean 'scale'"),
        ("more=3", "more: there is no such key; expected some of .'fields', 'network'"),
        ("network.node_inputs={z: {width: 3, size: 1}}", "z.features.size: there is no such key; expected some of"),
        ("network.backbone.name=egn", "Unknown backbone 'egn'; .*; did you mean 'egnn'"),
        ("network.backbone.hidden_channel=3", "there is no 'hidden_channel'; did you mean 'hidden_channels'"),
        ("fields.0.sde={name: ve, beta: 3}", "there is no 'beta'; expected some of .'sigma'"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_met_with_the_one_that_is_meant(override, words):
    with pytest.raises(ValueError, match=words):
        build_model(load_config("digits", ["fields.0.scale=1.0", override]))
    with pytest.raises(ValueError, match="did you mean 'digits'"):
        load_config("digit")


def test_own_files_replace_the_data_set_and_keep_options_of_files(tmp_path):
    own = load_config("digits", data=tmp_path / "a.pt")
    assert own.data.model_dump() == {"dataset": {"name": "files", "path": str(tmp_path / "a.pt")}}
    changes = ["data.dataset={name: files, path: b.pt, split: random}"]
    (tmp_path / "own.yaml").write_text(json.dumps(load_config("digits", changes).model_dump(mode="json")))
    parts = {"train": tmp_path / "a.pt", "val": tmp_path / "c.pt"}
    kept = load_config(tmp_path / "own.yaml", ["data.dataset.seed=3"], parts).data.dataset.options
    assert kept == {"path": {part: str(path) for part, path in parts.items()}, "split": "random", "seed": 3}

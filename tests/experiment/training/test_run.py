"""What is checked of a run before it costs time: options of sampling, and values that stand for no condition."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphscore.experiment.build import build_model
from graphscore.experiment.config.schema import load_config
from graphscore.experiment.pretrained import load
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.experiment.training import run as experiment
from graphscore.runtime.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from graphscore.train.engine import Fit

CONDITIONED = [
    "fields.0.scale=2.0",
    "network.node_inputs={digit: 11}",
    "conditions=[{name: digit, null_value: 10, level: node}]",
    "sampling.guidance=[{name: classifier-free, strength: 2.0}]",
]


class DataAreReadError(Exception):
    pass


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("sampling.sampler={name: heun, snr: 0.1}", "sampler 'heun' does not take these options: .*snr"),
        ("sampling.sampler={name: dpm}", "Unknown sampler 'dpm'; expected one of"),
        ("sampling.sampler={name: resampling, method: ddpm}", "Unknown sampler 'ddpm'"),
        ("sampling.sampler={name: karras, churn: much}", "sampler 'karras' does not take .*churn: .*but got 'much'"),
        ("sampling.grid={name: karras, rho: '7'}", "time grid 'karras' does not .*rho: .*number, but got '7'"),
        ("sampling.grid={name: linear, end: 2.0}", "0 < end < start <= 1, but got 1.0, 2.0"),
        ("conditions=[]", "needs at least one condition"),
        ("sampling.guidance=[{name: inpainting, field: x, mask: m, values: v}]", "no field 'x'; it has .'pos'."),
        ("sampling.num_steps=1000000", "num_steps: Input should be less than or equal to 100000, but got 1000000"),
        ("sampling.prior_scale=.inf", "prior_scale: Input should be a finite number"),
        ("training.strategy=fsdp", "strategy 'fsdp' shares the weights out among processes, but .* need them whole"),
        ("training.objective={name: sliced, num_projections: .nan}", "cannot be used: a number is NaN"),
    ],
)
def test_what_is_wrong_with_sampling_is_said_before_the_data_are_read(override, words, tmp_path, monkeypatch):
    def read(config, **_):
        raise DataAreReadError

    monkeypatch.setattr(experiment, "build_dataset", read)
    with pytest.raises(ValueError, match=words):
        experiment.train_model(load_config("digits", [override]), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(DataAreReadError):
        experiment.train_model(load_config("digits"), tmp_path / "run")


def test_a_folder_that_cannot_be_written_is_refused_before_the_data_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "build_dataset", lambda *_, **__: pytest.fail("the data are read"))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"No file can be written to .*file/run \(Not a directory\)"):
        experiment.train_model(load_config("digits"), tmp_path / "file" / "run")


def test_a_run_that_ended_before_its_first_checkpoint_leaves_the_folder_free(tmp_path, monkeypatch):
    """Such as one whose largest graph does not fit into memory: it could not be mended by --resume."""
    tiny = ["network.backbone={name: egnn, hidden_channels: 8, num_layers: 1, cond_channels: 8}"]
    tiny += ["training.max_steps=1", "training.batch_size=2", "training.num_validation_graphs=2"]
    weights = experiment.train_model("digits", tmp_path / "weights", tiny, progress=False).path

    def refuse(*_, **__):
        raise ValueError("too large")

    with monkeypatch.context() as patch, pytest.raises(ValueError, match="too large"):
        patch.setattr(experiment, "fit", refuse)
        experiment.train_model("digits", tmp_path / "run", tiny, init=weights, progress=False)
    assert (tmp_path / "run" / "init.safetensors").is_file()
    with pytest.raises(ValueError, match="already holds a run"):
        experiment.train_model("digits", tmp_path / "weights", tiny, progress=False)
    experiment.train_model("digits", tmp_path / "run", [*tiny, "training.seed=1"], progress=False)
    assert not (tmp_path / "run" / "init.safetensors").exists()  # this one did not start from those weights


def test_new_inputs_have_no_effect_at_first_and_are_learned(tmp_path):
    backbone = "network.backbone={name: egnn, hidden_channels: 8, num_layers: 1, cond_channels: 8}"
    tiny = [backbone, "network.node_inputs={}", "conditions=[]", "sampling.guidance=[]", "fields.0.scale=1.0"]
    tiny += ["training.max_steps=1", "training.batch_size=8", "training.num_validation_graphs=2"]
    graphs = [Data(pos=torch.randn(4, 2), kind=torch.tensor([k % 3]), num_nodes=4) for k in range(40)]
    before = experiment.train_model("digits", tmp_path / "before", tiny, data=graphs, progress=False).path
    changes = [*tiny, "network.graph_inputs={kind: 3}", "training.max_steps=8", "training.learning_rate=0.1"]
    after = experiment.train_model("digits", tmp_path / "after", changes, data=graphs, init=before, progress=False).path
    old, start, new = (load_checkpoint(path) for path in (before, after.with_name("init.safetensors"), after))
    added = start.state.keys() - old.state.keys()
    assert added == {"network.graph_inputs.kind.weight"} and start.state[min(added)].shape == (3, 8)
    assert not start.state[min(added)].any() and new.state[min(added)].any()
    assert all(torch.equal(start.state[name], tensor) for name, tensor in old.state.items())


@pytest.mark.parametrize("value", [3, 3.5])
def test_a_null_value_that_is_a_class_of_the_data_does_not_train(value, tmp_path):
    changes = [*CONDITIONED, f"conditions=[{{name: digit, null_value: {value}, level: node}}]"]
    words = {3: "null_value of the condition 'digit', 3, is a value that graphs", 3.5: "no condition is 3.5"}[value]
    with pytest.raises(ValueError, match=words):
        experiment.train_model(load_config("digits", changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_samples_without_a_condition_are_no_unknown_category(tmp_path):
    config = load_config("digits", [*CONDITIONED, "sampling.num_steps=2"])
    known = {"known": {"digit": list(range(10))}}
    checkpoint = Checkpoint(dict(build_model(config).state_dict()), config.model_dump(mode="json"), known)
    save_checkpoint(tmp_path / "model.safetensors", checkpoint)
    graphs = [Data(digit=torch.full((5,), digit), num_nodes=5) for digit in (10, 3, 11)]
    result = list(Pipeline.load(tmp_path).sample(graphs))
    assert [len(outcome.samples) for outcome in result] == [1, 1, 0]
    assert result[0].failure is result[1].failure is None and "digit of row 0 is 11" in (result[2].failure or "")


def test_a_run_takes_two_lines(tmp_path):
    small = "network.backbone={name: egnn, hidden_channels: 4, num_layers: 1, cond_channels: 4}"
    run = experiment.train_model("digits", str(tmp_path / "run"), ["training.max_steps=1", small], progress=False)
    model = load(tmp_path / "run")
    assert run.path == tmp_path / "run" / "model.safetensors" and len(run.dataset.split("train")) > 1000
    assert list(model.fields) == ["pos"] and not model.training
    with pytest.raises(ValueError, match="changes are for configurations given by name or file"):
        experiment.train_model(load_config("digits"), tmp_path / "other", ["training.max_steps=1"])


def test_validation_takes_a_random_subset_of_the_part_or_all_of_it(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(experiment, "fit", lambda task, options, train, val, *_, **__: seen.append(val) or Fit([], {}))
    for number, most in enumerate((50, 50, "null")):
        changes = ["training.max_steps=1", f"training.num_validation_graphs={most}"]
        part = experiment.train_model("digits", tmp_path / str(number), changes).dataset.split("val")
        seen[-1] = [next(i for i, item in enumerate(part) if item is graph) for graph in seen[-1]]
    assert seen[0] == seen[1] != list(range(50)) and len(seen[0]) == 50
    assert seen[2] == list(range(len(part))) and len(part) > 100
    with pytest.raises(ValueError, match="num_validation_graphs: Input should be greater than 0, but got 0"):
        experiment.train_model("digits", tmp_path / "none", ["training.num_validation_graphs=0"])

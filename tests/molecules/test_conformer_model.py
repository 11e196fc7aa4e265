"""A loaded conformer model: what it says of itself, where it computes, which requests it takes, when outcomes come."""

from __future__ import annotations

import weakref
from pathlib import Path

import pytest
import torch

pytest.importorskip("rdkit")


from graphscore.experiment.sampling import pipeline
from graphscore.generate import windows
from graphscore.molecules.conformers import ConformerModel, ConformerRequest


def test_workers_make_the_same(conformer_checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    """Also which fail, and what is counted; the first molecule has an unknown element, the last is none."""
    monkeypatch.setattr(windows, "NUM_INPUTS", 3)
    options = {"num": 2, "num_steps": 3, "seed": 5, "refine": "mmff", "energy_rank": True, "diverse": True}
    smiles, seen = ["CBr", "CC(C)O", "CCCCCN", "CO", "c1ccccc1C", "C[C@H](N)O", "CC", "C1CC"], []
    model = ConformerModel.load(conformer_checkpoint)
    here, there = (
        list(model.sample(smiles, **options, workers=number, progress=lambda *numbers: seen.append(numbers)))
        for number in (1, 2)
    )
    assert seen[-1] == (16, 16)
    for mine, theirs, text in zip(here, there, smiles, strict=True):
        assert mine.input is theirs.input is text and mine.failure == theirs.failure and mine.notes == theirs.notes
        assert mine.cost.evaluations == theirs.cost.evaluations and set(mine.cost.seconds) == set(theirs.cost.seconds)
        assert [a.sample for a in mine.samples] == [b.sample for b in theirs.samples]
        for a, b in zip(mine.samples, theirs.samples, strict=True):
            heavy = a.z > 1
            torch.testing.assert_close(a.pos[heavy], b.pos[heavy], atol=1e-4, rtol=0)
            assert "energy" in a and "energy" in b
    rest = list(model.sample(smiles, **options, workers=2, start=4))
    assert [outcome.input for outcome in rest] == smiles[4:]
    for one, other in zip(rest, there[4:], strict=True):
        assert all(torch.equal(a.pos, b.pos) for a, b in zip(one.samples, other.samples, strict=True))


def test_describes_all_that_samples_depend_on(conformer_checkpoint: Path):
    model = ConformerModel.load(conformer_checkpoint.parent, device="cpu")
    options = {"prior_scale": 0.7, "max_drift": 0.1, "num_steps": 3, "sampler": "heun"}
    found = model.describe(ConformerRequest(num=2, seed=7, **options))
    drawn = found["sampling"] | {"sampler": found["sampling"]["sampler"]["name"]}
    assert {key: drawn[key] for key in options} == options and (found["seed"], found["num"]) == (7, 2)
    assert found["checkpoint"] == str(conformer_checkpoint) and len(found["sha256"]) == 64
    assert found["device"] == str(model.device) == "cpu"
    assert {"graphscore", "python", "torch", "rdkit"} == set(found["versions"])


def test_the_network_is_where_it_shall_compute_and_a_gpu_is_not_shared(conformer_checkpoint, monkeypatch):
    asked: list[object] = []
    monkeypatch.setattr(pipeline, "choose_device", lambda name: asked.append(name) or torch.device("meta"))
    model = ConformerModel.load(conformer_checkpoint, device="cuda:1")
    assert asked == ["cuda:1"] and model.describe(ConformerRequest())["device"] == "meta"
    assert {tensor.device.type for tensor in model.model.state_dict().values()} == {"meta"}
    monkeypatch.setattr(pipeline, "stream", lambda work, tasks, workers, *_: asked.append(workers) or [])
    for number in (None, 1, 2):
        list(model.sample(["CC"], workers=number))
    assert asked[1:] == [1, 1, 2]


WRONG = [
    {"num": 0},
    {"seed": -1},
    {"refine": "uff"},
    {"retries": -1},
    {"prior_scale": 0.0},
    {"workers": 0},
    {"max_drift": -0.5},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_requests_are_checked(wrong: dict):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        ConformerRequest(**wrong)


def test_outcomes_come_before_all_inputs_are_read(conformer_checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(windows, "NUM_INPUTS", 2)
    read: list[str] = []
    inputs = (read.append(text) or text for text in ["CC"] * 40)
    outcomes = ConformerModel.load(conformer_checkpoint).sample(inputs)
    assert not read
    assert repr(next(outcomes)) == "Conformers('CC': 1 sample)" and len(read) < 12
    alive: list[weakref.ref] = []
    for outcome in outcomes:
        alive += map(weakref.ref, outcome.samples)
        assert sum(ref() is not None for ref in alive) <= 2 + 2 + 1  # of this window, the last, and the last outcome
    assert len(alive) == 39


def test_a_loaded_model_says_what_it_is(conformer_checkpoint: Path):
    model = ConformerModel.load(conformer_checkpoint, device="cpu")
    assert repr(model).startswith(f"ConformerModel({conformer_checkpoint}: ")
    assert "fields pos, dpm-solver++ in 4 steps, on cpu" in repr(model)
    with pytest.raises(ValueError, match="a request or options, but got both: num"):
        model.sample(["CC"], ConformerRequest(), num=3)
    with pytest.raises(TypeError, match="nums_steps"):
        model.sample(["CC"], nums_steps=3)

"""Two conformer models as one: each molecule is sampled as by the model for its size and environment alone."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from torch.testing import assert_close

pytest.importorskip("rdkit")

from graphscore.molecules import shipped
from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.features import CRYSTAL, ENVIRONMENT
from graphscore.molecules.request import ConformerRequest
from graphscore.molecules.shipped import FEW_STEPS, LARGEST, ShippedModel, ShippedModels, shipped_checkpoint

SMALL, LARGE = "C" * LARGEST, "C" * (LARGEST + 1)


@pytest.fixture(scope="module")
def small(conformer_checkpoint: Path) -> ConformerModel:
    return ConformerModel.load(conformer_checkpoint)


@pytest.fixture(scope="module")
def large(placed_checkpoint: Path) -> ConformerModel:
    return ConformerModel.load(placed_checkpoint)


@pytest.fixture(scope="module")
def both(small: ConformerModel, large: ConformerModel) -> ShippedModels:
    return ShippedModels(small, large)


def expect(both: ShippedModels, items: Sequence[Any], models: Sequence[ConformerModel], **options: Any) -> None:
    # Without repair, which would turn rounding errors of the untrained networks into other conformers.
    options |= {"num": 2, "seed": 3, "retries": 0, "repair": False, "workers": 1}
    found = list(both.sample(items, **options))
    assert [outcome.input for outcome in found] == [*items]
    for item, outcome, model in zip(items, found, models, strict=True):
        (alone,) = model.sample(item, **options)
        for one, other in zip(outcome.samples, alone.samples, strict=True):
            assert_close(one.pos, other.pos, rtol=0, atol=1e-2)  # those of another model differ by Angstroms


@pytest.mark.exact
def test_each_molecule_is_sampled_by_the_model_for_its_size(both, small, large):
    expect(both, [LARGE, "CO", SMALL, "CC.CC"], [large, small, small, small])


def test_molecules_in_crystals_are_sampled_by_the_model_that_knows_them(both, large):
    assert both.environments == ["crystal", "gas"]
    expect(both, [LARGE, SMALL], [large, large], environment=CRYSTAL)
    placed = both.read("CCO")
    placed[ENVIRONMENT] = CRYSTAL
    expect(both, [placed], [large])
    with pytest.raises(
        ValueError, match="environment is 'solvent', but this model was trained to tell gas and crystal"
    ):
        both.sample("CC", environment="solvent")


def test_fewer_steps_are_taken_for_what_is_relaxed_and_chosen_among_unless_asked_otherwise():
    model = ShippedModel.load(shipped_checkpoint())
    usual = model.config.sampling
    assert usual.num_steps != FEW_STEPS and usual.max_drift is not None
    few = model.configure(ConformerRequest(preset="ensemble")).sampling
    assert few.num_steps == FEW_STEPS and few.max_drift is None  # the limit belongs to other steps
    assert few.sampler == usual.sampler and model.describe(ConformerRequest(preset="ensemble"))["num_steps"] == 5
    for options in (
        {"preset": "fast"}, {"preset": "docking"}, {"preset": "representative"}, {"preset": "ensemble", "noise": 0.5},
        {"preset": "ensemble", "select": "lowest"}, {"preset": "ensemble", "max_drift": usual.max_drift},
    ):  # fmt: skip
        assert model.configure(ConformerRequest(**options)).sampling == usual
    assert model.configure(ConformerRequest(preset="ensemble", num_steps=3)).sampling.num_steps == 3
    (outcome,) = model.sample("CCCO", num=1, preset="ensemble", workers=1)
    assert outcome.cost.evaluations == 4 * (FEW_STEPS + 1)  # the last denoises


def test_what_cannot_be_read_fails_alone_and_progress_counts_all(both):
    seen = []
    outcomes = list(both.sample(["C1", LARGE, SMALL], num=2, progress=lambda *of: seen.append(of)))
    assert [bool(outcome.failure) for outcome in outcomes] == [True, False, False]
    assert seen[-1] == (6, 6) and seen == sorted(seen)


def test_workers_get_both_models(both):
    (found,) = pickle.loads(pickle.dumps(both.work(ConformerRequest(), None)))([(7, both.read(LARGE), 1)])
    assert len(found.samples) == 1


def test_likelihoods_are_those_of_the_model_of_the_molecule(both, small, large):
    graphs = [next(both.sample(item, workers=1)).samples[0] for item in (LARGE, SMALL, "CC")]
    seen = []
    found = list(both.log_likelihood(graphs, num_probes=2, tolerance=0.5, progress=lambda *of: seen.append(of)))
    for graph, likelihood, model in zip(graphs, found, (large, small, small), strict=True):
        (alone,) = model.log_likelihood([graph], num_probes=None, tolerance=0.5)
        assert abs(likelihood.nats - alone.nats) < 1 + 8 * likelihood.standard_error and likelihood.failure == ""
    assert seen == [(1, None), (2, None), (3, None)]


def test_a_description_names_both_files(both, small, large):
    described = both.describe(ConformerRequest())
    assert described["checkpoint"] == str(small.checkpoint)
    assert described["larger_molecules"]["heavy_atoms_above"] == LARGEST
    assert described["larger_molecules"]["sampling"] == large.describe(ConformerRequest())["sampling"]
    files = described["sha256"], described["larger_molecules"]["sha256"]
    assert files == tuple(hashlib.sha256(model.checkpoint.read_bytes()).hexdigest() for model in (small, large))
    assert str(large.checkpoint) in repr(both)


def test_they_are_the_default(monkeypatch, conformer_checkpoint: Path, placed_checkpoint: Path):
    files = {shipped.SMALL: conformer_checkpoint, shipped.LARGE: placed_checkpoint}
    monkeypatch.setattr(shipped, "packaged", lambda *_: files)
    model = ConformerModel.load()
    assert isinstance(model, ShippedModels) and model.checkpoint == conformer_checkpoint
    assert model.large.checkpoint == placed_checkpoint and type(model.with_model(model.model)) is ConformerModel
    del files[shipped.LARGE]
    with pytest.raises(
        FileNotFoundError, match=f"weights '{shipped.LARGE}' .*train --config {shipped.LARGE}.*--checkpoint"
    ):
        ConformerModel.load()


def test_files_of_the_package_are_found():
    assert shipped_checkpoint().name == "conformers.safetensors" and shipped_checkpoint(shipped.LARGE).is_file()

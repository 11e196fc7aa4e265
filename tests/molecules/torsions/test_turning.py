"""Sampling in two stages: positions by one model, and then all rotatable bonds turned by a model of torsions."""

from __future__ import annotations

import json

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

pytest.importorskip("rdkit")

from graphscore import cli
from graphscore.fields import wrap
from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.request import ConformerRequest
from graphscore.molecules.torsions import Torsions, TurnedSampler, dihedrals
from graphscore.rng import GraphGenerator

PLAIN = {"retries": 0, "repair": False, "workers": 1}
SMILES = ["CC(=O)NCCc1ccccc1", "CC", "CCCCO"]


@pytest.fixture(scope="module")
def model(conformer_checkpoint):
    return ConformerModel.load(conformer_checkpoint)


@pytest.fixture(scope="module")
def stages(model, torsion_checkpoint):
    """The two samplers, and a batch that both take."""
    request = ConformerRequest(torsions=torsion_checkpoint)
    both = model.sampler(request)
    batch = Batch.from_data_list([model.see(model.read(smiles), request) for smiles in SMILES])
    return both, batch


def test_all_but_the_torsions_is_that_of_the_first_sample(stages):
    both, batch = stages
    assert isinstance(both, TurnedSampler) and both.stochastic
    first = both.positions(batch, GraphGenerator([1, 2, 3]))
    turned = both(batch, GraphGenerator([1, 2, 3]))
    start, end = batch.edge_index[:, batch.bond > 0]
    lengths = [(result.batch.pos[start] - result.batch.pos[end]).norm(dim=1) for result in (turned, first)]
    assert_close(*lengths, atol=1e-4, rtol=1e-5)
    assert torch.equal(turned.x0_hat["pos"], first.x0_hat["pos"])  # of which the drift is
    # Torsions are those that the second sampler draws next.
    generator = GraphGenerator([1, 2, 3])
    both.positions(batch, generator)
    angles = both.torsions(first.batch, generator).batch.torsion[:, 0]
    found = dihedrals(turned.batch.pos.double(), batch.torsion_index)
    assert len(angles) > 3 and wrap(found - angles).abs().max() < 1e-3
    assert wrap(angles - dihedrals(first.batch.pos, batch.torsion_index)).abs().max() > 0.1
    assert turned.num_evaluations.tolist() == [5 + 4 + 1] * 3  # with the last ones, which denoise


def test_samples_depend_on_their_own_molecule_alone(stages):
    both, batch = stages
    together = both(batch, GraphGenerator([1, 2, 3])).batch.to_data_list()
    alone = both(Batch.from_data_list([batch.to_data_list()[2]]), GraphGenerator([3])).batch
    assert_close(together[2].pos, alone.pos, atol=1e-4, rtol=0)


def test_without_rotatable_bonds_samples_are_those_of_the_first(stages):
    both, batch = stages
    alone = Batch.from_data_list([batch.to_data_list()[1]])
    once, twice = (sampler(alone, GraphGenerator([2])) for sampler in (both.positions, both))
    assert torch.equal(once.batch.pos, twice.batch.pos)
    assert torch.equal(once.num_evaluations, twice.num_evaluations)


def test_conformers_are_turned_if_a_model_of_torsions_is_named(model, torsion_checkpoint):
    options = {"num": 2, "seed": 3, **PLAIN}
    (plain,), (turned,) = (
        model.sample(SMILES[0], **options, **more) for more in ({}, {"torsions": torsion_checkpoint})
    )
    assert turned.failure is None and turned.cost.evaluations > plain.cost.evaluations
    for one, other in zip(turned.samples, plain.samples, strict=True):
        assert not {"torsion", "torsion_index", "moved_by"} & {*one.keys()}
        assert (wrap(_angles(one) - _angles(other)).abs() > 0.1).any()
    request = ConformerRequest(torsions=torsion_checkpoint)
    described = json.loads(json.dumps(model.describe(request)))
    assert described["torsions"] == str(torsion_checkpoint) and len(described["turned_by"]["sha256"]) == 64
    assert "turned_by" not in model.describe(ConformerRequest())


def test_models_that_do_not_go_together_are_refused(model, conformer_checkpoint, torsion_checkpoint):
    with pytest.raises(ValueError, match=r"is no model of torsions: its fields are \['pos'\]"):
        model.sample("CCCC", torsions=conformer_checkpoint)
    with pytest.raises(ValueError, match="is a model of torsions itself"):
        ConformerModel.load(torsion_checkpoint).sample("CCCC", torsions=torsion_checkpoint)
    with pytest.raises(FileNotFoundError, match="No checkpoint at nothing"):
        model.sample("CCCC", torsions="nothing")
    for options in ({"diverse": True}, {"noise": 0.5}):
        with pytest.raises(ValueError, match="turns all rotatable bonds anew, which (diverse|noise) excludes"):
            ConformerRequest(torsions=torsion_checkpoint, **options)


def test_what_the_model_of_torsions_does_not_know_fails_by_name(model, torsion_checkpoint):
    (outcome,) = model.sample("CCCCCl", torsions=torsion_checkpoint, **PLAIN)
    assert "z of atom" in outcome.failure and "is 17" in outcome.failure


def test_the_command_line_turns_bonds(conformer_checkpoint, torsion_checkpoint, tmp_path, monkeypatch):
    out = tmp_path / "turned.sdf"
    arguments = ["sample", "CCCCO", "--num", "2", "--checkpoint", conformer_checkpoint, "--out", out]
    monkeypatch.setattr("sys.argv", ["graphscore", *map(str, arguments), "--torsions", str(torsion_checkpoint)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    report = json.loads((tmp_path / "turned.sdf.report.json").read_text())
    assert report["num_written"] == 2 and report["torsions"] == str(torsion_checkpoint)


def _angles(graph):
    return dihedrals(graph.pos.double(), Torsions()(graph).torsion_index)

"""Sampling by models of torsions: bonds of given conformers are turned, everything else of their heavy atoms stays."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("rdkit")

from graphscore import cli
from graphscore.data.writers import write
from graphscore.experiment.build import build_model
from graphscore.experiment.config.schema import load_config
from graphscore.experiment.datasets import build_dataset, with_given
from graphscore.experiment.training.samples import build_score
from graphscore.generate.outcome import EXACT
from graphscore.molecules.baselines import etkdg
from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import Chem
from graphscore.molecules.readers import read_sdf
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.molecules.torsions import Torsions, dihedrals
from graphscore.runtime.checkpoint import load_checkpoint

PLAIN = {"retries": 0, "repair": False, "workers": 1}


@pytest.fixture(scope="module")
def model(torsion_checkpoint):
    return ConformerModel.load(torsion_checkpoint)


def heavy(graph):
    return graph.pos[graph.z > 1].double()


def rigid_distances(graph):
    """Distances of heavy atoms that no turn changes: bonds and angles, and those within rings."""
    mol = Chem.RemoveHs(Chem.MolFromSmiles(graph.smiles))
    assert [atom.GetAtomicNum() for atom in mol.GetAtoms()] == graph.z[graph.z > 1].tolist()
    near = torch.from_numpy(Chem.GetDistanceMatrix(mol)) <= 2
    for ring in mol.GetRingInfo().AtomRings():
        near[np.ix_(ring, ring)] = True
    return torch.cdist(heavy(graph), heavy(graph))[near]


def angles_of(graph):
    return dihedrals(graph.pos.double(), Torsions()(graph).torsion_index)


@pytest.mark.parametrize("noise", [None, 0.4])
def test_bonds_are_turned_and_all_else_of_heavy_atoms_stays(model, noise):
    given = etkdg("CC(=O)NCCc1ccccc1", 1, 0)[0]
    (outcome,) = model.sample([given], num=3, noise=noise, **PLAIN)
    assert outcome.failure is None and len(outcome.samples) == 3
    for sample in outcome.samples:
        assert_close(rigid_distances(sample), rigid_distances(given), atol=2e-5, rtol=0)
        assert "torsion" not in sample and "moved_by" not in sample and sample.pos.isfinite().all()
        assert ("start_rmsd" in sample) == (noise is not None)
        assert (angles_of(sample) - angles_of(given)).abs().max() > 1e-3
    assert not torch.equal(outcome.samples[0].pos, outcome.samples[1].pos)
    (again,) = model.sample(given, num=1, noise=noise, **PLAIN)
    assert_close(again.samples[0].pos, outcome.samples[0].pos, atol=1e-4, rtol=0)


def test_little_noise_stays_near_the_given_angles(model):
    given = etkdg("CCCCO", 1, 0)[0]
    (outcome,) = model.sample(given, num=2, noise=0.06, **PLAIN)
    for sample in outcome.samples:
        off = angles_of(sample) - angles_of(given)
        assert 0 < torch.remainder(off + torch.pi, 2 * torch.pi).sub(torch.pi).abs().max() < 0.5


def test_conformers_of_a_molecule_are_inputs_of_their_own(model):
    mol = embed(mol_from_smiles("CCCCO"), 2, seed=0)
    outcomes = list(model.sample([mol], num=2, **PLAIN))
    assert [len(outcome.samples) for outcome in outcomes] == [2, 2]
    # From other noise: the same would give nearly the same angles.
    first, second = (angles_of(outcome.samples[0]) for outcome in outcomes)
    assert torch.remainder(first - second + torch.pi, 2 * torch.pi).sub(torch.pi).abs().max() > 0.1


@pytest.mark.parametrize("noise", [None, 0.5])
@pytest.mark.parametrize("smiles", ["C1CCCCC1", "CC", "O", "c1ccccc1C"])
def test_molecules_without_rotatable_bonds_come_back_as_they_are(model, smiles, noise):
    given = etkdg(smiles, 1, 0)[0]
    (outcome,) = model.sample([given], num=2, noise=noise, workers=1)
    assert [sample.method for sample in outcome.samples] == [EXACT] * 2
    for sample in outcome.samples:
        assert_close(sample.pos, given.pos, atol=1e-5 if noise else 0, rtol=0)


def test_components_are_turned_where_they_are(model):
    given = etkdg("CCCO.CCO", 1, 0)[0]
    (outcome,) = model.sample(given, num=1, **PLAIN)
    (sample,) = outcome.samples
    still = [4, 5, 6]  # of the second component, which has no rotatable bond
    assert_close(sample.pos[still], given.pos[still], atol=1e-5, rtol=0)
    assert_close(rigid_distances(sample)[:3], rigid_distances(given)[:3], atol=2e-5, rtol=0)
    assert (angles_of(sample) - angles_of(given)).abs().max() > 1e-3


def test_what_cannot_be_sampled_is_said(model):
    for item in ("CCCO", mol_from_smiles("CCCO")):
        (outcome,) = model.sample([item], num=1, **PLAIN)
        assert outcome.failure == (
            "it has no coordinates (pos), and this model changes those of its inputs alone (torsion): draw some by "
            "another model first, and sample from its output"
        )
    given = etkdg("CCCO", 1, 0)[0]
    given.pos[0] = float("nan")
    (outcome,) = model.sample([given], num=1, **PLAIN)
    assert "pos must be finite real numbers" in str(outcome.failure)
    with pytest.raises(ValueError, match="turns bonds of conformers, whose stereo is known, not 'enumerate'"):
        next(model.sample(["CC(N)O"], stereo="enumerate"))
    with pytest.raises(ValueError, match="places no nodes in space"):
        next(model.sample([given], num=2, diverse=True))


def test_attributes_of_the_given_conformer_are_left_out(model):
    given = etkdg("CCCO", 1, 0)[0]
    given.energy = -3.0
    (outcome,) = model.sample([given], num=1, **PLAIN)
    assert "energy" not in outcome.samples[0] and any("energy" in note for note in outcome.notes)


def test_the_command_samples_each_record_of_a_file(torsion_checkpoint, tmp_path, monkeypatch):
    graphs = [*etkdg("CCCO", 2, 0), *etkdg("CC", 1, 0)]
    write(graphs, tmp_path / "in.sdf")
    words = ["sample", "--checkpoint", torsion_checkpoint, "--input", tmp_path / "in.sdf", "--num", 2, "--workers", 1]
    monkeypatch.setattr(sys, "argv", ["graphscore", *map(str, words), "--out", str(tmp_path / "out.sdf")])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert not exit_.value.code
    assert len(list(read_sdf(tmp_path / "out.sdf"))) == 6
    report = json.loads((tmp_path / "out.sdf.report.json").read_text())
    assert [entry["written"] for entry in report["inputs"]] == [2, 2, 2]


def test_the_best_model_is_chosen_by_samples(torsion_checkpoint, tmp_path):
    graphs = [graph for smiles in ("CCCO", "CC(=O)NC") for graph in etkdg(smiles, 2, 0)]
    backbone = json.dumps(load_checkpoint(torsion_checkpoint).config["network"]["backbone"])
    changes = [f"network.backbone={backbone}", "training.best={metric: amr_r.mean, num_graphs: 4, num_steps: 3}"]
    config, data = with_given(load_config("torsions", changes)), {"train": graphs, "val": graphs}
    model = build_model(config).eval()
    model.load_state_dict(load_checkpoint(torsion_checkpoint).state)
    known, dataset = {"z": [6, 7, 8], "environment": [1]}, build_dataset(config, data=data)
    score = build_score(config, model, known, dataset, data, tmp_path)
    drawn = score.draw(model, 0, 1)
    assert len(drawn) == 4 and score.measure([drawn]) > 0


def test_likelihoods_are_those_of_the_given_angles(model):
    given = etkdg("CCCO", 2, 0)
    found = list(model.log_likelihood([*given, *etkdg("CC", 1, 0)], num_probes=None))
    assert [one.dimension for one in found] == [1, 1, 0] and not any(one.failure for one in found)
    assert found[0].nats != found[1].nats

"""Molecules in, conformers out, with all that can be asked for: fixed atoms, energies, diversity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem
from torch_geometric.data import Data

from graphscore.experiment import sampling
from graphscore.experiment.request import Request
from graphscore.experiment.sampled import Sampled
from graphscore.experiment.sampling import Session
from graphscore.linalg.kabsch import align
from graphscore.molecules import features as chemistry
from graphscore.molecules.conformers import generate_conformers
from graphscore.molecules.embedding import embed
from graphscore.molecules.features import MoleculeGraph
from graphscore.molecules.forcefield import ForceField
from graphscore.molecules.fragments import Fragment
from graphscore.molecules.graph import data_from_mol, data_from_smiles
from graphscore.molecules.hydrogens import HydrogenPlacer
from graphscore.molecules.metrics import stereo
from graphscore.molecules.metrics.stereo import is_as_asked
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.runtime.checkpoint import load_checkpoint, save_checkpoint
from graphscore.runtime.sharing import Shared

OTHERS = ["C" * n for n in range(2, 9)] + ["C1CC1", "CCO", "OCCO", "CNC", "c1ccccc1", "c1ccncc1", "CF", "C#N"] * 3


def sample(path: Path, smiles: Sequence[str], **options: object) -> Sampled:
    return Session(path, Request(**options))([data_from_smiles(text) for text in smiles])


@pytest.mark.parametrize("options", [{}, {"diverse": True}, {"energy_rank": True}])
def test_a_molecule_alone_and_among_thirty_others(conformer_checkpoint: Path, options: dict):
    """Up to the rounding errors of float32.

    Hydrogens included, but not where the shapes of a model with random weights have hydrogens between two minima.
    """
    mine = "C[C@H](N)C(=O)NCC"
    alone = sample(conformer_checkpoint, [mine], num=3, seed=4, **options)
    among = sample(conformer_checkpoint, [*OTHERS[:17], mine, *OTHERS[17:]], num=3, seed=4, **options)
    assert len(among.samples) == 32
    for one, other in zip(alone.samples[0], among.samples[17], strict=True):
        heavy = one.z > 1
        torch.testing.assert_close(one.pos[heavy], other.pos[heavy], atol=1e-5, rtol=0)
        if "diverse" not in options:
            torch.testing.assert_close(one.pos, other.pos, atol=1e-3, rtol=0)
        assert one.sample == other.sample


def test_relaxed_alone_and_among_others(conformer_checkpoint: Path):
    """The start of relaxation is rounded, so that no bit of the result tells who else was there."""
    mine, few = "FC(F)(F)OC(F)(F)F", ["CCO", "CCCC", "C1CC1"]
    alone = sample(conformer_checkpoint, [mine], num=2, refine="mmff")
    among = sample(conformer_checkpoint, [*few, mine], num=2, refine="mmff")
    for one, other in zip(alone.samples[0], among.samples[3], strict=True):
        assert torch.equal(one.pos, other.pos) and one.energy == other.energy


def test_energies_rank_the_conformers_of_each_molecule(conformer_checkpoint: Path):
    result = sample(conformer_checkpoint, ["CCCO", "CCN"], num=5, energy_rank=True)
    for samples in result.samples:
        energies = [item.energy for item in samples]
        assert energies == sorted(energies) and len(set(energies)) == 5
        assert [item.relative_energy for item in samples] == [energy - energies[0] for energy in energies]
        assert sorted(item.sample for item in samples) == [1, 2, 3, 4, 5]
    plain = sample(conformer_checkpoint, ["CCCO"], num=5)
    assert [item.sample for item in plain.samples[0]] == [1, 2, 3, 4, 5]
    for item in result.samples[0]:
        torch.testing.assert_close(item.pos, plain.samples[0][item.sample - 1].pos, atol=1e-3, rtol=0)
    assert "energy" not in plain.samples[0][0]


@pytest.mark.parametrize("options", [{}, {"refine": "mmff"}, {"diverse": True}, {"sampler": "ancestral"}])
def test_held_atoms_are_where_the_template_has_them(conformer_checkpoint: Path, options: dict):
    template = data_from_mol(embed(mol_from_smiles("CC(=O)NC"), 1, seed=3))
    molecules = {"CCNC(C)=O": [4, 3, 5, 2, 1], "O=C(CF)NCC": [2, 1, 0, 4, 5], "CCCO": []}
    request = Request(num=3, fragment=Fragment("[#6]C(=O)N[#6]", template), **options)
    result = Session(conformer_checkpoint, request)([data_from_smiles(text) for text in molecules])
    for samples, atoms in zip(result.samples[:2], molecules.values(), strict=False):
        assert len(samples) == 3
        for item in samples:
            assert float((item.pos[atoms] - template.pos[:5]).norm(dim=1).max()) < 1e-3
            assert item.fixed_rmsd < 1e-3
        if not options.get("refine"):  # which may lead to one and the same minimum
            assert float((samples[0].pos - samples[1].pos).norm(dim=1).max()) > 0.1
    assert result.samples[2] == [] and "no heavy atoms of the molecule" in result.failures[2]


def spread(samples: Sequence[Data]) -> float:
    """Mean distance of pairs of samples, superposed."""
    pos = [item.pos.double() for item in samples]
    index = torch.zeros(len(pos[0]), dtype=torch.long)
    pairs = [(one, align(pos[j], one, index, 1)) for i, one in enumerate(pos) for j in range(i)]
    return float(torch.stack([(a - b).square().sum(-1).mean().sqrt() for a, b in pairs]).mean())


def test_diverse_samples_keep_away_from_each_other(conformer_checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    """At a strength that shows even in a model with random weights."""
    monkeypatch.setattr(sampling, "REPULSION", 2.0)
    smiles = ["CCCCCO", "CCC", "CC(C)CC=O"]
    plain, diverse = (sample(conformer_checkpoint, smiles, num=8, diverse=flag).samples for flag in (False, True))
    for one, other in zip(plain, diverse, strict=True):
        assert spread(other) > 1.05 * spread(one)
    alone = sample(conformer_checkpoint, smiles[:1], num=1, diverse=True).samples[0][0]
    torch.testing.assert_close(alone.pos, plain[0][0].pos, atol=1e-3, rtol=0)  # nobody to keep away from


def test_counts_evaluations_and_seconds(conformer_checkpoint: Path):
    result = sample(conformer_checkpoint, ["CCO", "CBr", "CCCCCC"], num=3, num_steps=5)
    assert result.evaluations == 6  # and one that removes the last noise
    assert {"load", "sample", "hydrogens", "refine"} == set(result.seconds)
    assert sample(conformer_checkpoint, ["CCO"], num_steps=5, sampler="heun").evaluations == 11


def test_conformers_of_wrong_stereochemistry_are_drawn_again(conformer_checkpoint: Path):
    smiles, options = ["C[C@H](N)O", "CCO", "C/C=C/F"], {"num": 12, "seed": 1}
    raw, result = (sample(conformer_checkpoint, smiles, retries=retries, **options) for retries in (0, 30))
    right = [[is_as_asked(conformer) for conformer in group] for group in raw.samples]
    assert 0 < sum(right[0]) < 12 and 0 < sum(right[2]) < 12 and all(right[1])
    for group, before, kept in zip(result.samples, raw.samples, right, strict=True):
        assert all(is_as_asked(conformer) for conformer in group)
        for one, other, was_right in zip(group, before, kept, strict=True):
            if was_right:
                torch.testing.assert_close(one.pos, other.pos, atol=1e-4, rtol=0)
    assert raw.evaluations == 5 < result.evaluations


def test_workers_make_the_same(conformer_checkpoint: Path):
    """Also which fail, and what is counted; the first molecule has an unknown element."""
    options = {"refine": "mmff", "energy_rank": True, "diverse": True}
    smiles, seen = ["CBr", "CC(C)O", "CCCCCN", "CO", "c1ccccc1C", "C[C@H](N)O", "CC"], []
    items = [data_from_smiles(text) for text in smiles]
    one, two = (
        Session(conformer_checkpoint, Request(num=2, num_steps=3, seed=5, workers=number, **options))
        for number in (1, 2)
    )
    here, there = one(items), two(items, lambda *numbers: seen.append(numbers))
    assert (here.workers, there.workers) == (1, 2)
    assert seen[0] == (0, 14) and seen[-1] == (14, 14) and seen == sorted(seen) and len(seen) == 3
    assert here.failures == there.failures and here.notes == there.notes
    assert there.evaluations == pytest.approx(here.evaluations)
    assert set(here.seconds) == set(there.seconds)
    for mine, theirs in zip(here.samples, there.samples, strict=True):
        assert [a.sample for a in mine] == [b.sample for b in theirs]
        for a, b in zip(mine, theirs, strict=True):
            heavy = a.z > 1
            torch.testing.assert_close(a.pos[heavy], b.pos[heavy], atol=1e-4, rtol=0)
            assert "energy" in a and "energy" in b


def test_conformers_that_drift_are_drawn_again(conformer_checkpoint: Path):
    smiles, options = ["CCO", "CCCCN", "C[C@H](N)O"], {"num": 8, "seed": 1}
    raw = sample(conformer_checkpoint, smiles, retries=0, **options)
    most = sorted(conformer.drift for group in raw.samples for conformer in group)[18]
    result = sample(conformer_checkpoint, smiles, retries=30, max_drift=most, **options)
    assert all(conformer.drift <= most for group in result.samples for conformer in group)
    assert raw.evaluations == 5 < result.evaluations


@pytest.mark.parametrize("refine", ["none", "mmff"])
def test_progress_goes_on_while_relaxing(conformer_checkpoint: Path, refine: str):
    seen: list[tuple[int, int]] = []
    session = Session(conformer_checkpoint, Request(num=3, refine=refine))
    session([data_from_smiles("CCO"), data_from_smiles("CBr"), data_from_smiles("CC")], lambda *a: seen.append(a))
    total = 12 if refine == "mmff" else 6
    assert seen[0] == (0, total) and seen[-1] == (total, total) and seen == sorted(seen)


def test_failures_name_the_atom_of_the_input(conformer_checkpoint: Path):
    """Not the row of the network, which does not see the hydrogens before it."""
    mol = mol_from_smiles("[H]C([H])([H])Br")
    result = Session(conformer_checkpoint, Request())([data_from_mol(mol), data_from_smiles("CC")])
    assert result.failures[0] == "z of atom 4 (Br) is 35, but the model was trained on [6, 7, 8, 9] only"
    assert result.failures[1] is None and len(result.samples[1]) == 1


def test_describes_all_that_samples_depend_on(conformer_checkpoint: Path):
    options = {"prior_scale": 0.7, "max_drift": 0.1, "device": "cpu"}
    request = Request(num=2, seed=7, num_steps=3, sampler="heun", **options)
    session = Session(conformer_checkpoint.parent, request)
    found = session.describe()
    assert found["max_drift"] == session.config.sampling.max_drift == 0.1
    assert found["prior_scale"] == session.sampler.prior_scale == 0.7
    assert (found["seed"], found["num"], found["num_steps"], found["sampler"]) == (7, 2, 3, "heun")
    assert found["checkpoint"] == str(conformer_checkpoint) and len(found["sha256"]) == 64
    assert found["device"] == str(session.device) == "cpu"
    assert {"graphscore", "python", "torch", "rdkit"} == set(found["versions"])


def test_the_network_is_where_it_shall_compute_and_a_gpu_is_not_shared(conformer_checkpoint, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(sampling, "choose_device", lambda name: asked.append(name) or torch.device("meta"))
    session = Session(conformer_checkpoint, Request(workers=None, device="cuda:1"))
    assert asked == ["cuda:1"] and session.describe()["device"] == "meta"
    assert {tensor.device.type for tensor in session.model.state_dict().values()} == {"meta"}
    shared = Shared([[0]], [Sampled([[]], [None], [[]], 0.0)], 1)
    monkeypatch.setattr(sampling, "share", lambda work, pieces, costs, workers, **_: asked.append(workers) or shared)
    for number in (None, 1, 2):
        session.request = Request(workers=number)
        session([data_from_smiles("CC")])
    assert asked[1:] == [1, 1, 2]


@pytest.mark.parametrize("place", ["transform", "assemble", "accept", "refine"])
def test_what_rdkit_fails_at_is_the_failure_of_that_molecule(conformer_checkpoint, monkeypatch, place):
    """Whatever it raises, and wherever: a broken invariant, or something that is no molecule."""

    def breaking(real, which):
        def function(item, *args, **kwargs):
            if which(item):
                Chem.MolToSmiles(None) if place in ("accept", "refine") else Chem.Mol().GetAtomWithIdx(7)
            return real(item, *args, **kwargs)

        return function

    def is_it(item):
        return item.get("smiles") == "C[C@H](N)O"

    targets = {
        "transform": (chemistry, "_pair_tables", lambda mol: mol.GetNumHeavyAtoms() == 4),
        "assemble": (HydrogenPlacer, "__call__", lambda placer: is_it(placer.template)),
        "accept": (stereo, "mol_from_data", is_it),
        "refine": (ForceField, "_at", lambda field: field.mol.GetNumHeavyAtoms() == 4),
    }
    owner, name, which = targets[place]
    monkeypatch.setattr(owner, name, breaking(getattr(owner, name), which))
    result = sample(conformer_checkpoint, ["CCO", "C[C@H](N)O", "CC"], num=2, refine="mmff", retries=0)
    assert [len(group) for group in result.samples] == [2, 0, 2]
    assert result.failures[0] is None and result.failures[2] is None and "RDKit fails: " in result.failures[1]


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
        Request(**wrong)


def test_what_is_no_molecule_cannot_be_refined(conformer_checkpoint: Path):
    session = Session(conformer_checkpoint, Request(refine="mmff"))
    cloud = Data(pos=torch.zeros(3, 2), edge_index=torch.zeros(2, 0, dtype=torch.long))
    with pytest.raises(ValueError, match="input 2 is none"):
        session([data_from_smiles("CC"), cloud])


def test_what_leaves_hydrogens_out_is_known_by_the_object_not_by_its_name(conformer_checkpoint: Path, tmp_path: Path):
    checkpoint = load_checkpoint(conformer_checkpoint)
    by_path = [{"name": "graphscore.molecules.features:MoleculeGraph"}]
    config = {**checkpoint.config, "transforms": by_path}
    save_checkpoint(tmp_path / "model.safetensors", checkpoint._replace(config=config))
    items = [data_from_smiles("CCO")]
    expected = Session(conformer_checkpoint, Request(num=2))(items)
    result = Session(tmp_path, Request(num=2), trust=["graphscore.molecules.features"])(items)
    assert [len(sample.pos) for sample in result.samples[0]] == [9, 9] and result.seconds["hydrogens"] > 0
    for one, other in zip(result.samples[0], expected.samples[0], strict=True):
        assert torch.equal(one.pos, other.pos)
    made = generate_conformers("CCO", 2, checkpoint=tmp_path, trust=[MoleculeGraph])
    assert made.mols[0] is not None and made.mols[0].GetNumConformers() == 2


def test_what_an_input_has_of_other_coordinates_is_not_passed_on_and_said(conformer_checkpoint: Path):
    old = data_from_mol(embed(mol_from_smiles("CCO"), 1, 0))
    old.energy, old.forces = -3.5, torch.ones_like(old.pos)
    result = Session(conformer_checkpoint, Request())([old, data_from_smiles("CCN")])
    assert result.notes == [["measured for other coordinates, and not passed on: energy, forces"], []]
    assert not {"energy", "forces"} & set(result.samples[0][0].keys())

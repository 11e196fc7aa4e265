"""Molecules in, conformers out, with all that can be asked for: fixed atoms, energies, diversity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem
from torch_geometric.data import Data

from graphscore.experiment.sampling import diversity, pipeline
from graphscore.generate import budget, windows
from graphscore.generate.outcome import Outcome
from graphscore.linalg.kabsch import align
from graphscore.molecules import features as chemistry
from graphscore.molecules.check import GeometryCheck
from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.embedding import embed
from graphscore.molecules.forcefield import ForceField
from graphscore.molecules.fragments import Fragment
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.hydrogens import HydrogenPlacer
from graphscore.molecules.metrics.stereo import is_as_asked
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.runtime.checkpoint import load_checkpoint, save_checkpoint

OTHERS = ["C" * n for n in range(2, 9)] + ["C1CC1", "CCO", "OCCO", "CNC", "c1ccccc1", "c1ccncc1", "CF", "C#N"] * 3


class Sampled(NamedTuple):
    """Outcomes side by side."""

    samples: list[list[Data]]
    failures: list[str | None]
    notes: list[list[str]]
    evaluations: float


def collect(outcomes: Iterable[Outcome]) -> Sampled:
    rows = [(o.samples, o.failure, o.notes, o.cost.evaluations) for o in outcomes]
    samples, failures, notes, evaluations = map(list, zip(*rows, strict=True))
    return Sampled(samples, failures, notes, sum(evaluations) / max(1, sum(map(len, samples))))


def sample(path: Path, inputs: Sequence[object], **options: object) -> Sampled:
    return collect(ConformerModel.load(path).sample(inputs, **options))


@pytest.mark.parametrize("options", [{}, {"diverse": True, "repair": False}, {"energy_rank": True, "repair": False}])
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
    fragment = Fragment("[#6]C(=O)N[#6]", template)
    result = sample(conformer_checkpoint, list(molecules), num=3, fragment=fragment, **options)
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
    monkeypatch.setattr(diversity, "REPULSION", 2.0)
    smiles = ["CCCCCO", "CCC", "CC(C)CC=O"]
    plain, diverse = (
        sample(conformer_checkpoint, smiles, num=8, diverse=flag, repair=False).samples for flag in (False, True)
    )
    for one, other in zip(plain, diverse, strict=True):
        assert spread(other) > 1.05 * spread(one)
    alone = sample(conformer_checkpoint, smiles[:1], num=1, diverse=True, repair=False).samples[0][0]
    torch.testing.assert_close(alone.pos, plain[0][0].pos, atol=1e-3, rtol=0)  # nobody to keep away from


def test_counts_evaluations_and_seconds(conformer_checkpoint: Path):
    result = sample(conformer_checkpoint, ["CCO", "CBr", "CCCCCC"], num=3, num_steps=5, retries=0)
    assert result.evaluations == 6  # and one that removes the last noise
    assert sample(conformer_checkpoint, ["CCO"], num_steps=5, sampler="heun", retries=0).evaluations == 11
    (outcome,) = ConformerModel.load(conformer_checkpoint).sample("CCO", refine="mmff")
    assert set(outcome.cost.seconds) == {"sample", "hydrogens", "repair", "refine"}
    assert min(outcome.cost.seconds.values()) > 0


def test_conformers_of_wrong_stereochemistry_are_drawn_again(conformer_checkpoint: Path):
    smiles, options = ["C[C@H](N)O", "CCO", "C/C=C/F"], {"num": 12, "seed": 1, "repair": False}
    raw, result = (sample(conformer_checkpoint, smiles, retries=retries, **options) for retries in (0, 30))
    right = [[is_as_asked(conformer) for conformer in group] for group in raw.samples]
    assert 0 < sum(right[0]) < 12 and 0 < sum(right[2]) < 12 and all(right[1])
    assert all(is_as_asked(conformer) for group in result.samples for conformer in group)
    assert raw.evaluations == 5 < result.evaluations


def test_conformers_that_drift_are_drawn_again(conformer_checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ConformerModel, "judge", lambda *_: 0.0)  # else the least faults would count first
    smiles, options = ["CCO", "CCCCN", "C[C@H](N)O"], {"num": 8, "seed": 1, "repair": False}
    raw = sample(conformer_checkpoint, smiles, retries=0, **options)
    most = sorted(conformer.drift for group in raw.samples for conformer in group)[18]
    result = sample(conformer_checkpoint, smiles, retries=30, max_drift=most, **options)
    assert all(conformer.drift <= most for group in result.samples for conformer in group)
    assert raw.evaluations == 5 < result.evaluations


@pytest.mark.parametrize("refine", ["none", "mmff"])
def test_progress_counts_what_is_sampled_and_what_fails(conformer_checkpoint: Path, monkeypatch, refine: str):
    monkeypatch.setattr(windows, "NUM_INPUTS", 1)
    seen: list[tuple[int, int]] = []
    sample(conformer_checkpoint, ["CCO", "CBr", "CC"], num=3, refine=refine, progress=lambda *a: seen.append(a))
    assert seen == [(0, 9), (3, 9), (6, 9), (9, 9)]


def test_failures_name_the_atom_of_the_input(conformer_checkpoint: Path):
    """Not the row of the network, which does not see the hydrogens before it."""
    mol = mol_from_smiles("[H]C([H])([H])Br")
    result = sample(conformer_checkpoint, [data_from_mol(mol), "CC"])
    assert result.failures[0] == "z of atom 4 (Br) is 35, but the model was trained on [6, 7, 8, 9] only"
    assert result.failures[1] is None and len(result.samples[1]) == 1


@pytest.mark.parametrize("place", ["transform", "assemble", "judge", "refine"])
def test_what_rdkit_fails_at_is_the_failure_of_that_molecule(conformer_checkpoint, monkeypatch, place):
    """Whatever it raises, and wherever: a broken invariant, or something that is no molecule."""

    def breaking(real, which):
        def function(item, *args, **kwargs):
            if which(item):
                Chem.MolToSmiles(None) if place in ("judge", "refine") else Chem.Mol().GetAtomWithIdx(7)
            return real(item, *args, **kwargs)

        return function

    def is_it(item):
        return item.get("smiles") == "C[C@H](N)O"

    targets = {
        "transform": (chemistry, "_pair_tables", lambda mol: mol.GetNumHeavyAtoms() == 4),
        "assemble": (HydrogenPlacer, "__call__", lambda placer: is_it(placer.template)),
        "judge": (GeometryCheck, "__call__", lambda check: check.num_atoms == 11),
        "refine": (ForceField, "_at", lambda field: field.mol.GetNumHeavyAtoms() == 4),
    }
    owner, name, which = targets[place]
    monkeypatch.setattr(owner, name, breaking(getattr(owner, name), which))
    result = sample(conformer_checkpoint, ["CCO", "C[C@H](N)O", "CC"], num=2, refine="mmff", retries=0)
    # Conformers that cannot be relaxed stay as they are.
    assert [len(group) for group in result.samples] == [2, 2 if place == "refine" else 0, 2]
    assert result.failures[0] is None and result.failures[2] is None
    said = " ".join(result.notes[1]) if place == "refine" else result.failures[1]
    assert "RDKit fails: " in said


def test_what_is_no_molecule_cannot_be_refined(conformer_checkpoint: Path):
    cloud = Data(pos=torch.zeros(3, 2), edge_index=torch.zeros(2, 0, dtype=torch.long))
    result = sample(conformer_checkpoint, ["CC", cloud], refine="mmff")
    assert result.failures == [None, "Only molecules can be refined, ranked, held or marked, but this input is none"]


def test_what_leaves_hydrogens_out_is_known_by_the_object_not_by_its_name(conformer_checkpoint: Path, tmp_path: Path):
    checkpoint = load_checkpoint(conformer_checkpoint)
    by_path = [{"name": "graphscore.molecules.features:MoleculeGraph"}]
    config = {**checkpoint.config, "transforms": by_path}
    save_checkpoint(tmp_path / "model.safetensors", checkpoint._replace(config=config))
    expected = sample(conformer_checkpoint, ["CCO"], num=2)
    model = ConformerModel.load(tmp_path, trust=["graphscore.molecules.features"])
    result = collect(model.sample(["CCO"], num=2))
    assert [len(sample.pos) for sample in result.samples[0]] == [9, 9]
    for one, other in zip(result.samples[0], expected.samples[0], strict=True):
        assert torch.equal(one.pos, other.pos)


def test_what_an_input_has_of_other_coordinates_is_not_passed_on_and_said(conformer_checkpoint: Path):
    old = data_from_mol(embed(mol_from_smiles("CCO"), 1, 0))
    old.energy, old.forces = -3.5, torch.ones_like(old.pos)
    result = sample(conformer_checkpoint, [old, "CCN"])
    assert result.notes == [["measured for other coordinates, and not passed on: energy, forces"], []]
    assert not {"energy", "forces"} & set(result.samples[0][0].keys())


def test_notes_on_a_record_come_with_its_samples_and_are_no_part_of_them(conformer_checkpoint: Path):
    graph = data_from_mol(mol_from_smiles("C[CH]C"))
    graph.notes.append("read with care")
    result = sample(conformer_checkpoint, [graph, "C[CH]C", "CCC"])
    assert result.notes == [graph.notes, graph.notes[:1], []]
    assert graph.notes[0].startswith("1 unpaired electron at atom 1 (C): ")
    assert all("notes" not in one for samples in result.samples for one in samples)


def test_a_model_that_is_asked_again_answers_as_a_fresh_one(conformer_checkpoint: Path):
    """Whatever it was asked before, and whether the iterator was read to its end."""
    model = ConformerModel.load(conformer_checkpoint)
    expected = sample(conformer_checkpoint, ["CCO", "C[C@H](N)O"], num=2, seed=3)
    next(iter(model.sample(["CCCC", "CC"], num=3, refine="mmff", diverse=True, num_steps=7)))
    for _ in range(2):
        found = collect(model.sample(["CCO", "C[C@H](N)O"], num=2, seed=3))
        for one, other in zip(found.samples, expected.samples, strict=True):
            assert all(torch.equal(a.pos, b.pos) and a.drift == b.drift for a, b in zip(one, other, strict=True))


def test_what_starts_in_the_middle_goes_on_to_the_last_bit(conformer_checkpoint, monkeypatch):
    monkeypatch.setattr(windows, "NUM_INPUTS", 3)
    model, smiles = ConformerModel.load(conformer_checkpoint), ["CBr", *OTHERS[:10]]
    options = {"num": 2, "refine": "mmff"}
    whole = list(model.sample(smiles, **options))
    for start in (0, 1, 4, 6, 11):
        rest = list(model.sample(iter(smiles), start=start, **options))
        assert [outcome.input for outcome in rest] == smiles[start:]
        for one, other in zip(rest, whole[start:], strict=True):
            assert one.failure == other.failure
            assert all(torch.equal(a.pos, b.pos) for a, b in zip(one.samples, other.samples, strict=True))


def test_what_goes_on_is_cut_into_the_same_windows(conformer_checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    """Also where it has been decided meanwhile how many workers share the work."""
    monkeypatch.setattr(budget, "CPU_EDGES", 100)
    model, cut = ConformerModel.load(conformer_checkpoint), []

    def stream(work, tasks, workers, *_):
        cut.append((workers, [[number for number, _, _ in task] for task in tasks]))
        return iter(())

    monkeypatch.setattr(pipeline, "stream", stream)
    for options in ({}, {"start": 9, "decided": 1}, {"start": 9, "decided": 2}):
        list(model.sample(OTHERS, num=3, workers=None, **options))
    (_, whole), (one, rest), (two, other) = cut
    assert (one, two) == (1, 2) and rest == other == whole[-len(rest) :]
    assert len(whole) > 4 and 9 in rest[0] and rest[0][0] > 0

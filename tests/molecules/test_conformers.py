"""RDKit molecules in and out, as somebody who knows RDKit expects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem
from rdkit.Chem import rdDistGeom

from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.outcome import Conformers, from_ase, to_ase


def generate(path: Path, molecules: object, num: int, **options: object) -> list[Conformers]:
    return list(ConformerModel.load(path).sample(molecules, num=num, **options))


def mols(*args: object, **options: object) -> list[Chem.Mol | None]:
    return [outcome.mol for outcome in generate(*args, **options)]


def scrambled() -> Chem.Mol:
    """Alanine with all hydrogens, in no order that a SMILES string would have."""
    mol = Chem.AddHs(Chem.MolFromSmiles("C[C@H](N)C(=O)O"))
    return Chem.RenumberAtoms(mol, np.random.default_rng(0).permutation(mol.GetNumAtoms()).tolist())


def test_atoms_keep_their_order_and_each_conformer_its_bonds(conformer_checkpoint: Path):
    mol = scrambled()
    mol.SetProp("_Name", "alanine")
    mol.GetAtomWithIdx(3).SetAtomMapNum(8)
    before = mol.ToBinary(Chem.PropertyPickleOptions.AllProps)
    (made,) = mols(conformer_checkpoint, mol, 3, seed=5)
    assert mol.ToBinary(Chem.PropertyPickleOptions.AllProps) == before
    assert [a.GetAtomicNum() for a in made.GetAtoms()] == [a.GetAtomicNum() for a in mol.GetAtoms()]
    assert Chem.MolToSmiles(made) == Chem.MolToSmiles(mol)
    assert made.GetProp("_Name") == "alanine" and made.GetAtomWithIdx(3).GetAtomMapNum() == 8
    assert [conformer.GetId() for conformer in made.GetConformers()] == [0, 1, 2]
    for number, conformer in enumerate(made.GetConformers(), start=1):
        assert conformer.Is3D() and conformer.GetIntProp("sample") == number and conformer.GetIntProp("seed") == 5
        # Hydrogens are those of the atoms that they are bound to.
        pos = conformer.GetPositions()
        for bond in made.GetBonds():
            ends = bond.GetBeginAtom(), bond.GetEndAtom()
            if any(atom.GetAtomicNum() == 1 for atom in ends):
                assert np.linalg.norm(np.subtract(*(pos[atom.GetIdx()] for atom in ends))) < 2


def test_the_same_coordinates_as_by_the_graph(conformer_checkpoint: Path):
    mol = scrambled()
    made = mols(conformer_checkpoint, [mol, "CCO"], 2, seed=1)[0]
    samples = generate(conformer_checkpoint, data_from_mol(mol), 2, seed=1)[0].samples
    for conformer, item in zip(made.GetConformers(), samples, strict=True):
        np.testing.assert_allclose(conformer.GetPositions(), item.pos.numpy(), atol=1e-3)


def test_without_hydrogens_they_come_last_and_old_conformers_go(conformer_checkpoint: Path):
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    rdDistGeom.EmbedMolecule(mol)
    bare, full = mols(conformer_checkpoint, [Chem.MolFromSmiles("CCO"), mol], 2)
    assert [a.GetSymbol() for a in bare.GetAtoms()] == ["C", "C", "O", *"HHHHHH"]
    assert bare.GetNumConformers() == full.GetNumConformers() == 2 and mol.GetNumConformers() == 1
    np.testing.assert_allclose(bare.GetConformer().GetPositions(), full.GetConformer().GetPositions(), atol=1e-3)


def test_stereo_marks_are_asked_for_not_old_coordinates(conformer_checkpoint: Path):
    """An unmarked centre stays free, whatever a conformer says."""
    mol = Chem.AddHs(Chem.MolFromSmiles("CC(F)O"))
    rdDistGeom.EmbedMolecule(mol)
    plain = Chem.MolFromSmiles("CC(F)O")
    one, other = mols(conformer_checkpoint, [mol, plain], 2)
    np.testing.assert_allclose(one.GetConformer().GetPositions(), other.GetConformer().GetPositions(), atol=1e-3)


def test_failures_are_listed_at_their_place(conformer_checkpoint: Path, unclosed: str):
    given = ["C1CC", "CC", Chem.MolFromSmiles("*C"), 3.5, "CBr", Chem.Mol()]
    result = generate(conformer_checkpoint, given, 2)
    assert [outcome.input for outcome in result] == given
    found = [None if (mol := outcome.mol) is None else mol.GetNumConformers() for outcome in result]
    assert found == [None, 2, None, None, None, None]
    words = [unclosed, None, "placeholder", "float", "atom 1 (Br)", "no atoms"]
    for outcome, word in zip(result, words, strict=True):
        assert outcome.failure is None if word is None else word in outcome.failure
    assert repr(result[1]) == "Conformers('CC': 2 samples)" and generate(conformer_checkpoint, [], 2) == []


def test_energies_and_fixed_atoms_are_properties_of_conformers(conformer_checkpoint: Path):
    template = Chem.AddHs(Chem.MolFromSmiles("OC=O"))
    rdDistGeom.EmbedMolecule(template, randomSeed=1)
    options = {"refine": "mmff", "energy_rank": True, "fix": ("OC=O", template)}
    (outcome,) = generate(conformer_checkpoint, "CC(=O)O", 4, **options)
    mol = outcome.mol
    energies = [conformer.GetDoubleProp("energy") for conformer in mol.GetConformers()]
    assert energies == sorted(energies)
    for conformer, energy in zip(mol.GetConformers(), energies, strict=True):
        assert conformer.GetDoubleProp("relative_energy") == energy - energies[0]
        assert conformer.GetDoubleProp("fixed_rmsd") < 1e-3
        places = template.GetConformer().GetPositions()[:3]
        np.testing.assert_allclose(conformer.GetPositions()[[3, 1, 2]], places, atol=1e-3)
    assert outcome.cost.evaluations % (4 * 5) == 0 and outcome.mol is mol  # which is made once


def test_isotopes_maps_and_fields_of_the_input_are_kept(conformer_checkpoint: Path):
    given = Chem.MolFromSmiles("[13CH3:5][CH2:2]O")
    given.SetProp("IC50", "5 nM")
    light, graph = Chem.MolFromSmiles("CCO"), data_from_mol(given)
    graph.properties = {"IC50": "5 nM"}
    one, other, plain = generate(conformer_checkpoint, [given, graph, light], 2)
    for outcome in (one, other):
        assert [(atom.GetIsotope(), atom.GetAtomMapNum()) for atom in outcome.mol.GetAtoms()][:3] == [
            (13, 5),
            (0, 2),
            (0, 0),
        ]
        assert outcome.mol.GetProp("IC50") == "5 nM"
        for sample, same in zip(outcome.samples, plain.samples, strict=True):
            assert sample["properties"] == {"IC50": "5 nM"} and sample["isotope"].tolist()[:3] == [13, 0, 0]
            assert torch.equal(sample["pos"], same["pos"])
    assert "properties" not in plain.samples[0] and "isotope" not in plain.samples[0]


def test_shapes_depend_on_the_environment_asked_for_then_on_that_of_the_molecule(placed_checkpoint: Path):
    model, ethanol = ConformerModel.load(placed_checkpoint), data_from_mol(Chem.MolFromSmiles("OCCO"))
    crystal = ethanol.clone()
    crystal.environment = "crystal"

    def pos(molecule: object, **options: object) -> torch.Tensor:
        (outcome,) = model.sample(molecule, repair=False, **options)
        return outcome.samples[0].pos

    gas = pos(ethanol)
    assert torch.equal(pos(ethanol, environment="gas"), gas) and torch.equal(pos(crystal, environment="gas"), gas)
    assert not torch.equal(pos(crystal), gas)
    assert torch.equal(pos(ethanol, environment="crystal"), pos(crystal))
    assert "environment" not in ethanol  # what is given stays as it is
    with pytest.raises(
        ValueError, match="environment is 'solvent', but this model was trained to tell gas and crystal"
    ):
        pos(ethanol, environment="solvent")


def test_a_model_that_knows_no_environments_refuses_one_but_not_a_preset(conformer_checkpoint: Path):
    with pytest.raises(ValueError, match="environment is 'crystal', but this model was trained to tell none"):
        generate(conformer_checkpoint, "CCO", 1, environment="crystal")
    assert generate(conformer_checkpoint, "CCO", 1, preset="docking")[0].failure is None


def test_ase_atoms_have_elements_places_and_numbers(conformer_checkpoint: Path):
    pytest.importorskip("ase")
    (mol,) = mols(conformer_checkpoint, "C[NH2+]CC", 2, energy_rank=True)
    for atoms, conformer in zip(to_ase(mol), mol.GetConformers(), strict=True):
        assert atoms.get_chemical_symbols() == [atom.GetSymbol() for atom in mol.GetAtoms()]
        np.testing.assert_array_equal(atoms.get_positions(), conformer.GetPositions())
        assert atoms.info["charge"] == 1 and atoms.info["smiles"] == "CC[NH2+]C"
        assert atoms.info["energy"] == conformer.GetDoubleProp("energy")
        assert atoms.info["sample"] == conformer.GetIntProp("sample")
    assert to_ase(Chem.MolFromSmiles("C")) == []


def test_atoms_that_an_ase_calculator_relaxed_become_conformers_again(conformer_checkpoint: Path):
    emt, optimize = pytest.importorskip("ase.calculators.emt"), pytest.importorskip("ase.optimize")
    (mol,) = mols(conformer_checkpoint, "CCO", 2, energy_rank=True)
    frames = to_ase(mol)
    back = from_ase(mol, frames)
    for old, new in zip(mol.GetConformers(), back.GetConformers(), strict=True):
        np.testing.assert_array_equal(new.GetPositions(), old.GetPositions())
        assert new.GetPropsAsDict() == old.GetPropsAsDict() and "energy" in new.GetPropsAsDict()
    for atoms in frames:
        atoms.calc = emt.EMT()
        before = atoms.get_potential_energy()
        optimize.BFGS(atoms, logfile=None).run(fmax=0.5, steps=10)
        assert atoms.get_potential_energy() < before
        atoms.info["energy"] = 23.06 * atoms.get_potential_energy()
    relaxed = from_ase(mol, reversed(frames))
    assert Chem.MolToSmiles(relaxed) == Chem.MolToSmiles(mol) and mol.GetNumConformers() == 2
    for new, atoms in zip(relaxed.GetConformers(), frames[::-1], strict=True):
        np.testing.assert_array_equal(new.GetPositions(), atoms.get_positions())
        assert new.GetDoubleProp("energy") == atoms.info["energy"]


def test_ase_atoms_of_another_molecule_or_without_places_are_refused(conformer_checkpoint: Path):
    ase = pytest.importorskip("ase")
    water = Chem.AddHs(Chem.MolFromSmiles("O"))
    with pytest.raises(ValueError, match="Expected the atoms OHH in this order, but frame 2 has HOH"):
        from_ase(water, [ase.Atoms("OH2"), ase.Atoms("HOH")])
    with pytest.raises(ValueError, match="Frame 1 has coordinates that are not finite"):
        from_ase(water, [ase.Atoms("OH2", np.full((3, 3), np.nan))])
